"""A new store is there as a whole or not at all."""

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import mlflow
import pytest

from runner.tracking import template

# What SQLAlchemy will retire is MLflow's to follow.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stores")


def test_a_store_is_one_that_mlflow_opens_and_keeps_its_artifacts_beside_it(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "outputs" / "mlflow.db"
    template.prepare(file, mlflow, cache)
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{file}")
    [default] = client.search_experiments()
    assert default.artifact_location == f"file://{tmp_path}/outputs/artifacts/0"
    run = client.create_run(client.create_experiment("digits"))
    client.log_metric(run.info.run_id, "val/accuracy", 0.5)
    assert [path.name for path in file.parent.iterdir()] == ["mlflow.db"]


def test_a_store_that_is_there_stays_what_it_is(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    file.write_text("mine")
    template.prepare(file, mlflow, cache)
    assert file.read_text() == "mine"


class Light:
    """MLflow as far as the template sees it, without the seconds that its migrations take."""

    __version__ = "0.0"

    def MlflowClient(self, tracking_uri: str, registry_uri: str) -> "Light":  # noqa: N802
        with closing(sqlite3.connect(tracking_uri.removeprefix("sqlite:///"))) as database, database:
            database.execute("CREATE TABLE experiments (experiment_id INTEGER, artifact_location TEXT)")
            database.execute("INSERT INTO experiments VALUES (0, 'scratch')")
        return self

    def search_experiments(self, max_results: int) -> None:
        pass


def locations(file: Path) -> list[tuple[str]]:
    with closing(sqlite3.connect(file)) as database:
        return database.execute("SELECT artifact_location FROM experiments").fetchall()


def test_a_damaged_template_is_made_again(tmp_path: Path) -> None:
    template.prepare(tmp_path / "first.db", Light(), tmp_path / "cache")
    [kept] = (tmp_path / "cache").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", whole[:5000], b"s" + whole[1:], bytes(len(whole))):
        kept.write_bytes(damaged)
        (tmp_path / "second.db").unlink(missing_ok=True)
        template.prepare(tmp_path / "second.db", Light(), tmp_path / "cache")
        assert locations(tmp_path / "second.db") == [(f"file://{tmp_path}/artifacts/0",)]
        assert len(kept.read_bytes()) == len(whole)


def test_of_many_at_once_one_makes_it(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "mlflow.db"
    threads = [threading.Thread(target=template.prepare, args=(file, mlflow, cache)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with closing(sqlite3.connect(file)) as database:
        assert database.execute("SELECT count(*) FROM experiments").fetchone() == (1,)
    assert [path.name for path in tmp_path.iterdir()] == ["mlflow.db"]


def test_who_is_killed_while_it_is_made_leaves_nothing(cache: Path, tmp_path: Path) -> None:
    class Killed(BaseException):
        pass

    class Broken:
        __version__ = "0.0"

        def MlflowClient(self, tracking_uri: str, registry_uri: str) -> None:  # noqa: N802
            Path(tracking_uri.removeprefix("sqlite:///")).write_text("half")
            raise Killed

    file = tmp_path / "mlflow.db"
    with pytest.raises(Killed):
        template.prepare(file, Broken(), tmp_path / "cache")
    assert not file.exists()
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in place of the folder")
    template.prepare(tmp_path / "mlflow.db", Light(), tmp_path / "cache")
    assert locations(tmp_path / "mlflow.db") == [(f"file://{tmp_path}/artifacts/0",)]
