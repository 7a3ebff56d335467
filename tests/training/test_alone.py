"""The host's loop: how long it goes on, what it keeps, what it measures, and how it ends where the loss is lost."""

import functools
import hashlib
import math
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from configurations import arrays_file, begun, here, probabilities, tiny

from runner import data, verdicts
from runner.data import Dataset
from runner.errors import ConfigError, NonFiniteError
from runner.training import alone
from runner.training.alone import Chunk, Training
from runner.training.outcome import best_of
from runner.training.plan import batches


@functools.cache
def digits(limit: int | None = 160) -> Dataset:
    return data.load(tiny(f"data.limit={'null' if limit is None else limit}").data)


def trained(*overrides: str, limit: int | None = 160) -> Training:
    """A tiny experiment trained to its end."""
    training = begun(tiny(*overrides), digits(limit))
    list(training.epochs())
    return training


# How long


def test_epochs_are_whole_batches_of_the_training_images() -> None:
    training = trained(
        "train.epochs=3", "train.batch_size=48"
    )  # 160 = 3 × 48 + 16: the last 16 of an order wait their turn
    assert [(epoch.number, epoch.step) for epoch in training.ledger.history] == [(1, 3), (2, 6), (3, 9)]
    assert (training.plan.epochs, training.plan.total_steps) == (3, 9)
    assert int(training.state.step) == 9
    assert training.ledger.end_reason == ""


def test_steps_take_the_place_of_epochs() -> None:
    training = trained("train.steps=7", "optimizer.learning_rate=0.001")
    assert [(epoch.number, epoch.step) for epoch in training.ledger.history] == [(1, 5), (2, 7)]
    assert int(training.state.step) == 7
    # The schedule ends where training does: a cosine is 0 one step after the last.
    expected = 0.5 * (1 + np.cos(np.pi * np.arange(7) / 7)) * 0.001
    np.testing.assert_allclose(training.plan.learning_rates, expected, rtol=1e-4, atol=1e-9)
    assert training.ledger.history[-1].metrics["learning_rate"] == pytest.approx(expected[-1], rel=1e-4)


def test_a_batch_larger_than_the_training_set_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        begun(tiny("train.batch_size=161"), digits())
    assert str(caught.value) == "train.batch_size: must be at most the 160 training images, got 161"


def test_more_steps_than_can_be_counted_are_refused() -> None:
    for change in ("train.epochs=1000000000000", "train.steps=1000000000000"):
        with pytest.raises(ConfigError) as caught:
            begun(tiny(change), digits())
        name = change.partition("=")[0]
        assert str(caught.value).startswith(f"{name}: must come to at most 100000000 steps, got ")


def test_training_ends_when_validation_no_longer_improves() -> None:
    training = trained(
        "train.epochs=9",
        "optimizer.learning_rate=0.0",
        "train.monitor.metric=val/loss",
        "train.early_stopping={patience: 2}",
    )
    assert len(training.ledger.history) == 3
    assert training.ledger.end_reason == "val/loss has not improved for 2 epochs"


def test_training_ends_when_the_images_are_learnt() -> None:
    training = trained(
        "train.epochs=300", "train.until_accuracy=1.0", "optimizer.learning_rate=0.02", "schedule=constant", limit=32,
    )  # fmt: skip
    assert training.ledger.end_reason == "train/accuracy reached 1"
    assert training.ledger.history[-1].metrics["train/accuracy"] == 1.0
    assert len(training.ledger.history) < 300


# What is kept, measured and reported


def test_one_metric_says_what_is_kept_what_is_best_and_when_to_stop() -> None:
    """The loss is lowest in another epoch than the one of most right answers."""
    knobs = (
        "train.epochs=25", "train.keep=best", "train.early_stopping={patience: 4}", "optimizer.learning_rate=0.05",
        "schedule=constant",
    )  # fmt: skip
    numbers = []
    for metric, sign in (("val/loss", 1), ("val/accuracy", -1)):
        training = trained(*knobs, f"train.monitor.metric={metric}")
        values = [sign * epoch.metrics[metric] for epoch in training.ledger.history]
        assert len(training.ledger.history) < 25
        assert training.ledger.best is not None
        assert values[training.ledger.best.number - 1] == min(values)
        assert values.index(min(values)) + 1 == len(training.ledger.history) - 4
        assert training.ledger.end_reason == f"{metric} has not improved for 4 epochs"
        kept = probabilities(training, digits().val)[np.arange(len(digits().val)), digits().val.labels]
        assert -np.log(kept).mean() == pytest.approx(training.ledger.best.metrics["val/loss"], rel=1e-5)
        assert best_of(training.ledger) == {
            "best/val_accuracy": training.ledger.best.metrics["val/accuracy"],
            "best/val_loss": training.ledger.best.metrics["val/loss"],
            "best/epoch": training.ledger.best.number,
        }
        numbers.append(training.ledger.best.number)
    assert numbers[0] != numbers[1]


