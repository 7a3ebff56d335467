"""Metrics against scikit-learn, and a new one added by the file in CONTRIBUTING.md."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics
from commands import Runner
from configurations import TINY, begun, composed, here, report, tiny, with_value
from contributing import added, example
from sweep.swept import found, varied

from runner import data, metrics, trained
from runner.losses import SoftmaxCrossEntropy, metric_sums
from runner.metrics import metric, natural_direction

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # from MLflow's use of SQLAlchemy
]
RANDOM = np.random.default_rng(0)
SCORES = RANDOM.normal(size=(200, 12)).astype(np.float32)
LABELS = RANDOM.integers(0, 12, 200)
TARGETS = jnp.asarray(np.eye(12, dtype=np.float32)[LABELS])


@pytest.mark.parametrize(("name", "k"), [("accuracy", 1), ("top_5_accuracy", 5)])
def test_accuracies_against_sklearn(name: str, k: int) -> None:
    sums = metric_sums(SoftmaxCrossEntropy(), (name,), jnp.asarray(SCORES), TARGETS, jnp.ones(200))
    expected = sklearn.metrics.top_k_accuracy_score(LABELS, SCORES, k=k, labels=range(12))
    assert float(sums.metrics[name] / sums.weight) == pytest.approx(expected)


def test_of_equal_outputs_the_first_classes_are_the_largest() -> None:
    outputs, targets = jnp.zeros((12, 12)), jnp.eye(12)
    for name, first in (("accuracy", 1), ("top_5_accuracy", 5)):
        assert metric(name).per_example(outputs, targets).tolist() == [True] * first + [False] * (12 - first)


def test_a_sweep_maximizes_accuracies_and_minimizes_losses_and_costs() -> None:
    for name in ("val/accuracy", "best/val_accuracy", "val/top_5_accuracy", "best/val_top_5_accuracy"):
        assert natural_direction(name) == "maximize"
    for name in ("val/loss", "best/val_loss", "parameters", "seconds"):
        assert natural_direction(name) == "minimize"


def trained_epochs(*overrides: str) -> list[dict[str, float]]:
    """The metrics of every epoch of a tiny training, without the time that it took."""
    training = begun(tiny(*overrides))
    return [epoch.metrics | {"images_per_second": 0.0} for epoch in training.epochs()]


@pytest.mark.slow
def test_further_metrics_leave_the_training_and_the_others_as_they_are() -> None:
    more = trained_epochs("train.metrics=[top_5_accuracy, accuracy]")
    added = {"train/top_5_accuracy", "val/top_5_accuracy"}
    for one, other in zip(trained_epochs(), more, strict=True):
        assert other.keys() - one.keys() == added
        assert other.items() >= one.items()
        assert all(other[name.replace("top_5_", "")] <= other[name] <= 1 for name in added)


# Faults


@pytest.mark.parametrize(
    ("path", "value", "line"),
    [
        (
            "train.metrics",
            ["acuracy"],
            'train.metrics[0]: unknown metric "acuracy"; did you mean "accuracy"?',
        ),
        (
            "sweep.metric",
            "val/top_5_accuracy",
            "sweep.metric: must be measured, by train.metrics, got val/top_5_accuracy",
        ),
    ],
)
def test_a_metric_that_is_not_known_or_not_measured_is_one_line(path: str, value: Any, line: str) -> None:
    assert report(with_value(composed(), path, value)) == [line]


def test_the_first_five_of_too_few_classes_are_one_line() -> None:
    asked = tiny("train.metrics=[top_5_accuracy]")
    assert asked.faults((8, 8, 1), 6) == []
    [fault] = asked.faults((8, 8, 1), 5)
    assert str(fault) == "train.metrics: must contain top_5_accuracy only for data of 6 classes or more, got 5"


# A new metric

ADDED = example("Add a metric")


@pytest.fixture
def _confidence(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The metric of CONTRIBUTING.md, added to the package by its file."""
    with added(metrics, "confidence", ADDED, tmp_path_factory.mktemp("added")):
        yield


MEASURING = (*TINY, "tracking.enabled=true", "figures=off", "train.metrics=[confidence]")


@pytest.mark.slow
@pytest.mark.usefixtures("_confidence")
def test_a_metric_is_added_by_one_short_file(runner: Runner) -> None:
    assert len(ADDED.splitlines()) < 30
    done = runner(*MEASURING, "hydra.run.dir=outputs/run")
    assert done.status == 0, done.err
    [run] = found()[0]
    names = {"train/confidence", "val/confidence", "test_confidence", "best_val_confidence"}
    assert names <= set(run.data.metrics)
    digits, network = data.load(tiny().data), trained.load(Path("outputs/run"))
    for name, examples in (("val/confidence", digits.val), ("test_confidence", digits.test)):
        probabilities = network.answers(examples.inputs, here())
        expected = probabilities[np.arange(len(examples)), examples.labels].mean()
        assert run.data.metrics[name] == pytest.approx(expected, rel=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("_confidence")
@pytest.mark.parametrize("strategy", ["loop", "vmap"])
def test_a_sweep_compares_members_by_a_metric_that_was_added(strategy: str, runner: Runner) -> None:
    swept = ("optimizer.learning_rate=0.0001,0.01", "sweep.metric=val/confidence", f"sweep.strategy={strategy}")
    done = runner("-m", *MEASURING, *swept)
    assert done.status == 0, done.err
    [parent], members = found()
    reached = {varied(run)["optimizer.learning_rate"]: run.data.metrics["best_val_confidence"] for run in members}
    assert reached[0.01] > reached[0.0001]
    assert parent.data.metrics["best_val_confidence"] == reached[0.01]
    [table] = Path("outputs/sweeps").rglob("members.csv")
    columns = table.read_text(encoding="utf-8").splitlines()[0].split(",")
    assert {"val/confidence", "best/val_confidence", "test/confidence"} <= set(columns)
