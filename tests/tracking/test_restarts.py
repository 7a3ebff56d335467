"""Stores that stop and start again, PostgreSQL, and eight runs at once: nothing is lost or doubled."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from postgres_cluster import Cluster, cluster
from test_outages import MOMENTS, hold, hurry, left, recorded
from tracked import begin
from tracking_server import Server

from runner.errors import TrackingError

__all__ = ["hurry"]  # a fixture for every test
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # connections that the server has cut
]
FOLDERS = str(Path(__file__).resolve().parent), str(Path(__file__).resolve().parent.parent)


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


def processes(code: str, *arguments: list[str]) -> None:
    """Runs a text of Python with each list of arguments, all at once; each has to end well."""
    text = f"import sys; sys.path[:0] = {FOLDERS}\n{code}"
    started = [
        subprocess.Popen(
            [sys.executable, "-c", text, *own], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        for own in arguments
    ]
    ended = [(process.communicate(timeout=400)[0], process.returncode) for process in started]
    assert [status for _, status in ended] == [0] * len(started), "\n".join(out for out, _ in ended)


RECORD = "from test_outages import recorded; from pathlib import Path; recorded(sys.argv[1], Path(sys.argv[2]))"


def test_eight_runs_at_once_write_to_one_sqlite_file(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path}/outputs/mlflow.db"  # a fresh one: they create it at once, too
    folders = [tmp_path / f"run{number}" for number in range(8)]
    processes(RECORD, *([uri, str(folder)] for folder in folders))
    for folder in folders:
        hold("SQLite", "eight runs write at once", "from the start", left(uri, folder))


def test_four_runs_at_once_write_to_one_postgresql_database(postgres: Cluster, tmp_path: Path) -> None:
    """It is a fresh one, and only one process at a time may create its tables."""
    uri = postgres.database("fresh")
    folders = [tmp_path / f"run{number}" for number in range(4)]
    processes(RECORD, *([uri, str(folder)] for folder in folders))
    for folder in folders:
        hold("PostgreSQL", "four runs write at once", "from the start", left(uri, folder, uri))


def test_searches_at_once_create_their_tables_in_one_postgresql_database(postgres: Cluster) -> None:
    """Optuna's tables; two processes that create them at once would fail with UniqueViolation."""
    uri = postgres.database("searches")
    code = """
from runner.composition.reading import read
from runner.records import frozen
from runner.sweep.search import open_study
from runner.sweep.settings import Sweep
settings = Sweep.model_validate(frozen({"name": sys.argv[2], "sampler": "tpe", "trials": 2}))
space = read(["++optimizer.learning_rate=tag(log,interval(1e-4,1e-1))"], settings)
assert len(open_study(space, settings, base={}, storage=sys.argv[1], epochs=1).ask()) == 2
"""
    processes(code, *([uri, f"sweep{number}"] for number in range(4)))


@pytest.mark.parametrize("moment", MOMENTS[1:])
def test_postgresql_stops_and_starts_again(postgres: Cluster, tmp_path: Path, moment: str) -> None:
    uri = postgres.database(moment.replace(" ", "_"))
    begin(uri, tmp_path / "first", "outages").finish("FINISHED")
    starting: list[threading.Timer] = []

    def restart(now: str) -> None:
        if now == moment:
            time.sleep(1.0)
            postgres.stop()
            starting.append(threading.Timer(2.0, postgres.start))
            starting[0].start()

    recorded(uri, tmp_path / "run", restart)
    starting[0].join()
    hold("PostgreSQL", "stops and starts again", moment, left(uri, tmp_path / "run", uri))


def test_a_postgresql_that_is_away_ends_the_command_in_one_line(postgres: Cluster, tmp_path: Path) -> None:
    uri = postgres.database("away")
    postgres.stop()
    try:
        with pytest.raises(TrackingError) as caught:
            begin(uri, tmp_path / "run", "outages").check()
        assert "\n" not in str(caught.value)
        assert "refused" in str(caught.value)
    finally:
        postgres.start()


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_stops_and_starts_again(tmp_path: Path, moment: str) -> None:
    server = Server(tmp_path)
    server.start()
    starting: list[threading.Timer] = []

    def restart(now: str) -> None:
        if now == moment:
            server.kill()
            starting.append(threading.Timer(2.0, server.start))
            starting[0].start()

    try:
        recorded(server.uri, tmp_path / "run", restart)
        starting[0].join()
        found = left(server.uri, tmp_path / "run")
    finally:
        server.kill()
    hold("`mlflow server`", "stops and starts again", moment, found)
