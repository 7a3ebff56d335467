"""A search that is killed again and again proposes what it would have proposed: everything it knows is stored."""

from pathlib import Path
from typing import Any

import pytest
from studies import WIDE, came, opened

from runner.sweep.search import Suggestion

pytestmark = pytest.mark.slow  # a study is opened three times
EXCLUDING = ("train.batch_size * optimizer.learning_rate < 0.4",)


def accuracy(one: Suggestion) -> float:
    rate, width = float(one.varied["optimizer.learning_rate"]), int(one.varied["model.width"])
    return 1 / (1 + abs(rate - 0.01) + 0.1 * width)


def proposed(folder: Path, kills: set[int], **fields: Any) -> dict[int, tuple[str, ...]]:
    """The overrides of all members by number, where the process is killed before these members end."""
    study, found, left = opened(folder, WIDE, **fields), dict[int, tuple[str, ...]](), set(kills)
    while asked := study.ask():
        for one in asked:
            assert found.setdefault(one.number, one.overrides) == one.overrides
        for one in asked:
            if not study.is_waiting_for(one.number):  # it had ended before the kill
                continue
            if one.number in left:
                left.remove(one.number)
                study = opened(folder, WIDE, **fields)  # as a new process does
                break
            study.tell(came(one, accuracy(one)))
    return found


@pytest.mark.parametrize("constraints", [(), EXCLUDING], ids=["free", "constrained"])
@pytest.mark.parametrize(
    ("sampler", "kills"), [("tpe", {2, 13}), ("cmaes", {7, 8}), ("nsga2", {2, 9}), ("random", {1, 13})]
)
def test_a_search_that_is_killed_proposes_what_it_would_have_proposed(
    tmp_path: Path, sampler: str, kills: set[int], constraints: tuple[str, ...]
) -> None:
    fields = {"sampler": sampler, "trials": 16, "batch": 4, "constraints": list(constraints)}
    (tmp_path / "whole").mkdir()
    (tmp_path / "killed").mkdir()
    whole = proposed(tmp_path / "whole", set(), **fields)
    assert len(whole) == 16
    assert proposed(tmp_path / "killed", kills, **fields) == whole
