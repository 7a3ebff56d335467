"""The figures of a member are drawn while the next one trains."""

import dataclasses
import threading
from pathlib import Path

import pytest
from commands import Runner
from sweep.swept import TRACKED

from runner.observers.recorder import Recorder
from runner.run_figures import first_filters
from runner.run_figures.subject import Subject
from runner.training.member import Member
from runner.training.plan import Plan

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # from MLflow's use of SQLAlchemy
SECONDS = 60  # until a test that fails gives up


@pytest.mark.slow  # a sweep with MLflow
def test_the_figures_of_a_member_do_not_delay_the_next_one(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    began, next_begins = threading.Event(), Recorder.begins
    in_time: list[bool] = []

    def begins(self: Recorder, member: Member, plan: Plan) -> None:
        next_begins(self, member, plan)
        if member.number == 1:
            began.set()

    def draw(subject: Subject) -> bytes:
        in_time.append(began.wait(SECONDS))  # the first member's figure is finished only after the second one began
        return first_filters.draw(subject)

    monkeypatch.setattr(Recorder, "begins", begins)
    monkeypatch.setattr(first_filters, "FIGURE", dataclasses.replace(first_filters.FIGURE, draw=draw))
    own = ("figures.draw=[first_filters]", "sweep.log_models=all", "sweep.strategy=loop", "hydra.sweep.dir=swept")
    assert runner("-m", *TRACKED[:-1], "train.epochs=1", "seed=0,1", *own).status == 0
    assert in_time == [True, True]
    assert len(list(Path("swept").glob("*/figures/first_filters.png"))) == 2
