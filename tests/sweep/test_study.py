"""A search against Optuna's own storage, reopened: nothing twice, nothing lost, one seed one sequence."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import optuna
import pytest

from runner.composition.reading import read
from runner.errors import ConfigError
from runner.records import frozen
from runner.sweep.search import Study, Suggestion, open_study
from runner.sweep.settings import Sweep
from runner.training.outcome import Outcome

GRID = ("++optimizer.learning_rate=0.1,0.01", "seed=range(0,3)")
WIDE = (
    "++optimizer.learning_rate=tag(log,interval(1e-4,1e-1))",
    "++train.batch_size=16,32",
    "++model.width=range(1,5)",
)


def opened(folder: Path, arguments: tuple[str, ...] = GRID, base: dict[str, str] | None = None, **fields: Any) -> Study:
    settings = Sweep.model_validate(frozen(fields))
    storage = f"sqlite:///{folder}/sweeps.db"
    return open_study(read(arguments, settings), settings, base=base or {"loss.name": "x"}, storage=storage, epochs=9)


@pytest.fixture
def searches(monkeypatch: pytest.MonkeyPatch) -> list[optuna.Study]:
    """Optuna's own studies in the order in which they are made; the last is that of the search opened last."""
    made: list[optuna.Study] = []
    create = optuna.create_study

    def noted(*arguments: Any, **named: Any) -> optuna.Study:
        made.append(create(*arguments, **named))
        return made[-1]

    monkeypatch.setattr(optuna, "create_study", noted)
    return made


def came(asked: Suggestion, value: float = 0.5, status: str = "FINISHED", **more: Any) -> Outcome:
    fields: dict[str, Any] = {
        "number": asked.number,
        "name": str(asked.varied),
        "overrides": tuple(line.lstrip("+") for line in asked.overrides),
        "varied": asked.varied,
        "status": status,
        "metrics": {"val/accuracy": value, "val/loss": 1 - value},
        "history": ({"val/accuracy": value / 2}, {"val/accuracy": value}),
        "run_id": f"run{asked.number}",
    }
    return Outcome(**(fields | more))


def waiting(study: Study) -> list[Suggestion]:
    """The next members, without those that had ended when an earlier session was killed."""
    return [one for one in study.ask() if study.is_waiting_for(one.number)]


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


def test_a_sampler_continues_with_stored_trials(tmp_path: Path, searches: list[optuna.Study]) -> None:
    study = opened(tmp_path, WIDE, sampler="tpe", trials=6, batch=4)
    batches = []
    while asked := study.ask():
        batches.append(len(asked))
        for one in asked:
            assert 1e-4 <= float(one.varied["optimizer.learning_rate"] or 0) <= 1e-1
            assert one.varied["train.batch_size"] in (16, 32)
            assert one.varied["model.width"] in (1, 2, 3, 4)
            study.tell(came(one, value=float(one.varied["train.batch_size"] or 0) / 100))
    assert batches == [4, 2]
    more = opened(tmp_path, WIDE, sampler="tpe", trials=8, batch=4)
    assert len(searches[-1].trials) == 6
    assert [one.number for one in more.ask()] == [6, 7]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsga2", "gp"])
def test_every_sampler_proposes_the_same_from_the_same_seed(tmp_path: Path, sampler: str) -> None:
    if sampler == "gp":
        pytest.importorskip("torch", reason="PyTorch, with which Optuna computes Gaussian processes, is not installed")
    proposals = []
    for run in range(3):
        folder = tmp_path / str(run)
        folder.mkdir()
        seed = 0 if run < 2 else 1
        study = opened(folder, WIDE[:1] + WIDE[2:], sampler=sampler, trials=9, batch=3, seed=seed)
        found = []
        while asked := study.ask():
            found += [one.varied for one in asked]
            for one in asked:
                study.tell(came(one, value=-abs(float(one.varied["optimizer.learning_rate"] or 0) - 0.01)))
        proposals.append(found)
    assert proposals[0] == proposals[1]
    assert proposals[0] != proposals[2]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsga2"])
def test_a_search_ends_when_everything_was_tried(tmp_path: Path, sampler: str) -> None:
    arguments = ("++a=1,2,3", "++b=range(0,3)")
    study = opened(tmp_path, arguments, sampler=sampler, trials=50, batch=4, constraints=["a != b"])
    seen = []
    while asked := study.ask():
        seen += [tuple(one.varied.values()) for one in asked]
        for one in asked:
            study.tell(came(one, float(one.varied["a"] or 0)))
    assert sorted(seen) == [(a, b) for a in (1, 2, 3) for b in range(3) if a != b]
    assert opened(tmp_path, arguments, sampler=sampler, trials=50, constraints=["a != b"]).ask() == []


def test_a_sampler_that_repeats_excluded_values_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, searches: list[optuna.Study]
) -> None:
    stubborn = optuna.samplers.RandomSampler(seed=0)
    monkeypatch.setattr(stubborn, "sample_independent", lambda *_: 1)
    monkeypatch.setattr("runner.sweep.search.proposals.sampler", lambda *_: stubborn)
    study = opened(tmp_path, ("++a=range(0,50)",), sampler="gp", trials=5, constraints=["a > 1"])
    asked = [one.varied["a"] for one in study.ask()]
    assert len(set(asked)) == 5
    assert searches[-1].sampler is stubborn


