"""What tests launch as a sweep, and what they find of it in MLflow."""

import json
from pathlib import Path
from typing import Any

import mlflow
from configurations import TINY

UNTRACKED = (*TINY, "train.epochs=1")
TRACKED = (*(line for line in TINY if not line.startswith("tracking")), "train.epochs=2", "figures=off")


def store() -> Any:
    """The store in this folder; MLflow remembers stores by their address, so that has to be whole."""
    return mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}")


def found() -> tuple[list[Any], list[Any]]:
    """The runs of the store in this folder: those of sweeps, and those of members in the order of their numbers."""
    client = store()
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    members = [run for run in runs if "sweep.member" in run.data.tags]
    parents = [run for run in runs if "sweep.member" not in run.data.tags]
    return parents, sorted(members, key=lambda run: json.loads(run.data.tags["sweep.member"])["number"])


def varied(run: Any) -> dict[str, Any]:
    own: dict[str, Any] = json.loads(run.data.tags["sweep.member"])["varied"]
    return own
