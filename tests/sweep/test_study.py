"""A search against Optuna's own storage, reopened: nothing twice, nothing lost."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import optuna
import pytest
from studies import GRID, came, opened, waiting

from runner.errors import ConfigError


def test_a_grid_is_proposed_once_as_a_whole(tmp_path: Path) -> None:
    study = opened(tmp_path)
    asked = study.ask()
    assert [one.number for one in asked] == list(range(6))
    assert [tuple(one.varied.values()) for one in asked] == [(rate, seed) for rate in (0.1, 0.01) for seed in range(3)]
    assert asked[0].overrides == ("++optimizer.learning_rate=0.1", "seed=0")
    for one in asked:
        study.tell(came(one))
    assert study.ask() == []


def test_ended_members_are_stored_and_failed_ones_tried_again(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first, second, third, *_ = study.ask()
    study.tell(came(first))
    study.tell(came(second, status="FAILED", metrics={}, history=(), reason="loss: must stay finite"))
    study.tell(came(third, status="PRUNED"))
    study.remember("run_id", "abc")

    again = opened(tmp_path)
    assert again.id == study.id
    assert again.recall("run_id") == "abc"
    assert again.recall("folder") is None
    assert again.earlier() == [came(first), came(third, status="PRUNED")]
    # First the batch that was not ended, as it was, whose other members can be needed to train those that are left.
    asked = again.ask()
    assert [one.number for one in asked] == [0, 1, 2, 3, 4, 5]
    assert sorted(again.ended_before()) == [0, 1, 2]
    for one in asked[3:]:
        again.tell(came(one))
    [retried] = again.ask()
    assert (retried.number, retried.varied) == (6, second.varied)
    again.tell(came(retried))
    assert opened(tmp_path).ask() == []
    assert len(opened(tmp_path).earlier()) == 6


def test_a_member_with_nan_is_neither_best_nor_tried_again(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first, second, third, *_ = study.ask()
    study.tell(came(first, float("nan")))
    study.tell(came(second, metrics={}))
    study.tell(came(third, float("inf")))
    again = opened(tmp_path)
    assert [result.number for result in again.earlier()] == [0, 1, 2]
    assert [one.number for one in waiting(again)] == [3, 4, 5]


def test_an_epoch_that_is_trained_again_counts_once(tmp_path: Path, searches: list[optuna.Study]) -> None:
    study = opened(tmp_path, pruner={"name": "median"})
    first, *_ = study.ask()
    for epoch, value in ((1, 0.1), (2, 0.2), (1, 0.9), (2, 0.9), (3, 0.3)):
        study.report(first.number, epoch, value)
    assert searches[-1].trials[0].intermediate_values == {1: 0.1, 2: 0.2, 3: 0.3}


def test_trials_of_other_programs_are_ignored(tmp_path: Path) -> None:
    study = opened(tmp_path)
    stored = optuna.load_study(study_name=study.id, storage=f"sqlite:///{tmp_path}/sweeps.db")
    stored.add_trial(optuna.trial.create_trial(value=1.0))
    assert len(opened(tmp_path).ask()) == 6


def test_trials_keep_their_numbers(tmp_path: Path, searches: list[optuna.Study]) -> None:
    limits: dict[str, Any] = {"sampler": "random", "constraints": ["a < 300"], "batch": 4}
    study = opened(tmp_path, ("++a=range(0,1000)",), trials=8, **limits)
    while asked := study.ask():
        for one in asked:
            study.tell(came(one))

    def places() -> dict[int, Any]:
        ended = searches[-1].get_trials(states=[optuna.trial.TrialState.COMPLETE])
        return {trial.number: trial.params["a"] for trial in ended}

    before = places()
    assert len(before) == 8
    assert max(before) > 7
    opened(tmp_path, ("++a=range(0,1000)",), trials=8, **limits)
    assert places() == before


def test_a_changed_space_is_refused_with_the_difference(tmp_path: Path) -> None:
    opened(tmp_path, name="mine")
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, ("++optimizer.learning_rate=0.1,0.3", "seed=range(0,3)"), {"loss.name": "y"}, name="mine")
    assert str(caught.value).splitlines() == [
        "loss.name: must be the value with which the sweep started (x), got y",
        "sweep.space.optimizer.learning_rate: must be the value with which the sweep started (0.1,0.01), got 0.1,0.3",
        "sweep: a sweep with other settings exists; set sweep.resume=never or choose another sweep.name",
    ]


def test_a_sweep_is_restarted_or_continued_by_name(tmp_path: Path) -> None:
    first = opened(tmp_path)
    assert first.id.startswith("learning_rate-seed-")
    assert opened(tmp_path).id == first.id
    assert opened(tmp_path, resume="never").id == f"{first.id}-2"
    assert opened(tmp_path, resume="never").id == f"{first.id}-3"
    assert opened(tmp_path, resume=first.id, trials=99, strategy="loop").id == first.id
    assert opened(tmp_path, (*GRID, "++tracking.run_name=x", "++sweep.trials=7")).id == first.id
    assert opened(tmp_path, (*GRID, "++train.epochs=7")).id != first.id
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, resume="learning_rate-seed")
    assert str(caught.value).startswith('sweep.resume: unknown sweep "learning_rate-seed"; ')


def test_a_storage_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "sweeps.db").write_text("no database, but long enough to be looked at" * 10)
    with pytest.raises(ConfigError, match=r"^sweep.storage: must be a storage that Optuna can open \(") as caught:
        opened(tmp_path)
    assert len(str(caught.value).splitlines()) == 1


def test_a_member_that_ended_without_tell_is_adopted(tmp_path: Path) -> None:
    study = opened(tmp_path)
    first, second, *_ = study.ask()
    study.tell(came(first))
    again = opened(tmp_path)
    again.adopt(came(second, number=4))
    again.adopt(came(first))  # is known
    assert [result.number for result in again.earlier()] == [0, 4]
    asked = waiting(again)
    assert [one.number for one in asked] == [2, 3, 4, 5]
    assert second.varied not in [one.varied for one in asked]
    assert again.ask() == []


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from pathlib import Path
from studies import came, opened, waiting
study = opened(Path({folder!r}))
for count, one in enumerate(waiting(study)):
    if count == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    study.tell(came(one))
"""


def test_a_process_killed_between_two_members_loses_none(tmp_path: Path) -> None:
    here = str(Path(__file__).parent)
    for after in (2, 1):
        program = textwrap.dedent(KILLED.format(tests=here, folder=str(tmp_path), after=after))
        done = subprocess.run([sys.executable, "-c", program], env=os.environ | {"PYTHONPATH": here}, check=False)
        assert done.returncode == -signal.SIGKILL
    study = opened(tmp_path)
    rest = waiting(study)
    assert [one.number for one in rest] == [3, 4, 5]
    for one in rest:
        study.tell(came(one))
    results = opened(tmp_path).earlier()
    assert len({tuple(result.varied.values()) for result in results}) == len(results) == 6
    # As Optuna itself reads it.
    stored = optuna.load_study(study_name=study.id, storage=f"sqlite:///{tmp_path}/sweeps.db")
    assert [trial.state.name for trial in stored.trials] == ["COMPLETE"] * 6
    assert stored.trials[0].params == {"optimizer.learning_rate": "0.1", "seed": 0}
