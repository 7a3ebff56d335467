"""PyTorch with a DataLoader over tensors and Lightning's Trainer, as the Lightning-Hydra template has it."""

import logging
import warnings

import lightning
import torch
from blocks import arguments, read, report
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_loop import MODELS, prepared

logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
warnings.filterwarnings("ignore")


class Module(lightning.LightningModule):
    """A classifier."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.loss, self.last = model, nn.CrossEntropyLoss(), 0.0

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        x, y = batch
        loss = self.loss(self.model(x), y)
        self.log("train/loss", loss, on_step=False, on_epoch=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.Adam(self.parameters(), lr=1e-3)


def main() -> None:
    """Trains and reports."""
    options = arguments(__doc__)
    torch.manual_seed(0)
    inputs, labels = (torch.from_numpy(array) for array in read(options.data))
    x, y = prepared(inputs, 32), labels.long()
    module = Module(MODELS[options.model](x.shape[1]))
    loader = DataLoader(TensorDataset(x, y), batch_size=options.batch, shuffle=True, drop_last=True)

    def block() -> float:
        trainer = lightning.Trainer(
            max_steps=options.steps,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(module, loader)
        return float(trainer.callback_metrics["train/loss"])

    report(options, block)


if __name__ == "__main__":
    main()
