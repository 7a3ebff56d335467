"""A member of a sweep against the same member alone, on every strategy."""

import functools
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
import pytest
from configurations import composed, experiment, here, parse, tiny

from runner import cores, data
from runner.data import Dataset
from runner.errors import TrainingError
from runner.fused import Fused
from runner.loop import Epoch, Loop
from runner.placement import Placement
from runner.sweep import strategies
from runner.sweep.groups import Datasets, grouped
from runner.sweep.members import Member, Proposed, validated
from runner.sweep.settings import Strategy

# Dropout, augmentation, batch normalisation, an average of the parameters, early stopping, the best state kept.
BUSY = (
    "model.name=busy",
    "model.input=null",
    # A bias before batch_norm has no gradient but rounding, which Adam would make a step of.
    "model.layers=[{conv: {filters: 4, kernel_size: 3, use_bias: false}}, batch_norm, relu, {max_pool: {size: 2}}, "
    "flatten, {dropout: {rate: 0.2}}, classifier]",
    "augment={random_crop: {padding: 1}, cutout: {size: 2}}",
    "data.limit=160",
    "train.batch_size=32",
    "train.epochs=5",
    "train.ema_decay=0.9",
    "train.keep=best",
    "train.early_stopping={patience: 1}",
    "tracking.enabled=false",
)
RATES = (0.03, 0.003, 0.01)


@functools.cache
def digits() -> Dataset:
    return data.load(tiny().data)


def members(*overrides: str, rates: Sequence[float] = RATES) -> list[Member]:
    """Members that differ in learning rate, seed and a strength of the augmentation."""
    proposed = []
    for number, rate in enumerate(rates):
        varied = {"optimizer.learning_rate": rate, "seed": number, "augment.cutout.fill": number / 10}
        config = composed(*BUSY, *overrides, *(f"{path}={value}" for path, value in varied.items()))
        proposed.append(Proposed(number, (), varied, Path(), parse(config)))
    return validated(proposed)


class Heard:
    """A watch that remembers, and stops who it is told to stop."""

    def __init__(self, stop: dict[int, int] | None = None) -> None:
        self.loops: dict[int, Loop] = {}
        self.errors: dict[int, Exception] = {}
        self.tests: dict[int, dict[str, float]] = {}
        self.stop = stop or {}

    def begins(self, member: Member, loop: Loop) -> None:
        self.loops[member.number] = loop

    def epoch(self, member: Member, loop: Loop, epoch: Epoch) -> str:
        return "told to" if self.stop.get(member.number) == epoch.number else ""

    def ends(self, member: Member, loop: Loop | None, error: Exception | None) -> None:
        if error is not None:
            self.errors[member.number] = error
        elif loop is not None:
            self.tests[member.number] = loop.test()


def trained(some: list[Member], strategy: Strategy, stop: dict[int, int] | None = None) -> Heard:
    """What is heard of members that are trained in one group."""
    heard = Heard(stop)
    [group] = grouped(some, Datasets(lambda line: None))
    strategies.train(group, strategy, lambda member: Loop(member.experiment, digits(), here()), heard, most=None)
    return heard


@functools.cache
def alone() -> tuple[Loop, ...]:
    """The same members, each trained by itself."""
    loops = tuple(Loop(member.experiment, digits(), here()) for member in members())
    for loop in loops:
        list(loop.epochs())
    return loops


def history(loop: Loop) -> list[dict[str, float]]:
    """What was measured, but for the time that it took."""
    return [epoch.metrics | {"images_per_second": 0.0} for epoch in loop.history]


@pytest.mark.parametrize("strategy", ["loop", "parallel"])
def test_a_member_is_bit_for_bit_what_it_is_alone(strategy: Strategy) -> None:
    heard = trained(members(), strategy)
    assert heard.errors == {}
    for number, other in enumerate(alone()):
        member = heard.loops[number]
        assert history(member) == history(other)
        assert member.end_reason == other.end_reason
        assert heard.tests[number] == other.test()
        jax.tree.map(np.testing.assert_array_equal, member.state, other.state)
    assert len({len(loop.history) for loop in alone()}) > 1, "they should end at different times"


def test_a_mapped_member_is_what_it_is_alone_within_rounding() -> None:
    heard = trained(members(), "vmap")
    assert heard.errors == {}
    for number, other in enumerate(alone()):
        member = heard.loops[number]
        assert [epoch.number for epoch in member.history] == [epoch.number for epoch in other.history]
        assert member.end_reason == other.end_reason
        for one, two in zip(history(member), history(other), strict=True):
            assert one == pytest.approx(two, rel=2e-3, abs=1e-5)
        assert heard.tests[number] == pytest.approx(other.test(), rel=2e-3)


