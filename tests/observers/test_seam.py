"""A new observer is one short file, given to the driver beside others: the one in CONTRIBUTING.md, in every mode."""

import runpy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import UNTRACKED, here, tiny
from contributing import example

from runner import data
from runner.training import driver
from runner.training.driver import Mode
from runner.training.ledger import Epoch, Ledger
from runner.training.member import Context, Member
from runner.training.observer import Events, Observer
from runner.training.plan import Plan, planned

ADDED = example("Add an observer")


class Counter(Observer):
    """Another observer beside it."""

    def __init__(self) -> None:
        self.epochs = 0

    def epoch(self, member: Member, epoch: Epoch, ledger: Ledger) -> str:
        self.epochs += 1
        return ""


@pytest.mark.parametrize("mode", ["sequential", "threaded", "vmapped"])
def test_an_observer_is_added_by_one_short_file(mode: Mode, tmp_path: Path) -> None:
    assert len(ADDED.splitlines()) < 30
    file = tmp_path / "rates.py"
    file.write_text(ADDED, encoding="utf-8")
    added: Any = runpy.run_path(str(file))
    rates, counter = tmp_path / "rates.csv", Counter()
    events = Events([counter, added["RatesToCsv"](rates), Counter()])
    experiments = [tiny("schedule=constant", f"optimizer.learning_rate={rate}") for rate in (0.01, 0.002)]
    members = [Member(n, str(n), experiment, Context(Path(), UNTRACKED)) for n, experiment in enumerate(experiments)]
    digits = data.load(experiments[0].data)

    def plan_of(member: Member) -> Plan:
        return planned(member.experiment, digits, here())

    ended = driver.train(members, plan_of, events, mode=mode)
    assert ([one.outcome.status for one in ended], events.errors) == (["FINISHED"] * 2, [])
    assert counter.epochs == 4
    rows = [line.split(",") for line in rates.read_text(encoding="utf-8").splitlines()]
    found = sorted((int(member), int(epoch), float(rate)) for member, epoch, rate in rows)
    expected = [(0, 1, 0.01), (0, 2, 0.01), (1, 1, 0.002), (1, 2, 0.002)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