def test_a_run_whose_validation_is_never_finite_has_no_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "validated", lambda _: {"val/loss": math.nan, "val/accuracy": 0.5})
    training = trained("train.monitor.metric=val/loss", "train.keep=best")
    assert training.ledger.best is None
    assert best_of(training.ledger) == {}
    assert int(training.state.step) == training.plan.total_steps


def test_the_best_epoch_is_kept_where_asked() -> None:
    # After three epochs the learning rate becomes one that ruins what was learnt.
    ruinous = (
        "train.epochs=6", "optimizer.learning_rate=0.01",
        "schedule={name: piecewise_constant_schedule, boundaries_in: epochs, boundaries_and_scales: {3: 1000}}",
    )  # fmt: skip
    last, best = trained(*ruinous), trained(*ruinous, "train.keep=best")
    assert [epoch.metrics["val/loss"] for epoch in last.ledger.history] == [
        epoch.metrics["val/loss"] for epoch in best.ledger.history
    ]
    ranks = [(epoch.metrics["val/accuracy"], -epoch.metrics["val/loss"]) for epoch in best.ledger.history]
    chosen = best.ledger.history[int(np.argmax([accuracy * 1e6 + loss for accuracy, loss in ranks]))]
    assert best.ledger.best == chosen
    assert chosen.number < 6
    accuracy = (probabilities(best, digits().val).argmax(axis=1) == digits().val.labels).mean()
    assert accuracy == pytest.approx(chosen.metrics["val/accuracy"])
    # The same parameters as a run that ends there.
    ended = begun(tiny(*ruinous), digits())
    for epoch in ended.epochs():
        if epoch.number == chosen.number:
            break
    jax.tree.map(np.testing.assert_array_equal, best.learnt.params, ended.state.params)
    assert not np.array_equal(last.state.params["0_conv"]["kernel"], best.learnt.params["0_conv"]["kernel"])


def test_an_epoch_has_the_metrics_of_the_design() -> None:
    reports: list[Chunk] = []
    training = begun(tiny(), digits())
    for epoch in training.epochs(reports.append):
        assert set(epoch.metrics) == {
            "train/loss", "train/accuracy", "val/loss", "val/accuracy", "learning_rate", "images_per_second",
        }  # fmt: skip
        assert all(np.isfinite(value) for value in epoch.metrics.values())
    once = training.test()
    assert {"test/loss", "test/accuracy", "test/f1_macro", "test/ece"} <= set(once)
    assert set(once) <= {"test/loss", "test/accuracy", *(f"test/{name}" for name in verdicts.NUMBERS)}
    assert training.ledger.train_seconds > 0
    assert training.ledger.compile_seconds > 0
    assert all(0 < report.step <= training.plan.total_steps for report in reports)


def test_readings_follow_the_device_and_are_those_of_a_training_that_ends_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(alone, "SECONDS_BETWEEN_READINGS", 0.0)
    reports: list[Chunk] = []
    one_step_each = ("train.lowering=reference", "schedule=constant")
    list(begun(tiny(*one_step_each), digits()).epochs(reports.append))
    assert [report.step for report in reports if report.epoch == 1] == [1, 2, 3, 4, 5]
    readings = [report.reading for report in reports if report.epoch == 1 and report.reading]
    assert [reading.step for reading in readings] == [1, 2, 3]  # two dispatches behind the host
    for reading in readings:
        ended = trained(*one_step_each, f"train.steps={reading.step}").ledger.history[-1].metrics
        assert (reading.loss, reading.measured) == (ended["train/loss"], ended["train/accuracy"])


def test_what_only_fills_a_batch_up_counts_nothing() -> None:
    examples = digits().val
    cut = batches(examples, 64, here())
    assert [len(batch.labels) for batch in cut] == [64] * len(cut)
    assert sum(float(batch.weights.sum()) for batch in cut) == len(examples)
    found = np.concatenate([np.asarray(batch.inputs)[np.asarray(batch.weights) > 0] for batch in cut])
    np.testing.assert_array_equal(found, examples.inputs)
    sizes = [trained(f"train.evaluation_batch_size={size}").ledger.history[-1].metrics for size in (7, 64, 500)]
    assert sizes[0]["val/loss"] == pytest.approx(sizes[1]["val/loss"], rel=1e-5) == pytest.approx(sizes[2]["val/loss"])
    assert sizes[0]["val/accuracy"] == sizes[1]["val/accuracy"] == sizes[2]["val/accuracy"]