@pytest.mark.parametrize("strategy", ["loop", "parallel", "vmap"])
def test_who_loses_its_loss_or_is_stopped_leaves_the_others_as_they_are(strategy: Strategy) -> None:
    more = members("train.early_stopping=null", rates=(*RATES, 1e30, 0.02))
    heard = trained(more, strategy, stop={4: 2})
    assert str(heard.errors.pop(3)).startswith("loss: must stay finite, was not at step ")
    assert heard.errors == {}
    assert sorted(heard.tests) == [0, 1, 2, 4]
    assert len(heard.loops[4].history) == 2
    assert heard.loops[4].end_reason == "told to"
    one = Loop(more[0].experiment, digits(), here())
    list(one.epochs())
    assert heard.tests[0] == pytest.approx(one.test(), rel=2e-3)


def test_what_does_not_fit_in_memory_is_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    init = Fused.__init__

    def crowded(self: Fused, loops: Sequence[Loop]) -> None:
        sizes.append(len(loops))
        if len(loops) > 2:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.")
        init(self, loops)

    monkeypatch.setattr(Fused, "__init__", crowded)
    heard = trained(members(rates=(*RATES, 0.02, 0.005)), "vmap")
    assert sizes == [5, 3, 2, 1, 2]
    assert sorted(heard.tests) == [0, 1, 2, 3, 4]


def test_a_member_that_alone_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def crowded(self: Fused, loops: Sequence[Loop]) -> None:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.")

    monkeypatch.setattr(Fused, "__init__", crowded)
    heard = trained(members(), "vmap")
    assert sorted(heard.errors) == [0, 1, 2]
    assert isinstance(heard.errors[0], TrainingError)
    assert str(heard.errors[0]).startswith("train.batch_size: must leave room in the device's memory (RESOURCE_EXHAUST")


def test_an_error_of_the_program_itself_costs_one_member_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    record = Loop.record

    def stumbling(self: Loop, *args: object) -> Epoch:
        if self.experiment.seed == 1:
            raise ZeroDivisionError("of ours")
        return record(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Loop, "record", stumbling)
    heard = trained(members(), "loop")
    assert [str(heard.errors[1]), sorted(heard.tests)] == ["of ours", [0, 2]]


def test_groups_are_structures() -> None:
    changes = [
        {"optimizer.learning_rate": 0.01},
        {"seed": 3},
        {"train.epochs": 2},
        {"model.layers.5.dropout.rate": 0.5},
        {"model.layers.0.conv.filters": 5},
        {"train.batch_size": 16},
        {"model.width": 2},
    ]
    proposed = [
        Proposed(
            number, (), dict(change), Path(), experiment(*BUSY, *(f"{key}={value}" for key, value in change.items()))
        )
        for number, change in enumerate(changes)
    ]
    groups = grouped(validated(proposed), Datasets(lambda line: None))
    assert [[member.number for member in group.members] for group in groups] == [[0, 1, 2, 3], [4], [5], [6]]
    # Those that take other steps cannot go in step.
    assert [[member.number for member in part] for part in groups[0].lockstep] == [[0, 1, 3], [2]]


def test_auto_maps_on_accelerators_and_goes_side_by_side_on_a_cpu_where_steps_are_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [group] = grouped(members(), Datasets(lambda line: None))
    monkeypatch.setattr(cores, "available", lambda: 2)
    assert strategies.chosen("auto", group) == "parallel"
    assert strategies.chosen("loop", group) == "loop"
    monkeypatch.setattr(cores, "available", lambda: 1)
    assert strategies.chosen("auto", group) == "loop"
    monkeypatch.setattr(Placement, "platform", "gpu")
    assert strategies.chosen("auto", group) == "vmap"
    [searching] = grouped(members("train.debug_nans=true"), Datasets(lambda line: None))
    assert strategies.chosen("auto", searching) == "loop"


def test_the_experiment_of_a_member_is_what_its_configuration_says() -> None:
    one = members()[1]
    expected = parse(composed(*BUSY, "optimizer.learning_rate=0.003", "seed=1", "augment.cutout.fill=0.1"))
    assert one.experiment == expected
    assert one.name == "busy learning_rate=0.003 seed=1 fill=0.1"
