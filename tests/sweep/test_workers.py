"""Workers that train one sweep together: in one process with stand-in members, and real ones, some of them killed."""

import csv
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from commands import Runner
from mlflow.entities import ViewType
from postgres_cluster import Cluster, cluster
from studies import WIDE, came, opened
from swept import UNTRACKED, found, store, varied

from runner.errors import ConfigError
from runner.sweep.search import Study, Suggestion, reconciling
from runner.sweep.search.lease import Owner
from runner.sweep.tags import MEMBER, STATUS
from runner.tracking import Tracking
from runner.tracking.reading import Recorded

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]
GRID = ("seed=range(0,10)",)
LINEAR = ("model.name=linear", "model.input=null", "model.layers=[flatten, classifier]", "data.limit=160")
SMALL = (*LINEAR, "train.batch_size=32", "train.epochs=1", "figures=off", "sweep.engine=workers", "sweep.strategy=loop")


@pytest.fixture
def hold() -> Iterator[ExitStack]:
    with ExitStack() as found:
        yield found


@pytest.fixture(autouse=True)
def without_waiting_for_the_disk() -> Iterator[None]:
    """Files of SQLite in this process only."""

    def connected(connection: Any, _: Any) -> None:
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    sqlalchemy.event.listen(sqlalchemy.engine.Engine, "connect", connected)
    yield
    sqlalchemy.event.remove(sqlalchemy.engine.Engine, "connect", connected)


def worker(folder: Path, hold: ExitStack, arguments: tuple[str, ...] = GRID, **fields: Any) -> Study:
    return opened(folder, arguments, hold=hold, **{"engine": "workers", "batch": 2, "name": "a"} | fields)


def dead(folder: Path, hold: ExitStack, monkeypatch: pytest.MonkeyPatch, **fields: Any) -> Study:
    """A worker whose process has ended without a word."""
    owner = replace(Owner.here(), started="1", token="dead")
    with monkeypatch.context() as patch:
        patch.setattr("runner.sweep.search.workers.Owner.here", lambda: owner)
        return worker(folder, hold, **fields)


def train(study: Study, asked: list[Suggestion]) -> list[int]:
    for one in asked:
        if study.is_waiting_for(one.number):
            study.tell(came(one, 0.1 + one.number / 100))
    return [one.number for one in asked]


def stored(folder: Path) -> list[Any]:
    trials = optuna.load_study(study_name="a", storage=f"sqlite:///{folder}/sweeps.db").trials
    return [trial for trial in trials if "member" in trial.user_attrs]


def test_two_workers_share_a_grid_in_turns_and_wait_for_each_other(tmp_path: Path, hold: ExitStack) -> None:
    one, other = worker(tmp_path, hold), worker(tmp_path, hold)
    first, second = one.ask(), other.ask()
    assert [own.varied["seed"] for own in (*first, *second)] == [0, 1, 2, 3]
    train(other, second)
    while asked := other.ask():
        train(other, asked)
    assert other.others_train  # what the first one claimed has not ended
    train(one, first)
    assert one.ask() == other.ask() == []
    assert not one.others_train
    assert not other.others_train
    assert sorted(own.number for own in other.earlier()) == list(range(10))
    with one.leaving() as writes:
        assert writes
    with other.leaving() as writes:
        assert not writes  # the report has all members
    assert Counter(trial.params["seed"] for trial in stored(tmp_path)) == Counter(range(10))


