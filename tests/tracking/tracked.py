"""A run of MLflow that tests begin, the data set that it names, and a store that goes away."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runner.tracking import DatasetFacts, Run, Tracking, start, writer
from runner.tracking import run as run_module
from runner.tracking.store import Store

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
