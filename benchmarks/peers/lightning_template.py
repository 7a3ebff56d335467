"""LeNet-5 on the digits as the Lightning-Hydra template trains: Hydra, a data module, Lightning's Trainer, MLflow.

    python benchmarks/peers/lightning_template.py [OVERRIDES]

Metrics after every epoch, the best checkpoint, the test with its weights, all in MLflow; the template's other extras
(its rich configuration tree, its summary of the model) are left away.
"""

import logging
import warnings

import hydra
import lightning
import torch
from hydra.core.config_store import ConfigStore
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import MLFlowLogger
from omegaconf import DictConfig, OmegaConf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.utils.data import DataLoader, TensorDataset
from torch_loop import lenet5, prepared
from torchmetrics.classification import MulticlassAccuracy

warnings.filterwarnings("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)


class Digits(lightning.LightningDataModule):
    """scikit-learn's digits, a fifth to test and a tenth of the rest to validate, as this project divides them."""

    def __init__(self, batch_size: int) -> None:
        super().__init__()
        self.batch_size = batch_size

    def setup(self, stage: str) -> None:
        images, labels = load_digits(return_X_y=True)
        x = prepared(torch.from_numpy(images.reshape(-1, 8, 8, 1) * 15.9375), 32)
        y = torch.from_numpy(labels).long()
        rest, test = train_test_split(range(len(y)), test_size=0.2, random_state=0, stratify=labels)
        train, val = train_test_split(rest, test_size=0.1, random_state=0, stratify=labels[rest])
        self.parts = {name: TensorDataset(x[i], y[i]) for name, i in (("train", train), ("val", val), ("test", test))}

    def train_dataloader(self) -> DataLoader:
        return DataLoader(self.parts["train"], self.batch_size, shuffle=True, drop_last=True)

    def val_dataloader(self) -> DataLoader:
        return DataLoader(self.parts["val"], 256)

    def test_dataloader(self) -> DataLoader:
        return DataLoader(self.parts["test"], 256)


class Classifier(lightning.LightningModule):
    """A network, its loss and its metrics."""

    def __init__(self, learning_rate: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.network, self.loss = lenet5(1), nn.CrossEntropyLoss()
        self.accuracies = nn.ModuleDict({f"{part}_": MulticlassAccuracy(10) for part in ("train", "val", "test")})

    def _step(self, batch: list[torch.Tensor], part: str) -> torch.Tensor:
        x, y = batch
        logits = self.network(x)
        loss: torch.Tensor = self.loss(logits, y)
        accuracy = self.accuracies[f"{part}_"]
        accuracy(logits, y)
        self.log(f"{part}/loss", loss, on_step=False, on_epoch=True, prog_bar=True)
        self.log(f"{part}/accuracy", accuracy, on_step=False, on_epoch=True, prog_bar=True)
        return loss

    def training_step(self, batch: list[torch.Tensor], index: int) -> torch.Tensor:
        return self._step(batch, "train")

    def validation_step(self, batch: list[torch.Tensor], index: int) -> None:
        self._step(batch, "val")

    def test_step(self, batch: list[torch.Tensor], index: int) -> None:
        self._step(batch, "test")

    def configure_optimizers(self) -> dict:
        optimizer = torch.optim.Adam(self.parameters(), lr=self.hparams["learning_rate"])
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


@hydra.main(version_base="1.3", config_path=None, config_name="template")
def main(config: DictConfig) -> None:
    """Trains, tests and records."""
    lightning.seed_everything(config.seed, workers=True)
    logger = MLFlowLogger(experiment_name="digits", tracking_uri=config.tracking_uri)
    logger.log_hyperparams(OmegaConf.to_container(config))
    keep = ModelCheckpoint(dirpath="checkpoints", monitor="val/accuracy", mode="max")
    trainer = lightning.Trainer(max_epochs=config.epochs, accelerator="cpu", logger=logger, callbacks=[keep])
    module, digits = Classifier(config.learning_rate), Digits(config.batch_size)
    trainer.fit(module, datamodule=digits)
    trainer.test(module, datamodule=digits, ckpt_path=keep.best_model_path, weights_only=False)


if __name__ == "__main__":
    defaults = {
        "seed": 0,
        "epochs": 15,
        "batch_size": 32,
        "learning_rate": 0.003,
        "tracking_uri": "sqlite:///mlflow.db",
    }
    ConfigStore.instance().store("template", defaults)
    main()
