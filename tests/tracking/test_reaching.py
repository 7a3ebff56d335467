"""What a user meets whose tracking server is away, elsewhere, or lets nobody in; and what rejected commands leave."""

import http.server
import json
import shlex
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from commands import Runner
from configurations import TINY
from tracked import begin
from tracking_server import free_port

from runner.errors import TrackingError
from runner.tracking import run as run_module
from runner.tracking import writer
from runner.tracking.reaching import UnreachableError, reach
from runner.tracking.store import Store
from runner.training.alone import Training

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # of MLflow's SQLAlchemy
]
TRACKED = tuple(line for line in TINY if not line.startswith("tracking"))
LOGIN = "MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"


class Answering(http.server.BaseHTTPRequestHandler):
    """Gives every request the same answer."""

    status: int
    body: str
    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path)
        self.send_response(self.status)
        self.end_headers()
        self.wfile.write(self.body.encode())

    do_GET = do_POST  # noqa: N815 - the name is that of http.server

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def answering(status: int, body: str = "") -> Iterator[tuple[str, list[str]]]:
    """The host and port of a server that gives this answer, and the paths that it was asked for."""
    handler: Any = type("Handler", (Answering,), {"status": status, "body": body, "asked": []})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", handler.asked
        finally:
            server.shutdown()


def delivered() -> None:
    """Waits for the threads that write to stores."""
    for thread in threading.enumerate():
        if isinstance(thread, writer.Writer):
            thread.join(30)
            assert not thread.is_alive()


@pytest.mark.parametrize(
    ("status", "body", "scheme", "rule"),
    [
        (401, "You are not authenticated.", "http", f"be a server that lets you in (error code 401; {LOGIN})"),
        (403, "Permission denied", "http", f"be a server that lets you in (error code 403; {LOGIN})"),
        (
            403,
            json.dumps({"error_code": "PERMISSION_DENIED", "message": "no"}),
            "http",
            f"be a server that lets you in (PERMISSION_DENIED; {LOGIN})",
        ),
        (404, "Not found", "http", "be the address of an MLflow server (error code 404)"),
        (200, "{}", "https", "be a server that answers to https (wrong version number)"),
    ],
)
@pytest.mark.parametrize("command", [("seed=1",), ("-m", "seed=1,2")], ids=["run", "sweep"])
def test_a_server_that_will_never_take_runs_ends_the_command(
    runner: Runner,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    status: int,
    body: str,
    scheme: str,
    rule: str,
) -> None:
    monkeypatch.setattr(run_module, "ANSWER_SECONDS", 60.0)  # the first import of MLflow may take long
    advanced: list[Training] = []
    end = Training.test
    monkeypatch.setattr(Training, "test", lambda training: advanced.append(training) or end(training))
    with answering(status, body) as (host, asked):
        done = runner(*command, *TRACKED, f"tracking.uri={scheme}://{host}")
        delivered()
    assert (done.status, done.err) == (2, f"tracking.uri: must {rule}, got {scheme}://{host}\n")
    assert advanced == [], "nothing was trained to its end"
    assert {path.rpartition("/mlflow/")[2].partition("?")[0] for path in asked} <= {"experiments/search"}
    assert list(Path().rglob("untracked.jsonl")) == []


def test_a_wrong_scheme_is_rejected_at_once(runner: Runner) -> None:
    done = runner(*TRACKED, "tracking.uri=htp://localhost:5000")
    rule = "must be a database such as sqlite:///outputs/mlflow.db or a server such as http://localhost:5000"
    assert (done.status, done.err) == (2, f"tracking.uri: {rule}, got htp://localhost:5000\n")


def test_a_server_that_is_away_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)
    port = free_port()
    began = time.monotonic()
    run = begin(f"http://me:secret@127.0.0.1:{port}", tmp_path / "mine", params={"seed": 1})
    run.await_server()
    assert time.monotonic() - began < 4
    uri, kept = f"http://***@127.0.0.1:{port}", tmp_path / "mine" / "untracked.jsonl"
    said = f"{uri} does not answer (Connection refused); training goes on, and everything is kept in mine"
    assert caplog.messages == [said]
    activities: list[str] = []
    run.finish("FINISHED", activities.append)
    assert activities[0] == f"waiting 0 s for {uri}, which does not answer"
    assert caplog.messages[1:] == [
        f"{uri} did not accept everything; the rest is in mine. Send it with: python -m runner sync folder=mine"
    ]
    assert "secret" not in kept.read_text()
    assert (run.known_id, kept.is_file()) == ("", True)


