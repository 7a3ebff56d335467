"""A sweep by Hydra's basic launcher over a plain PyTorch loop: every job in turn, in one process."""

import os

import hydra
from omegaconf import DictConfig
from torch_training import trained


@hydra.main(version_base="1.3", config_path=None, config_name="sweep_config")
def main(config: DictConfig) -> float:
    """One job."""
    return trained(
        os.environ["BENCH_DATA"],
        learning_rate=config.learning_rate,
        seed=config.seed,
        epochs=int(os.environ["BENCH_EPOCHS"]),
    )


if __name__ == "__main__":
    from hydra.core.config_store import ConfigStore

    ConfigStore.instance().store("sweep_config", {"learning_rate": 0.003, "seed": 0})
    main()
