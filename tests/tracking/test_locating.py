"""The output folder of a run, found in a real SQLite store by what a user calls the run."""

import contextlib
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import mlflow
import pytest

from runner import tracking
from runner.errors import ConfigError, TrackingError
from runner.sweep.tags import SWEEP
from runner.tracking import Tracking
from runner.tracking.locating import output_folder
from runner.tracking.reading import Reader

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's affair with SQLAlchemy
URI = "sqlite:///outputs/mlflow.db"


@pytest.fixture
def runs() -> list[str]:
    """The ids of two runs that have ended; each has a folder and one artifact."""
    ids = []
    for name in ("first", "second"):
        folder = Path("outputs") / name
        folder.mkdir(parents=True)
        run = tracking.start(Tracking(), run_name=name, tags={}, params={}, folder=folder)
        run.log_text(f"name: {name}\n", "config.yaml")
        run.finish("FINISHED")
        ids.append(run.run_id)
    return ids


def client() -> Any:
    uri = f"sqlite:///{Path('outputs/mlflow.db').absolute()}"
    return mlflow.MlflowClient(uri, uri)


def found(run: str) -> Path:
    with output_folder(run, Tracking) as folder:
        return folder


def refused(run: str) -> str:
    with pytest.raises((ConfigError, TrackingError)) as caught:
        found(run)
    return str(caught.value)


def register(name: str, run_id: str) -> None:
    client().create_registered_model(name)
    version = client().create_model_version(name, "file:///nowhere", run_id=run_id).version
    client().set_registered_model_alias(name, "best", version)


def test_a_run_is_found_by_its_folder_its_id_and_a_registered_model(runs: list[str]) -> None:
    first = Path("outputs/first").absolute()
    register("digits", runs[0])
    assert found("outputs/first") == Path("outputs/first")
    for name in (runs[0], runs[0][:12], "models:/digits@best", "models:/digits/1"):
        assert found(name) == first


def test_of_a_run_whose_folder_is_gone_the_artifacts_are_downloaded_for_a_while(runs: list[str]) -> None:
    Path("outputs/first").rename("outputs/elsewhere")
    with output_folder(runs[0], Tracking) as folder:
        assert (folder / "config.yaml").read_text() == "name: first\n"
    assert not folder.exists()


def test_what_names_no_run_is_told_in_one_line(runs: list[str]) -> None:
    register("digits", runs[0])
    assert refused("nowhere/at/all") == (
        "run: must be an output folder, an MLflow run or models:/NAME@ALIAS, got nowhere/at/all"
    )
    assert (
        refused("0" * 32)
        == f"run: must be a run that sqlite:///{Path('outputs/mlflow.db').absolute()} has, got {'0' * 32}"
    )
    assert refused("models:/digits@worst") == (
        "run: must be a registered model of a run, but Registered model alias worst not found."
    )


def test_a_sweep_is_told_where_its_members_are(runs: list[str]) -> None:
    folder = Path("outputs/swept")
    folder.mkdir()
    (folder / "multirun.yaml").write_text("")
    sweep = tracking.start(Tracking(), run_name="sweep", tags={SWEEP: "swept"}, params={}, folder=folder)
    rule = "run: must be a single run or a member of a sweep, got the sweep"
    assert refused("outputs/swept") == f"{rule} outputs/swept: its folders are members"
    (folder / "0").mkdir()
    member = tracking.start(Tracking(), run_name="0", tags={SWEEP: ""}, params={}, folder=folder / "0", parent=sweep)
    for run in (member, sweep):
        run.finish("FINISHED")
    start = sweep.run_id[:12]
    assert refused(start) == f"{rule} {start}: runner runs sweep={start} lists its members"
    assert found(member.run_id) == (folder / "0").absolute()


def test_a_beginning_that_several_runs_share_is_refused(runs: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ids = iter(["abcd" + "0" * 28, "abcd" + "1" * 28])

    class Numbered:
        @property
        def hex(self) -> str:
            return next(ids)

    with monkeypatch.context() as patch:
        patch.setattr("mlflow.store.tracking.sqlalchemy_store.uuid.uuid4", Numbered)
        for _ in range(2):
            client().create_run("1")
    message = refused("abcd")
    assert message.startswith("run: must be the beginning of one id (abcd")
    assert message.endswith("), got abcd")


def test_a_store_that_does_not_exist_is_not_made() -> None:
    assert refused("0123abcd") == f"tracking.uri: must be a store that a run has been recorded in, got {URI}"
    assert not Path("outputs").exists()


def test_the_folder_of_a_later_run_is_not_that_of_an_earlier_one(runs: list[str]) -> None:
    folder = Path("outputs/first")
    shutil.rmtree(folder)
    folder.mkdir()
    later = tracking.start(Tracking(), run_name="later", tags={}, params={}, folder=folder)
    later.finish("FINISHED")
    assert found(later.run_id) == folder.absolute()
    with output_folder(runs[0], Tracking) as downloaded:
        assert (downloaded / "config.yaml").read_text() == "name: first\n"


def test_a_run_is_found_among_a_thousand_experiments(runs: list[str]) -> None:
    with contextlib.closing(sqlite3.connect("outputs/mlflow.db")) as database, database:  # MLflow takes 16 s for them
        database.execute("CREATE TEMPORARY TABLE later AS SELECT * FROM experiments WHERE experiment_id = 1")
        for number in range(1000, 2000):
            database.execute("UPDATE later SET experiment_id = ?, name = ?", (number, f"later {number}"))
            database.execute("UPDATE later SET creation_time = creation_time + 1, last_update_time = creation_time")
            database.execute("INSERT INTO experiments SELECT * FROM later")
    assert found(runs[0]) == Path("outputs/first").absolute()
    assert len(Reader(Tracking()).runs("mlflow.runName", "first")) == 1
