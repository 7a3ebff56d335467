"""A store that cannot be opened, refuses or goes away: training goes on, and nothing is lost."""

import http.server
import json
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from tracked import Away, begin

from runner.errors import TrackingError
from runner.tracking import messages, writer
from runner.tracking import run as run_module
from runner.tracking.store import Store
from runner.tracking.untracked import earlier


def test_a_missing_database_driver_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"^tracking.uri: must be a store that MLflow can open \(.*\), got mssql"):
        _ = begin("mssql+nodriver://host/db", tmp_path).run_id


def test_a_refused_message_does_not_delay_the_others(
    uri: str, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(uri, tmp_path, params={"seed": 0})
    run.check()
    run.log_text("first", "a.txt")
    run.log_params({"seed": 1})
    run.log_text("second", "b.txt")
    run.log_artifact(tmp_path / "nothing.txt")
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    found = client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert (found.data.params, found.data.metrics) == ({"seed": "0"}, {"loss": 1.0})
    assert [entry.path for entry in client.list_artifacts(run.run_id)] == ["a.txt", "b.txt"]
    assert [message.partition(":")[0] for message in caplog.messages[:2]] == [
        "MLflow refused a batch",
        "MLflow refused a file",
    ]
    kept = earlier(tmp_path / "untracked.jsonl")
    assert kept is not None
    assert kept.run_id == run.run_id


def test_a_lost_message_is_reported_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "a file"
    folder.write_text("where the run's folder should be")
    run = begin("sqlite:////dev/null/mlflow.db", folder)
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    [line] = [message for message in caplog.messages if "untracked" in message]
    assert line.endswith(f"the rest is lost: {folder / 'untracked.jsonl'}: File exists")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_writer_that_has_ended(uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def end(store: Store, *arguments: Any) -> None:
        raise SystemExit(1)  # as Rich does as soon as nobody reads the output any more

    monkeypatch.setattr(Store, "deliver", end)
    run = begin(uri, tmp_path)
    run.log_metrics({"loss": 1.0}, step=1)
    began = time.monotonic()
    run.finish("FINISHED")
    assert time.monotonic() - began < writer.RETRY_SECONDS[-1] + run_module.AWAY_SECONDS
    assert earlier(tmp_path / "untracked.jsonl") is not None
    monkeypatch.undo()
    after = begin(uri, tmp_path / "after")
    after.log_metrics({"loss": 1.0}, step=1)
    after.finish("FINISHED")
    assert earlier(tmp_path / "after" / "untracked.jsonl") is None, "the next run has a writer of its own"


def test_a_store_that_comes_back_gets_everything(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Away(monkeypatch)
    run = begin(uri, tmp_path)
    run.check()
    store.away = True
    for step in range(1, 101):
        run.log_metrics({"loss": float(step)}, step=step)
    assert store.failed.wait(10)
    store.away = False
    run.finish("FINISHED")
    assert len(client.get_metric_history(run.run_id, "loss")) == 100
    assert client.get_run(run.run_id).info.status == "FINISHED"
    assert caplog.messages == [
        f"{uri} does not answer (Connection refused); training goes on, and everything is kept in ."
    ]
    assert not (tmp_path / "untracked.jsonl").exists()


def test_runs_wait_only_once_for_a_store_that_does_not_answer(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Away(monkeypatch)
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 1.0)
    runs = [begin(uri, tmp_path / str(index)) for index in range(20)]
    for run in runs:
        run.check()
    store.away = True
    seconds = []
    for run in runs:
        run.log_metrics({"loss": 1.0}, step=1)
        began = time.perf_counter()
        run.finish("FINISHED")
        seconds.append(time.perf_counter() - began)
    assert seconds[0] > 0.9
    assert sum(seconds[1:]) < 9
    assert sum("does not answer" in message for message in caplog.messages) == 1
    for thread in threading.enumerate():  # the next test has the same store
        if isinstance(thread, writer.Writer):
            thread.join(30)


def test_a_slow_server_leaves_one_run(uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first request to make the run times out, and the slow server answers it after the second."""
    from mlflow import MlflowClient

    create, late = MlflowClient.create_run, []

    def slow(self: Any, *arguments: Any, **named: Any) -> Any:
        late.append(arguments)
        if len(late) == 1:
            raise ConnectionError("Read timed out")
        made = create(self, *arguments, **named)
        create(self, *late[0])
        return made

    monkeypatch.setattr(MlflowClient, "create_run", slow)
    monkeypatch.setattr(writer, "RETRY_SECONDS", (0.05,))
    run = begin(uri, tmp_path, "slow", patient=True)
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    assert len(late) == 2
    [found] = client.search_runs([run.experiment_id])
    assert (found.info.run_id, found.info.status, found.data.metrics) == (run.run_id, "FINISHED", {"loss": 1.0})


class Slow(http.server.BaseHTTPRequestHandler):
    """A server of one experiment that makes a run after its client has lost patience."""

    asked: list[str]

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.asked.append(self.path.rpartition("mlflow/")[2])
        if self.path.endswith("runs/create"):
            threading.Event().wait(1.5)
        body = json.dumps({"experiment": {"experiment_id": "1", "name": "a", "lifecycle_stage": "active"}}).encode()
        with suppress(ConnectionError):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST  # noqa: N815 - the name is that of http.server

    def log_message(self, *_: object) -> None:
        pass


def test_mlflow_sends_one_request_to_a_slow_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1")
    handler = type("Handler", (Slow,), {"asked": []})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        store = Store(f"http://127.0.0.1:{server.server_address[1]}")
        with pytest.raises(Exception, match="timed out"):
            store.begin(messages.Opening(store.uri, "a", "a", {}, 0))
    finally:
        server.shutdown()
        server.server_close()
    assert handler.asked.count("runs/create") == 1
