"""Sweeps whose store is away: everything is kept on disk, and sent later as if the store had been there."""

import http.server
import json
import socket
from pathlib import Path
from threading import Event, Thread
from typing import Any

import mlflow
import pytest
from commands import Runner
from configurations import TINY
from tracking_server import Server

from runner.tracking import run as run_module
from runner.tracking import writer
from runner.tracking.reading import Reader
from runner.tracking.store import Store
from runner.training.alone import Training
from runner.training.ledger import Epoch

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # MLflow's affair with SQLAlchemy
]
ONCE = (
    "-m",
    *(line for line in TINY if not line.startswith("tracking")),
    "model.name=untracked",
    "train.epochs=1",
    "figures=off",
    "hydra.sweep.dir=mine",
)
KEPT = {"members.csv", "report.html", "best.yaml", "untracked.jsonl", "0", "1"}


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.05,))
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)


def unanswered() -> str:
    """The address of a server that does not run."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def runs(client: Any) -> tuple[list[Any], list[Any]]:
    found = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    members = [run for run in found if "sweep.member" in run.data.tags]
    return [run for run in found if run not in members], members


def linked(client: Any, seeds: list[int]) -> None:
    """The store has one sweep of these members, complete."""
    [parent], members = runs(client)
    assert sorted(json.loads(run.data.tags["sweep.member"])["varied"]["seed"] for run in members) == seeds
    assert {run.data.tags["mlflow.parentRunId"] for run in members} == {parent.info.run_id}
    assert {run.info.status for run in [parent, *members]} == {"FINISHED"}
    best = client.get_run(parent.data.tags["best.run_id"])
    assert best.info.run_id in {run.info.run_id for run in members}
    assert best.data.metrics["val/accuracy"] == max(run.data.metrics["val/accuracy"] for run in members)
    assert all("test_accuracy" in run.data.metrics for run in [parent, *members])
    assert {file.path for file in client.list_artifacts(parent.info.run_id)} >= {"best.yaml", "members.csv", "report"}
    assert len([run for run in members if run.outputs and run.outputs.model_outputs]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("order", ["folder", pytest.param("members first", marks=pytest.mark.slow)])
def test_a_sweep_whose_server_is_never_there_is_kept_and_sent_later(runner: Runner, order: str) -> None:
    done = runner(*ONCE, "seed=1,2", f"tracking.uri={unanswered()}")
    assert done.status == 0, done.err
    assert [done.out.count(f"{count} of 2  #") for count in (1, 2)] == [1, 1]
    assert "3 of 2" not in done.out
    assert {path.name for path in Path("mine").iterdir()} >= KEPT
    assert len(list(Path("mine").glob("*/untracked.jsonl"))) == 2
    assert len(list(Path("mine").glob("*/weights.safetensors"))) >= 1
    uri = f"sqlite:///{Path('later.db').absolute()}"
    for folder in ["mine"] if order == "folder" else ["mine/1", "mine/0", "mine"]:
        done = runner("sync", f"folder={folder}", f"tracking.uri={uri}")
        assert (done.status, done.err) == (0, ""), done.out
    linked(Store(uri).client, [1, 2])
    assert not list(Path("mine").rglob("untracked*.jsonl"))
    assert runner("sync", "folder=mine").out == "nothing to send in mine\n"


@pytest.mark.parametrize("lost", [pytest.param("before", marks=pytest.mark.slow), "after"])
def test_a_run_whose_making_was_not_answered_is_made_once(
    runner: Runner, monkeypatch: pytest.MonkeyPatch, lost: str
) -> None:
    """The connection breaks when the sweep's run is made: before the store makes it, or before its answer comes."""
    begin, times = Store.begin, []

    def broken(self: Store, opening: Any, *, seek: bool = False) -> tuple[str, str]:
        times.append(opening)
        if len(times) == 1:
            if lost == "after":
                begin(self, opening, seek=seek)
            raise ConnectionError("reset by peer")
        return begin(self, opening, seek=seek)

    monkeypatch.setattr(Store, "begin", broken)
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 30.0)  # it answers the second time
    assert runner(*ONCE, "seed=1,2").status == 0
    linked(mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}"), [1, 2])


@pytest.mark.slow
def test_a_store_that_goes_away_in_the_middle_costs_nothing(runner: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    deliver, told = Store.deliver, []

    def away(self: Store, *arguments: Any) -> None:
        told.append(arguments)
        if len(told) > 4:
            raise ConnectionError("Connection refused")
        deliver(self, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Store, "deliver", away)
        assert runner(*ONCE, "seed=1,2", "sweep.strategy=loop").status == 0
    assert {path.name for path in Path("mine").iterdir()} >= KEPT
    assert runner("sync", "folder=mine").status == 0
    linked(mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}"), [1, 2])
    # What the search knows of members need not be read from the store, metric by metric.
    monkeypatch.setattr(Reader, "history", lambda *_: pytest.fail("read"))
    again = runner(*ONCE, "seed=1,2", "sweep.strategy=loop")
    assert "2 members were trained before" in again.out
    linked(mlflow.MlflowClient(f"sqlite:///{Path('outputs/mlflow.db').absolute()}"), [1, 2])


@pytest.mark.slow  # a real server
def test_a_sweep_outlives_a_server_that_is_killed(runner: Runner, tmp_path: Path) -> None:
    server = Server(tmp_path)
    server.start()
    process = server.process
    assert process is not None
    advance = Training.advance

    def killing(self: Training, *rest: Any) -> Epoch:
        if self.plan.experiment.seed == 2:
            server.kill()
        return advance(self, *rest)

    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Training, "advance", killing)
            done = runner(*ONCE, "seed=1,2", "sweep.strategy=loop", f"tracking.uri={server.uri}")
        assert done.status == 0, done.err
        assert {path.name for path in Path("mine").iterdir()} >= KEPT - {"untracked.jsonl"}
        server.start()
        assert runner("sync", "folder=mine").status == 0
        linked(Store(server.uri).client, [1, 2])
    finally:
        server.kill()


class Broken(http.server.BaseHTTPRequestHandler):
    """A server that answers nothing of use: `answer` is its status and body, or None where it never answers."""

    answer: tuple[int, bytes] | None = None

    def do_GET(self) -> None:
        if self.answer is None:
            Event().wait(60)
            return
        self.send_response(self.answer[0])
        self.end_headers()
        self.wfile.write(self.answer[1])

    do_POST = do_GET  # noqa: N815 - the name is that of http.server

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.slow
@pytest.mark.parametrize(
    "answer",
    [(500, b"oops"), (200, b"<html>login</html>"), None],  # of None it takes 30 s to tell
)
def test_a_server_that_answers_nothing_of_use_costs_nothing(runner: Runner, answer: tuple[int, bytes] | None) -> None:
    handler = type("Handler", (Broken,), {"answer": answer})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        done = runner(*ONCE, "seed=1,2", f"tracking.uri=http://127.0.0.1:{server.server_address[1]}")
    finally:
        server.shutdown()
        server.server_close()
    assert done.status == 0, done.err
    assert {path.name for path in Path("mine").iterdir()} >= KEPT
    uri = f"sqlite:///{Path('later.db').absolute()}"
    assert runner("sync", "folder=mine", f"tracking.uri={uri}").status == 0
    linked(Store(uri).client, [1, 2])
