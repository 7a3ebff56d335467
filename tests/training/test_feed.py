"""How images come to the device: the order of an epoch, and that every way gives the same training."""

from typing import Any

import jax
import numpy as np
import pytest
from configurations import begun, here, tiny
from hypothesis import given
from hypothesis import strategies as st

from runner import data
from runner.placement import Placement
from runner.training import feed
from runner.training.alone import Training
from runner.training.feed import Feeder, order
from runner.training.mapped import Mapped

PLAIN = "{filters: 4, kernel_size: 3}"
LARGE = "{filters: 64, kernel_size: 3}"
SIXTY_FOUR = "model.input={height: 64, width: 64}"
GROUPED = "{conv: {filters: 4, kernel_size: 3, padding: same, groups: 4}}"


@given(st.integers(0, 2**32 - 1), st.integers(0, 50), st.integers(1, 300))
def test_an_order_is_a_permutation_of_its_own_for_every_seed_and_epoch(seed: int, epoch: int, count: int) -> None:
    found = order(seed, epoch, count)
    assert sorted(found) == list(range(count))
    np.testing.assert_array_equal(found, order(seed, epoch, count))
    if count > 20:
        assert not np.array_equal(found, order(seed, epoch + 1, count))
        assert not np.array_equal(found, order(seed ^ 1, epoch, count))


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has images be held on the device, as on an accelerator, and epochs be dispatched whole."""
    monkeypatch.setattr(Placement, "platform", "gpu")


def trained(*overrides: str) -> Training:
    experiment = tiny("train.epochs=2", "train.lowering=reference", *overrides)  # whose last word counts
    training = begun(experiment, data.load(experiment.data))
    list(training.epochs())
    return training


@pytest.mark.parametrize("steps", ["train.epochs=2", "train.steps=7"])
def test_held_images_train_as_fed_ones_do(steps: str, request: pytest.FixtureRequest) -> None:
    fed = trained(steps)
    assert (fed.plan.feeder.resident, fed.plan.feeder.steps) == (False, 1)
    request.getfixturevalue("accelerator")
    held = trained(steps)
    assert (held.plan.feeder.resident, held.plan.feeder.steps) == (True, 5)
    for one, two in zip(fed.ledger.history, held.ledger.history, strict=True):
        assert one.step == two.step
        for name in ("train/loss", "val/loss", "learning_rate"):
            assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-4)


@pytest.mark.parametrize("steps", ["train.epochs=2", "train.steps=7"])
def test_steps_that_are_dispatched_together_train_as_single_ones_do(
    steps: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    several = trained(steps, "train.lowering=portable")
    assert several.plan.feeder.steps == 16
    monkeypatch.setattr(feed, "DISPATCHED_WORK", 0.0)
    single = trained(steps, "train.lowering=portable")
    assert single.plan.feeder.steps == 1
    for one, two in zip(several.ledger.history, single.ledger.history, strict=True):
        assert one.step == two.step
        for name in ("train/loss", "val/loss", "learning_rate"):
            assert one.metrics[name] == pytest.approx(two.metrics[name], rel=1e-4)


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("train.lowering=auto",), 16),
        (("train.lowering=reference",), 1),
        (("train.debug_nans=true",), 1),
        # Over 100 M multiply-adds for each of 32 images: more than a dispatch takes.
        ((f"model.layers=[{{conv: {LARGE}}}, {{conv: {LARGE}}}, flatten, classifier]", SIXTY_FOUR), 1),
        ((f"model.layers=[{{conv: {PLAIN}}}, flatten, classifier]",), 16),
        ((f"model.layers=[{{conv: {PLAIN}}}, {{residual: {{layers: [{GROUPED}]}}}}, flatten, classifier]",), 1),
    ],
)
def test_short_steps_are_dispatched_together(overrides: tuple[str, ...], expected: int) -> None:
    experiment = tiny("model.input=null", "data.limit=64", *overrides)
    assert begun(experiment, data.load(experiment.data)).plan.feeder.steps == expected


def test_what_does_not_fit_is_fed_some_steps_at_once(
    accelerator: None, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    monkeypatch.setattr(Placement, "memory_bytes", 100.0)
    monkeypatch.setattr(feed, "STREAMED_STEPS", 2)
    training = trained()  # 5 steps an epoch: 2, 2 and 1
    assert (training.plan.feeder.resident, training.plan.feeder.steps) == (False, 2)
    monkeypatch.undo()
    assert training.ledger.history[-1].metrics["val/loss"] == pytest.approx(
        trained().ledger.history[-1].metrics["val/loss"], rel=1e-4
    )


@pytest.mark.slow
def test_members_share_the_images_that_are_held(accelerator: None) -> None:
    experiments = [tiny("train.epochs=2", "train.lowering=reference", f"seed={seed}") for seed in range(3)]
    dataset = data.load(experiments[0].data)
    plans = [begun(experiment, dataset).plan for experiment in experiments]
    ended: dict[int, Training] = {}
    mapped = Mapped(plans)
    while mapped.members:
        mapped.advance()
        ended |= dict(mapped.retire())
    chunks = [next(plan.feeder.chunks(order(0, 0, 160), 5)) for plan in plans]
    assert all(chunk.feed.inputs is chunks[0].feed.inputs for chunk in chunks)
    assert ended[2].ledger.history[-1].metrics["val/loss"] == pytest.approx(
        trained("seed=2").ledger.history[-1].metrics["val/loss"], rel=1e-3
    )


def test_batches_are_those_of_the_order_and_a_last_one_is_filled_up() -> None:
    dataset = data.load(tiny().data)
    feeder = Feeder(dataset.train, here(), batch_size=32, steps_per_epoch=5)
    feeder.steps = 2
    chosen = order(3, 0, 160)
    chunks = list(feeder.chunks(chosen, 5))
    assert [(int(chunk.start), chunk.steps, len(np.asarray(chunk.feed.labels))) for chunk in chunks] == [
        (0, 2, 64),
        (0, 2, 64),
        (0, 1, 64),
    ]
    np.testing.assert_array_equal(np.asarray(chunks[1].feed.labels), dataset.train.labels[chosen[64:128]])
    np.testing.assert_array_equal(np.asarray(chunks[2].feed.inputs)[:32], dataset.train.inputs[chosen[128:]])


def test_data_of_another_size_more_epochs_and_other_numbers_compile_nothing() -> None:
    heard: list[str] = []

    def listen(event: str, duration_secs: float, **facts: Any) -> None:
        if event == "/jax/core/compile/backend_compile_duration":
            heard.append(str(facts.get("fun_name")))

    trained("model.name=first")
    jax.monitoring.register_event_duration_secs_listener(listen)
    try:
        training = trained(
            "data.limit=130", "train.epochs=3", "seed=7", "optimizer.learning_rate=0.01", "model.name=first"
        )
        training.test()
    finally:
        jax.monitoring.unregister_event_duration_listener(listen)
    assert len(training.plan.dataset.train) == 130
    assert [name for name in heard if any(own in name for own in ("init", "advance", "evaluate"))] == []


def test_images_lie_on_the_device_once_whatever_the_batch_size(accelerator: None) -> None:
    experiments = [tiny(f"train.batch_size={size}") for size in (16, 32)]
    dataset = data.load(experiments[0].data)
    chunks = [next(begun(one, dataset).plan.feeder.chunks(order(0, 0, 160), 5)) for one in experiments]
    assert chunks[0].feed.inputs is chunks[1].feed.inputs
    assert begun(experiments[0], dataset).plan.held_out is begun(experiments[1], dataset).plan.held_out
