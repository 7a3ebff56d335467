"""What a sweep keeps of its members while they train: the best one, what it costs to find it, and its tags."""

import random
from pathlib import Path
from typing import Any

import pytest

from runner.sweep import children as module
from runner.sweep.children import Children
from runner.sweep.results import MemberResult, Objectives, ranked
from runner.sweep.session import Session

ACCURACY: Objectives = (("val/accuracy", "maximize"),)
LOSS: Objectives = (("val/loss", "minimize"),)


def result(number: int, value: float, status: Any = "FINISHED") -> MemberResult:
    metrics = {"val/accuracy": value, "val/loss": value}
    return MemberResult(number, str(number), (), {}, status, metrics=metrics)


class Earlier:
    """A search that knows members of an earlier session."""

    def __init__(self, results: list[MemberResult]) -> None:
        self.results = results

    def earlier(self) -> list[MemberResult]:
        return self.results


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
    study: Any = Earlier(results[:before])
    children = Children({}, "", objectives, study)
    children.log_models = "none"
    compared: list[int] = []

    def counted(found: list[MemberResult], by: Objectives) -> list[MemberResult]:
        compared.append(len(found))
        return ranked(found, by)

    monkeypatch.setattr(module, "ranked", counted)
    absent: Any = None
    for one in results[before:]:
        children._keep(one, absent, absent, one)  # type: ignore[arg-type]  # what the member is makes no difference
    leaders = ranked(results, objectives)
    expected = leaders[0] if leaders and leaders[0].number >= before else None
    assert (children.best and children.best.member) is expected
    assert len(compared) == count
    assert max(compared) <= 2


def test_sweeps_of_two_days_share_no_tag() -> None:
    def tags(folder: str) -> dict[str, str]:
        return Session(command="", folder=Path(folder).absolute()).children.tags  # type: ignore[return-value]

    first, second = (tags(f"outputs/sweeps/2026-01-0{day}/05-12-33") for day in (1, 2))
    assert first["sweep"] == "outputs/sweeps/2026-01-01/05-12-33"
    assert not set(first.items()) & set(second.items())
    # Nor do two that are named alike, in a store that both share.
    assert tags("mine")["sweep.identity"] != tags("mine")["sweep.identity"]
