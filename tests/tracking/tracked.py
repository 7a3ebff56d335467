"""A run of MLflow that tests begin, the data set that it names, and a store that goes away."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.tracking import DatasetFacts, Run, Tracking, messages, start, writer
from runner.tracking import run as run_module
from runner.tracking.store import Store
from runner.tracking.untracked import UNTRACKED, Journal

FACTS = DatasetFacts(
    "digits", "ab" * 32, {"train": 80, "val": 10, "test": 10}, (8, 8, 1), "uint8", ("0", "1"), "digits.gz"
)


def begin(uri: str, folder: Path, experiment: str = "digits", **arguments: Any) -> Run:
    tracking = Tracking(uri=uri, experiment=experiment)
    return start(tracking, **({"run_name": "lenet5", "tags": {}, "params": {}, "folder": folder} | arguments))


def linear(weights: Any, images: Any) -> Any:
    return images.reshape(images.shape[0], -1).astype("float32") @ weights["w"]


def weights() -> dict[str, Any]:
    return {"w": np.linspace(0, 1, 48, dtype=np.float32).reshape(16, 3)}


class Away:
    """Stands between a run and its store; while `away`, every delivery fails as the network would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = False
        self.failed = threading.Event()
        deliver = Store.deliver

        def delivery(store: Store, *arguments: Any) -> None:
            if self.away:
                self.failed.set()
                raise ConnectionError("Connection refused")
            deliver(store, *arguments)

        monkeypatch.setattr(Store, "deliver", delivery)
        monkeypatch.setattr(writer, "RETRY_SECONDS", (0.05,))
        monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)


def points(client: Any, run_id: str, name: str = "loss") -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def kept(uri: str, folder: Path, name: str, **more: Any) -> Path:
    """The file of a run of this name that no store has; it has ended, after three epochs."""
    path = folder / UNTRACKED
    journal = Journal(path)
    journal.begin(messages.Opening(uri, "digits", name, {}, 0, identity=f"{folder}", **more))
    for step in (1, 2, 3):
        journal.add(messages.Batch(metrics=(("loss", 1 / step, step, step),)))
    journal.add(messages.End("FINISHED", 4))
    journal.close(keep=True)
    return path