# Where the loss is lost


def test_a_loss_that_is_not_finite_ends_training_with_what_is_known() -> None:
    training = begun(tiny("optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant"), digits())
    with pytest.raises(NonFiniteError) as caught:
        list(training.epochs())
    [line] = str(caught.value).splitlines()
    first = float(line.split("last finite loss ")[1].rstrip(")"))
    assert line == (
        "loss: must stay finite, was not at step 2 under learning rate 1e+30 "
        f"(last finite loss {first:.4g})"
    )  # fmt: skip
    assert 1 < first < 10
    assert caught.value.exit_status == 1


def test_the_last_good_epoch_is_named_too() -> None:
    # Two epochs of nothing, then a rate that nothing survives.
    overrides = (
        "train.epochs=4", "optimizer=sgd", "optimizer.learning_rate=1e-20",
        "schedule={name: piecewise_constant_schedule, boundaries_in: epochs, boundaries_and_scales: {2: 1e38}}",
        "optimizer.learning_rate=1e-6",
    )  # fmt: skip
    training = begun(tiny(*overrides), digits())
    with pytest.raises(
        NonFiniteError, match=r"was not at step 12 under learning rate 1e\+32 \(last finite loss .*, "
    ) as caught:
        list(training.epochs())
    accuracy = training.ledger.history[-1].metrics["val/accuracy"]
    assert str(caught.value).endswith(f", epoch 2: val/accuracy {accuracy:.4f})")


# It learns


@pytest.mark.slow
def test_textbook_gradient_descent_on_squared_errors_learns_the_digits() -> None:
    textbook = (
        "model.layers=[flatten, {dense: {units: 32}}, sigmoid, classifier, sigmoid]",
        "loss=squared_error", "optimizer=sgd", "optimizer.learning_rate=1.0", "schedule=constant", "train.epochs=20",
        "data.limit=null",
    )  # fmt: skip
    training = trained(*textbook, limit=None)
    assert training.test()["test/accuracy"] > 0.93
    losses = [epoch.metrics["train/loss"] for epoch in training.ledger.history]
    assert losses[-1] < losses[0] / 4


@pytest.mark.parametrize(
    "overrides",
    [("train.precision=bfloat16",), ("augment={random_crop: {padding: 1}}",), ("loss=hinge",)],
    ids=["bfloat16", "augmented", "hinge"],
)
def test_it_learns_also_with(overrides: tuple[str, ...]) -> None:
    steady = ("optimizer.learning_rate=0.01", "train.epochs=4", "data.limit=null")
    training = trained(*steady, *overrides, limit=None)
    assert training.test()["test/accuracy"] > 0.7
    assert {leaf.dtype.name for leaf in jax.tree.leaves(training.state.params)} == {"float32"}


@pytest.mark.slow
def test_one_dimensional_signals_are_learnt(tmp_path: Path) -> None:
    signals = tiny(
        "data=arrays", f"data.root={arrays_file(tmp_path)}", "data.axes=lc", "optimizer.learning_rate=0.02",
        "model.layers=[{conv: {filters: 4, kernel_size: 3, padding: causal, dilation: 2}}, relu, global_avg_pool, "
        "classifier]",
        "train.epochs=30", "train.batch_size=16",
    )  # fmt: skip
    training = begun(signals, data.load(signals.data))
    assert training.plan.program.network.input_shape == (16, 1)
    list(training.epochs())
    assert training.test()["test/accuracy"] > 0.9


# The same in another process

PROGRAM = """
import hashlib, sys
import jax, numpy as np
sys.path[:0] = sys.argv[1:]
from test_alone import digest
print(digest())
"""


def digest() -> str:
    """What a short training comes to, to the last bit."""
    training = trained("augment=crop_flip", "optimizer=momentum")
    sha = hashlib.sha256(repr([epoch.metrics | {"images_per_second": 0} for epoch in training.ledger.history]).encode())
    for leaf in jax.tree.leaves(training.state.params):
        sha.update(np.asarray(leaf).tobytes())
    return sha.hexdigest()


@pytest.mark.slow
def test_another_process_comes_to_the_same_numbers() -> None:
    tests = Path(__file__).parent.parent
    command = [sys.executable, "-c", PROGRAM, str(tests), str(tests / "training")]
    done = subprocess.run(command, cwd=tests.parent, capture_output=True, text=True)
    assert done.stdout.strip() == digest(), done.stderr
