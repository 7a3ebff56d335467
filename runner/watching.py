"""What training watches: whether an epoch is the best so far, and how long to wait for a better one.

>>> better(Monitor(metric="val/loss"), {"val/loss": 0.3, "val/accuracy": 0.9}, than=None)
True
"""

import math
from collections.abc import Mapping

from runner.settings import EarlyStopping, Monitor

Metrics = Mapping[str, float]


def better(monitor: Monitor, metrics: Metrics, than: Metrics | None) -> bool:
    """Whether an epoch is better than the best one before, if there was one; the first of equals stays the best.

    Epochs of equal val/accuracy are compared by val/loss. A value that is not finite is never the best.
    """
    if not math.isfinite(metrics[monitor.metric]):
        return False
    return than is None or _costs(monitor, metrics) < _costs(monitor, than)


def _costs(monitor: Monitor, metrics: Metrics) -> tuple[float, float]:
    """What is compared, the smaller the better: the metric that is watched, then the loss."""
    loss = metrics["val/loss"] if monitor.metric == "val/accuracy" else 0.0
    return monitor.cost(metrics), math.inf if math.isnan(loss) else loss


class Patience:
    """Counts the epochs in which the metric that is watched did not improve."""

    def __init__(self, settings: EarlyStopping | None, monitor: Monitor) -> None:
        self.settings, self.monitor = settings, monitor
        self.least = math.inf  # the cost at the last improvement
        self.waited = 0

    def after(self, metrics: Metrics) -> str:
        """Why training should end after an epoch of these metrics; empty where it should not."""
        if self.settings is None:
            return ""
        cost = self.monitor.cost(metrics)
        if cost < self.least - self.settings.min_delta:  # never of a NaN
            self.least, self.waited = cost, 0
            return ""
        self.waited += 1
        if self.waited < self.settings.patience:
            return ""
        return f"{self.monitor.metric} has not improved for {self.waited} epochs"
