"""Reads runs from a store: ended runs, and runs whose process was killed."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from runner.metrics import natural_direction
from runner.tracking.faults import not_opened
from runner.tracking.settings import Tracking, absolute_uri
from runner.tracking.store import Store
from runner.tracking.summaries import own_name


@dataclass(frozen=True)
class Recorded:
    """A run in the store; `metrics` are the last values by the names that the program gives them."""

    run_id: str
    status: str
    tags: dict[str, str]
    metrics: dict[str, float] = field(default_factory=dict)


class Reader:
    """Reads a tracking store. Raises TrackingError if it cannot be opened."""

    def __init__(self, tracking: Tracking) -> None:
        try:
            self._store = Store(absolute_uri(tracking.uri))
        except Exception as error:
            raise not_opened(tracking.uri, error) from error

    def runs(self, tag: str, value: str) -> list[Recorded]:
        """The runs with this value of a tag, in all experiments."""
        quoted = value.replace("'", "")
        return [recorded(run) for run in self._store.runs(f"tags.`{tag}` = '{quoted}'")]

    def history(self, run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
        """The values of metrics by step, without step 0."""
        return history(self._store, run_id, names)

    def delete(self, run_id: str) -> None:
        """Deletes a run; MLflow can restore it."""
        self._store.client.delete_run(run_id)

    def close(self, run_id: str) -> None:
        """Ends a run whose process is gone, with the status KILLED."""
        self._store.client.set_terminated(run_id, "KILLED")


@dataclass(frozen=True)
class Monitored:
    """The metric by which a run compares its epochs, its best value if there is one, and which values are better."""

    metric: str
    value: float | None
    direction: str

    @property
    def cost(self) -> float:
        """The value, signed so that less is better; infinite if there is none."""
        if self.value is None:
            return math.inf
        return -self.value if self.direction == "maximize" else self.value


def monitored(run: Any) -> Monitored:
    """What `train.monitor` found in a run, as the store gives the run."""
    params, metrics = run.data.params, recorded(run).metrics
    metric = params.get("train.monitor.metric", "val/accuracy")
    value = metrics.get(f"best/{metric.replace('/', '_')}", metrics.get(metric))
    return Monitored(metric, value, params.get("train.monitor.direction") or natural_direction(metric))


def recorded(run: Any) -> Recorded:
    """A run as the store gives it."""
    metrics = {own_name(name): value for name, value in run.data.metrics.items()}
    return Recorded(run.info.run_id, run.info.status, dict(run.data.tags), metrics)


def history(store: Store, run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
    """The values of metrics by step, without step 0."""
    found: dict[int, dict[str, float]] = {}
    for name in names:
        for value in store.client.get_metric_history(run_id, name):
            if value.step:
                found.setdefault(value.step, {})[name] = value.value
    return dict(sorted(found.items()))
