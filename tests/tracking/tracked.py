"""A run of MLflow that tests begin, and the data set that it names."""

from pathlib import Path
from typing import Any

import numpy as np

from runner.tracking import DatasetFacts, Run, Tracking, start

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
