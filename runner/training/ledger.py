"""What was measured so far: the epochs, the best of them, how long there was no better one, and why training ended.

A ledger is a small frozen value. `after` gives the next one. As JSON it comes back equal, so that with the arrays of
`train.State` it is all that an exact resume needs.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace

from runner.settings import Monitor, Train

Metrics = Mapping[str, float]


@dataclass(frozen=True)
class Epoch:
    """The metrics of an epoch by the names under which they are recorded; `step` counts the steps taken so far."""

    number: int
    step: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Ledger:
    """What was measured in a training so far. `train_seconds` contains no compiling and no validation."""

    history: tuple[Epoch, ...] = ()
    best: Epoch | None = None  # by `train.monitor`
    least_cost: float = math.inf  # the cost at the last improvement that early stopping counted
    waited: int = 0  # epochs since then
    train_seconds: float = 0.0
    compile_seconds: float = 0.0
    end_reason: str = ""  # empty: training goes on, or went on to its last epoch

    def as_json(self) -> str:
        """The ledger as JSON text; floats come back bit for bit, with `NaN` and `Infinity` as Python writes them."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> "Ledger":
        """The ledger that `as_json` wrote."""
        found = json.loads(text)
        history = tuple(Epoch(**epoch) for epoch in found.pop("history"))
        best = found.pop("best")
        return Ledger(history=history, best=None if best is None else Epoch(**best), **found)


def after(ledger: Ledger, epoch: Epoch, seconds: float, compile_seconds: float, settings: Train) -> Ledger:
    """The ledger after one epoch more, which took so many seconds, and so many more to compile."""
    before = ledger.best.metrics if ledger.best else None
    patience, monitor = settings.early_stopping, settings.monitor
    least_cost, waited = ledger.least_cost, ledger.waited
    reason = ""
    if patience is not None:
        cost = monitor.cost(epoch.metrics)
        if cost < least_cost - patience.min_delta:  # false for NaN
            least_cost, waited = cost, 0
        else:
            waited += 1
        if waited >= patience.patience:
            reason = f"{monitor.metric} has not improved for {waited} epoch{'s' if waited != 1 else ''}"
    target = settings.until_accuracy
    if target is not None and epoch.metrics["train/accuracy"] >= target:
        reason = f"train/accuracy reached {target:g}"
    return replace(
        ledger,
        history=(*ledger.history, epoch),
        best=epoch if better(monitor, epoch.metrics, before) else ledger.best,
        least_cost=least_cost,
        waited=waited,
        train_seconds=ledger.train_seconds + seconds,
        compile_seconds=ledger.compile_seconds + compile_seconds,
        end_reason=reason,
    )


def retold(ledger: Ledger, settings: Train) -> Iterator[Ledger]:
    """The ledgers after each epoch of this one, so that those who were not told of these epochs can be."""
    known = Ledger()
    for epoch in ledger.history:
        known = after(known, epoch, 0.0, 0.0, settings)
        yield known


def better(monitor: Monitor, metrics: Metrics, than: Metrics | None) -> bool:
    """Whether an epoch is better than the best one before, if there was one; the first of equals stays the best.

    Epochs that are equal in another metric are compared by val/loss. A value that is not finite is never the best.
    """
    if not math.isfinite(metrics[monitor.metric]):
        return False
    return than is None or _costs(monitor, metrics) < _costs(monitor, than)


def _costs(monitor: Monitor, metrics: Metrics) -> tuple[float, float]:
    """Two costs to compare in this order, the smaller the better: of the monitored metric, and of the loss."""
    loss = 0.0 if monitor.metric == "val/loss" else metrics["val/loss"]
    return monitor.cost(metrics), math.inf if math.isnan(loss) else loss
