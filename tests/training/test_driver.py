"""Members against the same members alone, in every mode of the driver; and what observers are told."""

import functools
import gc
import os
import signal
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from configurations import UNTRACKED, begun, composed, fail_in_test, here, parse, tiny

from runner import data, interrupts
from runner.data import Dataset
from runner.errors import TrackingError, TrainingError, must
from runner.trained import Trained
from runner.training import driver
from runner.training.alone import Chunk, Snapshot, Training
from runner.training.driver import Ended, Mode
from runner.training.ledger import Epoch, Ledger
from runner.training.mapped import Mapped
from runner.training.member import Context, Member
from runner.training.observer import Events, Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan, planned

MODES: tuple[Mode, ...] = ("sequential", "threaded", "vmapped")
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
)
RATES = (0.03, 0.003, 0.01)


@functools.cache
def digits() -> Dataset:
    return data.load(tiny().data)


def members(*overrides: str, rates: Sequence[float] = RATES) -> list[Member]:
    """Members that differ in learning rate, seed and a strength of the augmentation."""
    found = []
    for number, rate in enumerate(rates):
        varied = {"optimizer.learning_rate": rate, "seed": number, "augment.cutout.fill": number / 10}
        experiment = parse(composed(*BUSY, *overrides, *(f"{path}={value}" for path, value in varied.items())))
        found.append(Member(number, str(number), experiment, Context(Path(), UNTRACKED)))
    return found


def plan_of(member: Member) -> Plan:
    return planned(member.experiment, digits(), here())


class Heard(Observer):
    """Remembers every event; ends members, or raises, when it is told to."""

    def __init__(self, stop: dict[int, int] | None = None, raises: dict[str, Exception] | None = None) -> None:
        self.stop, self.raises = stop or {}, raises or {}
        self.events: list[tuple[str, int]] = []
        self.trained: dict[int, Trained | None] = {}
        self.outcomes: dict[int, Outcome] = {}
        self._lock = threading.Lock()

    def hears(self, event: str, member: Member) -> None:
        with self._lock:
            self.events.append((event, member.number))
        if event in self.raises:
            raise self.raises[event]

    def begins(self, member: Member, plan: Plan) -> None:
        self.hears("begins", member)

    def chunk(self, member: Member, chunk: Chunk) -> None:
        self.hears("chunk", member)

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        assert ledger.history[-1] is epoch
        self.hears(f"epoch {epoch.number}", member)
        return "told to" if self.stop.get(member.number) == epoch.number else ""

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        self.outcomes[member.number], self.trained[member.number] = outcome, trained
        self.hears("ends", member)


def trained(some: list[Member], mode: Mode, *observers: Observer) -> list[Ended]:
    return driver.train(some, plan_of, Events(observers), mode=mode)


@functools.cache
def alone() -> tuple[Training, ...]:
    """The same members, each trained by itself."""
    found = tuple(begun(member.experiment, digits()) for member in members())
    for training in found:
        list(training.epochs())
    return found


def history(metrics: Sequence[Any]) -> list[dict[str, float]]:
    """The metrics of every epoch, without the time that it took."""
    return [epoch | {"images_per_second": 0.0} for epoch in metrics]


def epochs(training: Training) -> list[dict[str, float]]:
    return history([epoch.metrics for epoch in training.ledger.history])


@pytest.mark.parametrize("mode", ["sequential", "threaded"])
def test_a_member_is_bit_for_bit_what_it_is_alone(mode: Mode) -> None:
    heard = Heard()
    for (outcome, error), other in zip(trained(members(), mode, heard), alone(), strict=True):
        assert error is None
        assert history(outcome.history) == epochs(other)
        assert outcome.reason == other.ledger.end_reason
        assert {name: value for name, value in outcome.metrics.items() if name.startswith("test/")} == other.test()
        kept = heard.trained[outcome.number]
        assert kept is not None
        jax.tree.map(np.testing.assert_array_equal, (kept.params, kept.statistics), tuple(other.learnt))
    assert len({len(training.ledger.history) for training in alone()}) > 1, "they should end at different times"


def test_a_mapped_member_is_what_it_is_alone_within_rounding() -> None:
    for (outcome, error), other in zip(trained(members(), "vmapped"), alone(), strict=True):
        assert error is None
        assert outcome.reason == other.ledger.end_reason
        for one, two in zip(history(outcome.history), epochs(other), strict=True):
            assert one == pytest.approx(two, rel=2e-3, abs=1e-5)
        assert outcome.metrics["test/loss"] == pytest.approx(other.test()["test/loss"], rel=2e-3)
        assert other.ledger.best is not None
        assert outcome.metrics["best/epoch"] == other.ledger.best.number
    assert len({len(training.ledger.history) for training in alone()}) > 1, "they should end at different times"


