"""What a sweep keeps of its members while they train: the best one, what it costs to find it, and its tags."""

import os
import random
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from runner import interrupts
from runner.sweep import tally
from runner.sweep.results import ranked
from runner.sweep.session import Session
from runner.sweep.settings import Objectives
from runner.sweep.tally import Leader, Tally
from runner.training.outcome import Outcome

ACCURACY: Objectives = (("val/accuracy", "maximize"),)
LOSS: Objectives = (("val/loss", "minimize"),)


def result(number: int, value: float, status: Any = "FINISHED") -> Outcome:
    metrics = {"val/accuracy": value, "val/loss": value}
    return Outcome(number, str(number), (), {}, status, metrics=metrics)


@pytest.mark.parametrize("count", [1, 50, 1000])
@pytest.mark.parametrize("objectives", [ACCURACY, LOSS])
@pytest.mark.parametrize("before", [0, 20])
def test_the_best_member_is_found_by_comparing_each_with_one_other(
    monkeypatch: pytest.MonkeyPatch, count: int, objectives: Objectives, before: int
) -> None:
    chance = random.Random(count + before)
    results = [
        result(
            number, chance.randrange(100) / 100 if number % 7 else float("nan"), chance.choice(["FINISHED", "PRUNED"])
        )
        for number in range(before + count)
    ]
    compared: list[int] = []

    def counted(found: list[Outcome], by: Objectives) -> list[Outcome]:
        compared.append(len(found))
        return ranked(found, by)

    leader = Leader(objectives, results[:before])
    monkeypatch.setattr(tally, "ranked", counted)
    best = None
    for one in results[before:]:
        best = one if leader.is_beaten_by(one) else best
    leaders = ranked(results, objectives)
    assert best is (leaders[0] if leaders and leaders[0].number >= before else None)
    assert len(compared) == count
    assert max(compared) <= 2


def test_sweeps_of_two_days_share_no_tag() -> None:
    def tags(folder: str) -> dict[str, str]:
        return Session(command="", folder=Path(folder).absolute()).tags

    first, second = (tags(f"outputs/sweeps/2026-01-0{day}/05-12-33") for day in (1, 2))
    assert first["sweep"] == "outputs/sweeps/2026-01-01/05-12-33"
    assert not set(first.items()) & set(second.items())
    # Nor do two that are named alike, in a store that both share.
    assert tags("mine")["sweep.identity"] != tags("mine")["sweep.identity"]


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Signals do what they do in a command."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interrupts.end_at_once()
    interrupts.raise_again()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class Store:
    """A recorder, the runs of its members, and the search that is told of them; one of its steps is interrupted."""

    ended, begun, known_id = False, False, "ab12"

    def __init__(self, step: str) -> None:
        self.step = step
        self.told: list[int] = []

    def interrupt(self, step: str) -> None:
        if step == self.step:
            self.step = ""
            os.kill(os.getpid(), signal.SIGINT)

    def run_of(self, number: int) -> "Store":
        return self

    def wait(self, report: Any) -> None:
        self.interrupt("wait")

    def earlier(self) -> list[Outcome]:
        return []

    def tell(self, outcome: Outcome) -> None:
        self.interrupt("tell")
        self.told.append(outcome.number)


@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize("step", ["wait", "tell"])
def test_an_interrupt_loses_no_outcome_on_its_way_to_the_search(step: str) -> None:
    store = Store(step)
    found = Tally(cast(Any, store), cast(Any, store), cast(Any, store))
    for number in (1, 2):
        found.ends(cast(Any, result(number, 0.5)), result(number, 0.5), None)
    with pytest.raises(KeyboardInterrupt):
        found.settle(wait=True)
    found.settle(wait=True)  # as at the end of an interrupted sweep
    assert store.told == [1, 2]
