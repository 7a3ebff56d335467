"""Members and sweeps that are wrong or fail: what is said before anything runs, and that no other member is lost."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from configurations import fail_in_test
from swept import TRACKED, UNTRACKED, found

from runner import serving
from runner.sweep import session

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]


# What is checked before anything runs


def test_all_that_is_wrong_with_all_members_is_told_before_anything_runs(
    runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "train_group", lambda *arguments, **named: pytest.fail("trained"))
    done = runner("-m", *UNTRACKED, "train.epochs=1,0", "optimizer.learning_rate=0.1,-1", "seed=0,1")
    assert done.status == 2
    assert done.err.splitlines() == [
        "optimizer.learning_rate: must be ≥ 0, got -1 (member 2: epochs=1 learning_rate=-1 seed=0 and 3 more)",
        "train.epochs: must be ≥ 1, got 0 (member 4: epochs=0 learning_rate=0.1 seed=0 and 3 more)",
    ]
    done = runner("-m", *UNTRACKED, "train.batch_size=32,161,170", "trian.epochs=3")
    assert done.err.splitlines() == ['trian: unknown key "trian"; did you mean "train"?']  # of all, so of none
    done = runner("-m", *UNTRACKED, "train.batch_size=32,161,170")
    assert done.err.splitlines() == [
        "train.batch_size: must be at most the 160 training images, got 161 (member 1: batch_size=161)",
        "train.batch_size: must be at most the 160 training images, got 170 (member 2: batch_size=170)",
    ]


def test_a_sweep_that_cannot_begin_shows_its_error_alone(runner: Runner) -> None:
    done = runner("-m", *UNTRACKED, "data=arrays", "data.root=no.npz", "seed=0,1")
    assert (done.status, done.out) == (2, "")
    assert done.err == "data.root: must be an .npz file of arrays, got no.npz\n"


def test_a_member_that_fails_costs_no_other(runner: Runner) -> None:
    sgd = ("optimizer=sgd", "schedule=constant", "optimizer.learning_rate=0.1,1e30,0.05")
    done = runner("-m", *TRACKED, *sgd)
    assert done.status == 1
    assert "learning_rate=1e+30  failed: loss: must stay finite, was not at step 2" in done.out
    [parent], members = found()
    assert [run.info.status for run in members] == ["FINISHED", "FAILED", "FINISHED"]
    assert members[1].data.tags["failure"].startswith("loss: must stay finite, was not at step 2 under learning rate")
    assert parent.info.status == "FINISHED"
    assert {name: value for name, value in parent.data.metrics.items() if name.startswith("members")} == {
        "members": 3,
        "members_finished": 2,
        "members_failed": 1,
    }
    logs = {path.parent.name: path.read_text() for path in Path("outputs/sweeps").rglob("runner.log")}
    assert logs["0"].count(" epoch ") == 2
    # What failed is tried again, what finished is not; and nothing is there twice.
    again = runner("-m", *TRACKED, *sgd)
    assert again.status == 1
    assert again.out.count("failed: loss") == 1
    assert "learning_rate=0.1 " not in again.out.split("failed: loss")[0]
    _, members = found()
    assert Counter(run.data.params["optimizer.learning_rate"] for run in members) == {"0.1": 1, "1e+30": 1, "0.05": 1}


# What fails at the end of a member


@pytest.mark.slow
def test_a_member_whose_test_fails_costs_no_other(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_in_test(monkeypatch, 1)
    done = runner("-m", *TRACKED, "seed=0,1,2", "sweep.strategy=vmap")
    assert done.status == 1
    assert len([line for line in done.out.splitlines() if "seed=1  failed: of ours" in line]) == 1
    [parent], members = found()
    assert parent.info.status == "FINISHED"
    assert [run.info.status for run in members] == ["FINISHED", "FAILED", "FINISHED"]
    assert members[1].data.tags["failure"] == "of ours"


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["parallel", "vmap"])
def test_a_model_that_cannot_be_recorded_costs_no_member(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, strategy: str
) -> None:
    save = serving.save_model

    def failing(folder: Path, **named: Any) -> Any:
        if folder.parent.name == "1":
            raise ZeroDivisionError("of ours")
        return save(folder, **named)

    monkeypatch.setattr(serving, "save_model", failing)
    done = runner("-m", *TRACKED, "seed=0,1,2", f"sweep.strategy={strategy}", "sweep.log_models=all")
    assert done.status == 1
    assert "unexpected error" in done.err
    [parent], members = found()
    assert [run.info.status for run in [parent, *members]] == ["FINISHED"] * 4
    assert all("test_accuracy" in run.data.metrics for run in members)
    assert runner("-m", *TRACKED, "seed=0,1,2", f"sweep.strategy={strategy}").out.count("seed=") == 0