@pytest.mark.parametrize("mode", MODES)
def test_who_loses_its_loss_or_is_stopped_leaves_the_others_as_they_are(mode: Mode) -> None:
    more = members("train.early_stopping=null", rates=(*RATES, 1e30, 0.02))
    ended = trained(more, mode, Heard(stop={4: 2}))
    assert [one.outcome.status for one in ended] == ["FINISHED"] * 3 + ["FAILED", "FINISHED"]
    assert ended[3].outcome.reason.startswith("loss: must stay finite, was not at step ")
    assert (len(ended[4].outcome.history), ended[4].outcome.reason) == (2, "told to")
    one = begun(more[0].experiment, digits())
    list(one.epochs())
    assert ended[0].outcome.metrics["test/loss"] == pytest.approx(one.test()["test/loss"], rel=2e-3)


# Events


@pytest.mark.parametrize("mode", MODES)
def test_each_event_reaches_each_observer_once_for_each_member(mode: Mode) -> None:
    first, second = Heard(), Heard()
    some = members("train.epochs=2", "train.early_stopping=null")
    trained(some, mode, first, second)
    for heard in (first, second):
        for member in some:
            own = [event for event, number in heard.events if number == member.number and event != "chunk"]
            assert own == ["begins", "epoch 1", "epoch 2", "ends"]
            assert heard.events.count(("chunk", member.number)) >= 2
    assert sorted(first.events) == sorted(second.events)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("event", [pytest.param("begins", marks=pytest.mark.slow), "chunk", "epoch 1", "ends"])
def test_an_observer_that_raises_costs_neither_the_others_nor_training(mode: Mode, event: str) -> None:
    broken, other = Heard(raises={event: ZeroDivisionError("of ours")}), Heard()
    events = Events([broken, other])
    some = members("train.epochs=2", "train.early_stopping=null", rates=RATES[:2])
    ended = driver.train(some, plan_of, events, mode=mode)
    assert [one.outcome.status for one in ended] == ["FINISHED"] * 2
    assert sorted(other.events) == sorted(broken.events)
    assert {repr(error) for error in events.errors} == {"ZeroDivisionError('of ours')"}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("event", ["begins", "epoch 1"])
def test_a_store_that_cannot_be_opened_ends_the_training_by_its_one_line(mode: Mode, event: str) -> None:
    mistake = TrackingError(must("tracking.uri", "be a store", "nowhere"))
    heard = Heard()
    [ended] = trained(members(rates=RATES[:1]), mode, Heard(raises={event: mistake}), heard)
    assert ended == Ended(heard.outcomes[0], mistake)
    assert (ended.outcome.status, ended.outcome.reason) == ("FAILED", "tracking.uri: must be a store, got nowhere")
    assert heard.trained == {0: None}


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("event", ["begins", "chunk", "epoch 1"])
def test_a_mistake_that_an_observer_finds_ends_its_own_member_alone(mode: Mode, event: str) -> None:
    class Strict(Heard):
        def hears(self, event: str, member: Member) -> None:
            if member.number == 1:
                super().hears(event, member)

    mistake = TrackingError(must("tracking.uri", "be a store", "nowhere"))
    some = members("train.epochs=2", "train.early_stopping=null")
    ended = trained(some, mode, Strict(raises={event: mistake}))
    assert [one.outcome.status for one in ended] == ["FINISHED", "FAILED", "FINISHED"]
    assert ended[1].error is mistake


