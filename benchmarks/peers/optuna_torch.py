"""A sweep by Optuna over a plain PyTorch loop: one grid, by as many of these processes as there are cores."""

import json
import os
import sys

import optuna
import torch
from torch_training import trained

optuna.logging.set_verbosity(optuna.logging.WARNING)


def main() -> None:
    """Works on the study until the grid is done."""
    storage, space = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(1)
    study = optuna.create_study(
        study_name="sweep",
        storage=storage,
        sampler=optuna.samplers.GridSampler(space),
        direction="maximize",
        load_if_exists=True,
    )
    data, epochs = os.environ["BENCH_DATA"], int(os.environ["BENCH_EPOCHS"])
    study.optimize(
        lambda trial: trained(
            data,
            learning_rate=trial.suggest_categorical("learning_rate", space["learning_rate"]),
            seed=trial.suggest_categorical("seed", space["seed"]),
            epochs=epochs,
        )
    )


if __name__ == "__main__":
    main()