def test_no_more_members_are_proposed_than_wanted(tmp_path: Path) -> None:
    study = opened(tmp_path)
    assert [[one.number for one in study.ask(4)] for _ in range(3)] == [[0, 1, 2, 3], [4, 5], []]
    study = opened(tmp_path, WIDE, sampler="random", trials=5, batch=4)
    assert [[one.number for one in study.ask(3)] for _ in range(3)] == [[0, 1, 2], [3, 4], []]


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


def test_a_gaussian_process_without_torch_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError) as caught:
        opened(tmp_path, WIDE, sampler="gp")
    assert str(caught.value) == (
        "sweep.sampler: must be one whose packages are installed (gp needs torch: pip install 'convrunner[gp]'), got gp"
    )


def test_conditions_and_constraints_hold_for_sampled_members(tmp_path: Path) -> None:
    arguments = ("optimizer=adam,momentum", "++optimizer.momentum=interval(0.5,0.99)", "++train.batch_size=16,32,64")
    study = opened(
        tmp_path,
        arguments,
        sampler="tpe",
        trials=20,
        conditions={"optimizer.momentum": {"optimizer": "momentum"}},
        constraints=["train.batch_size < 64"],
    )
    seen = set()
    while asked := study.ask():
        for one in asked:
            seen.add((one.varied["optimizer"], "optimizer.momentum" in one.varied, one.varied["train.batch_size"]))
            study.tell(came(one))
    assert {key[:2] for key in seen} == {("adam", False), ("momentum", True)}
    assert {key[2] for key in seen} == {16, 32}


def test_constraints_that_exclude_everything_are_an_error(tmp_path: Path) -> None:
    study = opened(tmp_path, WIDE, sampler="random", constraints=["train.batch_size > 64"])
    with pytest.raises(ConfigError) as caught:
        study.ask()
    assert str(caught.value) == "sweep.constraints: must leave something to try, got [train.batch_size > 64]"


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_poor_members_end_early_and_good_ones_do_not(tmp_path: Path, pruner: str) -> None:
    own = {"name": pruner} | ({"startup_members": 2} if pruner == "median" else {})
    study = opened(tmp_path, ("seed=range(0,24)",), pruner=own)
    ended = {}
    for one in study.ask():
        value = 0.9 - one.number * 0.03
        epochs = [epoch for epoch in range(1, 10) if not study.report(one.number, epoch, value * epoch / 9)]
        ended[one.number] = len(epochs)
        study.tell(came(one, value, "FINISHED" if len(epochs) == 9 else "PRUNED"))
    assert ended[0] == 9
    assert sum(count < 9 for count in ended.values()) > 8


@pytest.mark.parametrize("pruner", ["median", "successive_halving", "hyperband"])
def test_pruning_does_not_depend_on_interruptions(tmp_path: Path, pruner: str) -> None:
    own = {"name": pruner, "reduction_factor": 2, "startup_members": 2}
    ends = []
    for at_once in (24, 5):
        folder = tmp_path / str(at_once)
        folder.mkdir()
        ended: list[int] = []
        while asked := (study := opened(folder, ("seed=range(0,24)",), pruner=own, name="one")).ask(at_once):
            for one in asked:
                value = (one.number * 7 % 24) / 24
                lasts = [epoch for epoch in range(1, 10) if not study.report(one.number, epoch, value * epoch)]
                ended.append(len(lasts))
                study.tell(came(one, value, "FINISHED" if len(lasts) == 9 else "PRUNED"))
        ends.append(ended)
    assert min(ends[0]) < 9
    assert ends[0] == ends[1]


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


def test_generations_continue_after_a_restart(tmp_path: Path, searches: list[optuna.Study]) -> None:
    def generations() -> list[int]:
        ended = searches[-1].get_trials(states=[optuna.trial.TrialState.COMPLETE])
        return [trial.system_attrs["NSGAIISampler:generation"] for trial in ended]

    study = opened(tmp_path, WIDE, sampler="nsga2", trials=12, batch=4)
    while asked := study.ask():
        for one in asked:
            study.tell(came(one))
    before = generations()
    assert max(before) == 2
    opened(tmp_path, WIDE, sampler="nsga2", trials=16, batch=4)
    assert generations() == before


def test_several_metrics_have_a_direction_each(tmp_path: Path, searches: list[optuna.Study]) -> None:
    study = opened(tmp_path, WIDE, sampler="nsga2", trials=4, metric=["val/accuracy", "multiply_adds"])
    for one in study.ask():
        study.tell(came(one, multiply_adds=100 * one.number))
    assert study.objectives == (("val/accuracy", "maximize"), ("multiply_adds", "minimize"))
    assert [trial.values for trial in searches[-1].best_trials] == [[0.5, 0.0]]


def test_the_path_with_an_effect_is_important(tmp_path: Path) -> None:
    study = opened(tmp_path, ("++optimizer.learning_rate=0.1,0.01,0.001,0.0001", "seed=range(0,4)"))
    for one in study.ask():
        rate, seed = float(one.varied["optimizer.learning_rate"] or 0), int(one.varied["seed"] or 0)
        study.tell(came(one, value=rate + seed * 1e-4))
    shares = study.importances()
    assert list(shares) == ["optimizer.learning_rate", "seed"]
    assert shares["optimizer.learning_rate"] > 0.95
    assert sum(shares.values()) == pytest.approx(1)


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
from test_study import came, opened, waiting
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
