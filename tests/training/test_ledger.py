"""Which epoch is the best, against a search through all of them, and patience, against PyTorch's."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.settings import EarlyStopping, Monitor, Train
from runner.training.ledger import Epoch, Ledger, after, better

# Few values, so that many are equal.
numbers = st.sampled_from([0.1, 0.25, 0.5, 0.75, math.nan, math.inf])
histories = st.lists(st.tuples(numbers, numbers), min_size=1, max_size=8).map(
    lambda pairs: [{"val/accuracy": accuracy, "val/loss": loss} for accuracy, loss in pairs]
)
monitors = st.builds(
    Monitor,
    metric=st.sampled_from(["val/accuracy", "val/loss"]),
    direction=st.sampled_from([None, "maximize", "minimize"]),
)


def best(monitor: Monitor, history: list[dict[str, float]]) -> int | None:
    found: int | None = None
    for number, metrics in enumerate(history):
        if better(monitor, metrics, None if found is None else history[found]):
            found = number
    return found


@given(monitor=monitors, history=histories)
def test_the_best_epoch_is_the_first_of_the_best(monitor: Monitor, history: list[dict[str, float]]) -> None:
    """Of finite values the extreme one; of equal accuracies those of the least loss; of these the first."""
    values = [metrics[monitor.metric] for metrics in history]
    finite = [value for value in values if math.isfinite(value)]
    direction = monitor.direction or {"val/accuracy": "maximize", "val/loss": "minimize"}[monitor.metric]
    if not finite:
        assert best(monitor, history) is None
        return
    extreme = max(finite) if direction == "maximize" else min(finite)
    among = [number for number, value in enumerate(values) if value == extreme]
    if monitor.metric == "val/accuracy":
        losses = [
            math.inf if math.isnan(history[number]["val/loss"]) else history[number]["val/loss"] for number in among
        ]
        among = [number for number, loss in zip(among, losses, strict=True) if loss == min(losses)]
    assert best(monitor, history) == among[0]


@given(
    monitor=monitors,
    history=histories,
    patience=st.integers(1, 4),
    min_delta=st.sampled_from([0.0, 0.25, 0.3]),
)
def test_patience_is_that_of_pytorch(
    monitor: Monitor, history: list[dict[str, float]], patience: int, min_delta: float
) -> None:
    """ReduceLROnPlateau with an absolute threshold counts the epochs since a change by more than it."""
    torch = pytest.importorskip("torch")
    direction = monitor.direction or {"val/accuracy": "maximize", "val/loss": "minimize"}[monitor.metric]
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, mode=direction[:3], patience=10**6, threshold=min_delta, threshold_mode="abs"
    )
    ours = settings(monitor, EarlyStopping(patience=patience, min_delta=min_delta))
    ledger = Ledger()
    for metrics in history:
        plateau.step(metrics[monitor.metric])
        ledger = following(ledger, metrics, ours)
        reason = ledger.end_reason
        waited = plateau.num_bad_epochs
        epochs = "1 epoch" if waited == 1 else f"{waited} epochs"
        wanted = f"{monitor.metric} has not improved for {epochs}" if waited >= patience else ""
        assert reason == wanted
        if reason:
            return


def test_without_early_stopping_nothing_is_waited_for() -> None:
    ledger = Ledger()
    for _ in range(9):
        ledger = following(ledger, {"val/accuracy": 0.1, "val/loss": 1.0}, settings(Monitor(), None))
    assert (ledger.end_reason, len(ledger.history)) == ("", 9)


@given(history=histories, monitor=monitors)
def test_a_ledger_comes_back_from_json_bit_for_bit(history: list[dict[str, float]], monitor: Monitor) -> None:
    ledger = Ledger()
    for metrics in history:
        ledger = following(ledger, metrics, settings(monitor, EarlyStopping(patience=100)))
        again = Ledger.from_json(ledger.as_json())
        assert repr(again) == repr(ledger)  # NaN is not equal to itself
    assert ledger.train_seconds == pytest.approx(0.1 * len(history))


def settings(monitor: Monitor, early_stopping: EarlyStopping | None) -> Train:
    return Train(epochs=10, batch_size=1, monitor=monitor, early_stopping=early_stopping)


def following(ledger: Ledger, metrics: dict[str, float], settings: Train) -> Ledger:
    number = len(ledger.history) + 1
    return after(ledger, Epoch(number, number, metrics | {"train/accuracy": 0.5}), 0.1, 0.0, settings)