@pytest.mark.slow
@pytest.mark.parametrize("mode", [pytest.param("sequential", marks=pytest.mark.slow), "vmapped"])
def test_members_that_failed_hold_nothing_on_the_device(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_test(monkeypatch, *range(6))
    some = members("train.epochs=1", rates=(0.01,) * 6)
    counts, ended = [], list[Ended]()
    for _ in range(2):
        ended += trained(some, mode)
        gc.collect()
        counts.append(len(jax.live_arrays()))
    assert {repr(one.error) for one in ended} == {"ZeroDivisionError('of ours')"}
    assert counts[1] - counts[0] < 10, "a state has more arrays than that"


@pytest.mark.parametrize("mode", MODES)
def test_a_member_whose_test_fails_ends_once_and_costs_no_other(mode: Mode, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_test(monkeypatch, 1)
    heard = Heard()
    ended = trained(members(), mode, heard)
    assert [one.outcome.status for one in ended] == ["FINISHED", "FAILED", "FINISHED"]
    assert [event for event in heard.events if event[0] == "ends"] == [("ends", number) for number in sorted(
        heard.outcomes, key=[number for event, number in heard.events if event == "ends"].index
    )]  # fmt: skip


@pytest.mark.parametrize("mode", MODES)
def test_an_interrupt_ends_every_member_that_started(mode: Mode) -> None:
    class Impatient(Observer):
        def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
            if member.number == 1 and epoch.number == 2:
                raise KeyboardInterrupt
            return ""

    heard = Heard()
    with pytest.raises(KeyboardInterrupt):
        trained(members("train.early_stopping=null"), mode, Impatient(), heard)
    numbers = {number for event, number in heard.events if event == "begins"}
    assert 1 in numbers
    assert {number for event, number in heard.events if event == "ends"} == numbers
    assert heard.outcomes[1].status == "KILLED"
    assert len([event for event in heard.events if event[0] == "ends"]) == len(numbers)


@pytest.mark.parametrize("mode", ["sequential", "vmapped"])  # threads are not interrupted
def test_an_interrupt_waits_until_all_observers_know_that_a_member_has_ended(mode: Mode) -> None:
    """Else a run could be finished in the store without a word to the search, which would train the member again."""

    class Interrupted(Observer):
        def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
            if member.number == 1:
                os.kill(os.getpid(), signal.SIGINT)

    heard, before = Heard(), {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interrupts.end_at_once()
    interrupts.raise_again()
    try:
        with pytest.raises(KeyboardInterrupt):
            trained(members("train.epochs=1", "train.early_stopping=null"), mode, Interrupted(), heard)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert heard.outcomes[1].status == "FINISHED"


# Memory


def crowded(monkeypatch: pytest.MonkeyPatch, most: int) -> list[int]:
    """Lets no more than so many members fit in memory. Returns a list to which every attempt is added."""
    sizes: list[int] = []
    advance = Mapped.advance

    def full(self: Mapped, *rest: Any) -> Any:
        if not self.ledgers[0].history:
            sizes.append(len(self.plans))
        if len(self.plans) > most:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes.")
        return advance(self, *rest)

    monkeypatch.setattr(Mapped, "advance", full)
    return sizes


def test_what_does_not_fit_in_memory_is_halved_and_begins_no_member_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes, heard = crowded(monkeypatch, 2), Heard()
    ended = trained(members("train.epochs=1", rates=(*RATES, 0.02, 0.005)), "vmapped", heard)
    assert sizes == [5, 3, 2, 1, 2]
    assert [one.outcome.status for one in ended] == ["FINISHED"] * 5
    for event in ("begins", "epoch 1", "ends"):
        assert sorted(number for one, number in heard.events if one == event) == [0, 1, 2, 3, 4]


def test_a_member_that_alone_does_not_fit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    crowded(monkeypatch, 0)
    for _, error in trained(members(), "vmapped"):
        assert isinstance(error, TrainingError)
        assert str(error).startswith("train.batch_size: must leave room in the device's memory (RESOURCE_EXHAUST")


@pytest.mark.parametrize("mode", MODES)
def test_a_member_that_may_not_begin_is_left_without_a_word(mode: Mode) -> None:
    heard, answers = Heard(), iter([True, False, False])
    own = members("train.epochs=1")
    ended = driver.train(own, plan_of, Events([heard]), mode=mode, most=1, may_begin=lambda: next(answers))
    [begun] = {number for _, number in heard.events}
    assert [one.outcome.number for one in ended] == [begun]
    assert ended[0].outcome.status == "FINISHED"
    again = Heard()
    rest = driver.train([one for one in own if one.number != begun], plan_of, Events([again]), mode=mode)
    assert [one.outcome.status for one in rest] == ["FINISHED"] * 2


@pytest.mark.parametrize("mode", MODES)
def test_a_member_that_cannot_be_planned_only_ends(mode: Mode) -> None:
    some = members("train.batch_size=1000", rates=RATES[:1])
    heard = Heard()
    [ended] = trained(some, mode, heard)
    assert heard.events == [("ends", 0)]
    assert ended.outcome.reason == "train.batch_size: must be at most the 160 training images, got 1000"


# Resuming


@pytest.mark.parametrize("stopped", [1, 2, 3])
def test_a_training_that_goes_on_from_a_snapshot_ends_bit_for_bit_as_if_it_had_not_stopped(stopped: int) -> None:
    plan = plan_of(members("train.early_stopping={patience: 2}")[0])
    whole, first = Training(plan), Training(plan)
    list(whole.epochs())
    for _ in range(stopped):
        first.advance()
    state, best, ledger, _ = first.snapshot
    on_disk = jax.tree.map(np.asarray, (state, best))  # on the host, as a file holds it
    first.advance()  # which takes the memory of the state that the snapshot is of
    resumed = Training(plan, Snapshot(*on_disk, Ledger.from_json(ledger.as_json())))
    list(resumed.epochs())
    assert epochs(resumed) == epochs(whole)
    assert resumed.ledger.best is not None
    assert resumed.ledger.end_reason == whole.ledger.end_reason
    jax.tree.map(np.testing.assert_array_equal, resumed.state, whole.state)
    jax.tree.map(np.testing.assert_array_equal, resumed.learnt, whole.learnt)
    assert resumed.test() == whole.test()