def test_a_run_whose_server_is_away_ends_well(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)
    done = runner(*TRACKED, f"tracking.uri=http://127.0.0.1:{free_port()}")
    assert done.status == 0, done.err
    assert "test accuracy" in done.out
    [kept] = Path("outputs").rglob("untracked.jsonl")
    assert done.out.splitlines()[-1] == f"  {kept.parent}"


def test_a_page_of_another_server_is_said_to_be_one(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with answering(200, "<html>") as (host, _):
        run = begin(f"http://{host}", tmp_path)
        run.await_server()
        run.discard()
    assert [message.partition(";")[0] for message in caplog.messages] == [
        f"http://{host} does not answer (something else answers there)"
    ]


def test_a_server_that_appears_later_gets_everything(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries = []

    def late(address: str) -> Store:
        tries.append(address)
        if len(tries) < 4:
            raise UnreachableError("Connection refused")
        return Store(address)

    monkeypatch.setattr(writer, "Store", late)
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.05,))
    run = begin(uri, tmp_path)
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    found = client.get_run(run.run_id)
    assert (found.info.status, found.data.metrics) == ("FINISHED", {"loss": 1.0})
    assert not (tmp_path / "untracked.jsonl").exists()


def test_training_waits_some_seconds_only_for_a_silent_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = begin(f"http://127.0.0.1:{silent.getsockname()[1]}", tmp_path)
        began = time.monotonic()
        run.await_server()
        assert 0.1 < time.monotonic() - began < 3
    run.finish("FINISHED")


def test_databases_are_not_asked() -> None:
    for uri in ("sqlite:///a.db", "databricks", f"postgresql://127.0.0.1:{free_port()}/here"):
        reach(uri)


def test_a_proxy_is_asked_in_place_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    uri = f"http://127.0.0.1:{free_port()}"
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("http_proxy", "http://proxy.invalid:8080")
    reach(uri)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(UnreachableError, match=r"^Connection refused$"):
        reach(uri)


# What rejected commands leave


@pytest.mark.parametrize("mode", [(), ("-m", "seed=1,2")], ids=["run", "sweep"])
@pytest.mark.parametrize(
    "mistake",
    [
        ("train.epochs=0",),
        ("data=arrays", "data.root=nowhere.npz"),
        ("model.weights=nowhere.safetensors",),
        ("model.layers=[{max_pool: {size: 99}}, flatten, classifier]",),
    ],
    ids=lambda mistake: mistake[-1].partition("=")[0],
)
def test_a_rejected_command_leaves_no_experiment_and_no_run(
    runner: Runner, mode: tuple[str, ...], mistake: tuple[str, ...]
) -> None:
    done = runner(*mode, *TRACKED, *mistake)
    assert done.status == 2
    delivered()
    database = Path("outputs/mlflow.db")
    if database.exists():
        with sqlite3.connect(database) as store:
            assert store.execute("select name from experiments").fetchall() == [("Default",)]
            assert store.execute("select name from runs").fetchall() == []


@pytest.mark.slow
@pytest.mark.parametrize("output", ["", "2>&1"])
def test_a_run_whose_reader_ends_early_is_finished(repository: Path, output: str) -> None:
    command = shlex.join([sys.executable, "-m", "runner", *TRACKED])
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command} {output} | head -1"],
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("tiny on digits: test accuracy ")
    with sqlite3.connect("outputs/mlflow.db") as store:
        assert store.execute("select status from runs").fetchall() == [("FINISHED",)]


def test_a_fault_of_the_store_is_one_line(tmp_path: Path) -> None:
    run = begin("http://127.0.0.1:nonsense", tmp_path)
    with pytest.raises(TrackingError) as caught:
        run.await_server()
    assert str(caught.value) == (
        "tracking.uri: must be a store that MLflow can open "
        "(Port could not be cast to integer value as 'nonsense'), got http://127.0.0.1:nonsense"
    )