def test_members_of_a_dead_worker_are_taken_over_with_their_numbers(
    tmp_path: Path, hold: ExitStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = dead(tmp_path, hold, monkeypatch)
    asked = first.ask()
    first.tell(came(asked[0]))
    second = worker(tmp_path, hold)
    assert second.others() == 0
    again = second.ask()
    assert second.has_taken_over
    assert [own.number for own in again] == [own.number for own in asked]
    assert list(second.ended_before()) == [asked[0].number]
    assert [own.number for own in again if second.is_waiting_for(own.number)] == [asked[1].number]
    first.tell(came(asked[1]))  # as if it were not dead: what it no longer has is not stored
    assert len(stored(tmp_path)) == 1
    train(second, again)
    while asked := second.ask():
        assert not second.has_taken_over
        train(second, asked)
    assert Counter(trial.params["seed"] for trial in stored(tmp_path)) == Counter(range(10))


@pytest.mark.parametrize("failures", [2, 9])
def test_a_store_that_does_not_answer_is_asked_again_before_members_are_trained_again(
    tmp_path: Path,
    hold: ExitStack,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    failures: int,
) -> None:
    first = dead(tmp_path, hold, monkeypatch)
    asked = first.ask()
    ended = came(asked[0], 0.9)
    identity = {"number": 0, "name": "0", "varied": ended.varied, "overrides": ended.overrides, "folder": ""}
    tags = {MEMBER: json.dumps(identity | {"parameters": 1, "multiply_adds": 1}), STATUS: "FINISHED"}
    slept: list[float] = []

    class Away:
        """A store in which one run has finished; it does not answer the first questions."""

        def __init__(self, settings: Tracking) -> None:
            if len(slept) < failures:
                raise OSError("no answer\nfrom the server")

        def runs(self, tag: str, value: str) -> list[Recorded]:
            return [Recorded("ab12", "FINISHED", tags, ended.metrics)]

        def history(self, run_id: str, names: Iterable[str]) -> dict[int, dict[str, float]]:
            return {1: ended.metrics}

    monkeypatch.setattr(reconciling, "Reader", Away)
    monkeypatch.setattr("runner.sweep.search.reconciling.time.sleep", slept.append)
    second = worker(tmp_path, hold)
    again = second.ask()
    reconciling.reconcile(second, Tracking())
    waiting = [one.number for one in again if second.is_waiting_for(one.number)]
    if failures == 2:
        assert (waiting, len(slept), caplog.text) == ([1], 2, "")
        assert [own.run_id for own in second.earlier()] == ["ab12"]
    else:
        assert (waiting, len(slept)) == ([0, 1], 3)
        assert [record.getMessage() for record in caplog.records] == [
            "tracking.uri: the runs of the sweep cannot be read (no answer); members that only the store knows as "
            "finished are trained again, and then have two runs"
        ]


def test_what_a_worker_leaves_is_free_at_once(tmp_path: Path, hold: ExitStack) -> None:
    other = worker(tmp_path, hold)
    with ExitStack() as own:
        asked = worker(tmp_path, own).ask()
    assert [one.number for one in other.ask()] == [one.number for one in asked]


@pytest.mark.slow  # each for seconds
@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes", "nsga2"])
def test_workers_never_propose_a_member_twice(tmp_path: Path, hold: ExitStack, sampler: str) -> None:
    space = ("optimizer.learning_rate=0.1,0.01", "seed=range(0,10)")
    workers = [worker(tmp_path, hold, space, sampler=sampler, trials=14, batch=1) for _ in range(3)]
    claimed = [(study, study.ask()) for study in workers]
    for _ in range(20):
        study, asked = claimed.pop(0)
        train(study, asked)
        claimed.append((study, study.ask()))
    assert [asked for _, asked in claimed] == [[], [], []]
    trials = stored(tmp_path)
    assert len({tuple(sorted(trial.params.items())) for trial in trials}) == len(trials) == 14
    assert len({trial.user_attrs["member"]["place"] for trial in trials}) == 14


def test_a_worker_knows_of_the_values_that_others_reported(tmp_path: Path, hold: ExitStack) -> None:
    fields = {
        "sampler": "random",
        "trials": 9,
        "batch": 4,
        "pruner": {"name": "median", "startup_members": 3, "warmup_epochs": 2},
    }
    one, other = worker(tmp_path, hold, WIDE, **fields), worker(tmp_path, hold, WIDE, **fields)
    for own in one.ask():
        for epoch in (1, 2, 3):
            assert not one.report(own.number, epoch, 0.9)
        one.tell(came(own, 0.9))
    [first, *_] = other.ask()
    assert [other.report(first.number, epoch, 0.1) for epoch in (1, 2, 3)] == [False, True, True]


def test_members_that_failed_are_tried_again_by_the_next_workers_only(tmp_path: Path) -> None:
    with ExitStack() as hold:
        one = worker(tmp_path, hold, batch=10)
        for own in one.ask():
            one.tell(came(own, status="FAILED" if own.number == 3 else "FINISHED"))
        joining = worker(tmp_path, hold)
        assert joining.ask() == one.ask() == []
    with ExitStack() as hold:
        one, other = worker(tmp_path, hold), worker(tmp_path, hold)
        [again] = other.ask()
        assert (again.number, again.varied["seed"]) == (10, 3)
        assert one.ask() == []


def test_workers_and_single_processes_take_turns(tmp_path: Path) -> None:
    single = opened(tmp_path, GRID, name="a")
    asked = single.ask()
    for own in asked[:5]:
        single.tell(came(own))
    with ExitStack() as hold:
        one = worker(tmp_path, hold)
        assert [own.number for own in one.ask()] == [4, 5]  # as they were asked for
        with pytest.raises(ConfigError, match="must be a sweep that no other process is training"):
            opened(tmp_path, GRID, name="a", hold=hold)
    with ExitStack() as hold:
        single = opened(tmp_path, GRID, name="a", hold=hold)
        left = single.ask()
        assert [own.varied["seed"] for own in left] == [5, 6, 7, 8, 9]
        assert left[0].number == 10
        with pytest.raises(ConfigError, match="must be a sweep that no other process is training"):
            worker(tmp_path, hold)


def test_wrong_settings_of_workers_are_named_in_one_line(
    runner: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = ("-m", *UNTRACKED, "seed=1,2", "sweep.engine=workers")
    done = runner(*own, "sweep.resume=never")
    assert (done.status, done.err) == (
        2,
        "sweep.resume: must be auto with sweep.engine=workers, as every worker would begin a sweep of its own, "
        "got never\n",
    )
    done = runner(*own, "sweep.storage=postgresql+psycopg://nobody@127.0.0.1:9/sweeps")
    assert done.status == 2
    assert done.err.startswith("sweep.storage: must be a storage that Optuna can open (")
    assert done.err.count("\n") == 1
    far = replace(Owner.here(), host="elsewhere")
    with ExitStack() as hold:
        with monkeypatch.context() as patch:
            patch.setattr("runner.sweep.search.workers.Owner.here", lambda: far)
            worker(tmp_path, hold)
        with pytest.raises(ConfigError) as refused:
            worker(tmp_path, hold)
        rule = f"must be a database on a server with workers of several machines ({far}), got an SQLite file"
        assert str(refused.value) == f"sweep.storage: {rule}"
        with pytest.raises(ConfigError, match="a sweep with other settings exists"):
            opened(tmp_path, GRID, base={"loss.name": "y"}, hold=hold, name="a", engine="workers")


# Real processes ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


class Started:
    """A worker of a real shell."""

    def __init__(self, *arguments: str) -> None:
        self.log = Path(f"worker{len(list(Path().glob('worker*')))}.log")
        with self.log.open("w") as output:
            command = ["env", "--default-signal=INT", sys.executable, "-m", "runner", "-m", *SMALL, *arguments]
            self.process = subprocess.Popen(command, stdout=output, stderr=output)

    def ended(self) -> int:
        """Waits for the worker. Returns its status."""
        try:
            return self.process.wait(timeout=400)
        finally:
            self.process.kill()

    @property
    def said(self) -> str:
        return self.log.read_text()


def lines_of_members() -> list[dict[str, str]]:
    [table] = Path("outputs/sweeps").glob("*/*/members.csv")
    with table.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def hold_whole(count: int) -> None:
    """Every member is once in MLflow, below one parent run that has finished, and in the report."""
    [parent], members = found()
    assert parent.info.status == "FINISHED"
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
    counts = Counter(tuple(varied(run).items()) for run in members)
    twice = [dict(run.data.tags) for run in members if counts[tuple(varied(run).items())] > 1]
    assert not twice
    assert [run.info.status for run in members] == ["FINISHED"] * count
    assert len(lines_of_members()) == count
    [best] = Path("outputs/sweeps").glob("*/*/best.yaml")
    assert parent.data.tags["best"] in best.read_text()
    assert "space.seed" in parent.data.params


def wait_for(log: Path, count: int) -> None:
    """Waits until a worker has said that so many members have ended."""
    until = time.monotonic() + 200
    while log.read_text().count("val/accuracy") < count:
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)


def two_at_work(*arguments: str, ended: int) -> tuple[Started, Started]:
    """Two workers of one sweep: so many members of the first have ended, and one of the second."""
    first, second = Started(*arguments), Started(*arguments)
    wait_for(first.log, ended)
    wait_for(second.log, 1)
    return first, second


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_no_member(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ("seed=range(0,64)", f"sweep.storage={postgres.database('killed')}", "sweep.batch=4")
    first, second = two_at_work(*own, ended=5)
    os.kill(first.process.pid, signal.SIGKILL)
    assert first.ended() == -signal.SIGKILL
    assert second.ended() == 0, second.said
    hold_whole(64)
    # The members in the middle went on as the runs that they were: none was deleted.
    client = store()
    experiments = [one.experiment_id for one in client.search_experiments()]
    assert len(client.search_runs(experiments, run_view_type=ViewType.ALL)) == 65
    late = Started(*own)
    assert late.ended() == 0
    assert "report.html" in late.said
    assert "64 finished (64 of them trained before)" in late.said
    hold_whole(64)


@pytest.mark.slow
def test_three_workers_of_the_same_second_begin_one_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    workers = [Started("seed=range(0,18)", "sweep.batch=2") for _ in range(3)]
    assert [one.ended() for one in workers] == [0, 0, 0], [one.said for one in workers]
    hold_whole(18)
    [folder] = Path("outputs/sweeps").glob("*/*")
    # As if the last worker had been killed before it wrote the report.
    for name in ("report.html", "members.csv", "best.yaml"):
        (folder / name).unlink()
    uri = f"sqlite:///{Path('outputs/sweeps.db').absolute()}"
    [name] = optuna.get_all_study_names(uri)
    optuna.load_study(study_name=name, storage=uri).set_user_attr("reported", "0")
    late = Started("seed=range(0,18)", "sweep.batch=2")
    assert late.ended() == 0, late.said
    hold_whole(18)


@pytest.mark.slow
def test_an_interrupted_worker_leaves_its_members_to_the_others(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    own = ("seed=range(0,24)", f"sweep.storage={postgres.database('interrupted')}", "sweep.batch=8")
    first, second = two_at_work(*own, ended=2)
    first.process.send_signal(signal.SIGINT)
    assert first.ended() == 130, first.said
    assert "1 other worker goes on with the sweep; the last one writes the report" in first.said
    assert second.ended() == 0, second.said
    hold_whole(24)


@pytest.mark.slow
def test_two_workers_of_a_search_train_each_trial_once(
    postgres: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    uri = postgres.database("search")
    space = ("optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", "seed=range(0,50)")
    own = (*space, "sweep.sampler=tpe", "sweep.trials=20", f"sweep.storage={uri}", "sweep.batch=2", "sweep.name=a")
    workers = [Started(*own), Started(*own)]
    assert [one.ended() for one in workers] == [0, 0], [one.said for one in workers]
    hold_whole(20)
    storage = optuna.storages.RDBStorage(uri)
    trials = optuna.load_study(study_name="a", storage=storage).trials
    storage.engine.dispose()
    assert len({tuple(trial.params.items()) for trial in trials}) == len(trials) == 20
    assert all(trial.state is optuna.trial.TrialState.COMPLETE for trial in trials)
