"""A store that cannot be opened, refuses or goes away: nothing is lost, and it is sent later."""

import http.server
import json
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracked import FACTS, begin
from tracking_server import free_port

from runner.errors import ConfigError, TrackingError
from runner.tracking import __main__ as command
from runner.tracking import messages, replay, replaying, writer
from runner.tracking import run as run_module
from runner.tracking.store import Store
from runner.tracking.untracked import append, locked

ROOT = Path(__file__).resolve().parent.parent.parent


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
    assert len((tmp_path / "untracked.jsonl").read_text().splitlines()) == 3


def test_a_lost_message_is_reported_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "a file"
    folder.write_text("where the run's folder should be")
    run = begin("sqlite:////dev/null/mlflow.db", folder)
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    [line] = [message for message in caplog.messages if "untracked" in message]
    assert line.endswith(f"the rest is lost: {folder / 'untracked.jsonl'}: File exists")


class Away:
    """Stands between a run and its store; while `away`, every delivery fails as the network would."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.away = False
        self.failed = threading.Event()
        deliver = Store.deliver

        def delivery(store: Store, *arguments: Any) -> None:
            if self.away:
                self.failed.set()
                raise ConnectionError("Connection refused")
            deliver(store, *arguments)

        monkeypatch.setattr(Store, "deliver", delivery)
        monkeypatch.setattr(writer, "RETRY_SECONDS", (0.05,))
        monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)


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


def test_undelivered_messages_are_kept_and_sent_later(
    uri: str,
    client: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    store = Away(monkeypatch)
    run = begin(uri, tmp_path)
    run.check()
    store.away = True
    run.log_metrics({"loss": 0.25, "diverged": float("nan")}, step=1)
    run.log_figure("figures/a.png", lambda: b"PNG")
    run.log_input(FACTS)
    began = time.monotonic()
    run.finish("FINISHED")
    assert time.monotonic() - began < 5
    path = tmp_path / "untracked.jsonl"
    assert caplog.messages[-1] == (
        f"{uri} did not accept everything; the rest is in {path}. Send it with: python -m runner.tracking {path}"
    )
    assert client.get_run(run.run_id).data.metrics == {}
    store.away = False
    assert command.main([str(path)]) == 0
    assert capsys.readouterr().out == f"sent to run {run.run_id}\n"
    found = client.get_run(run.run_id)
    assert found.data.metrics["loss"] == 0.25
    assert np.isnan(found.data.metrics["diverged"])
    assert (found.info.status, len(found.inputs.dataset_inputs)) == ("FINISHED", 3)
    assert [entry.path for entry in client.list_artifacts(run.run_id, "figures")] == ["figures/a.png"]
    assert not path.exists()


def test_a_run_that_was_never_created_is_sent_as_a_new_one(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 0.3)
    lines = "a\u2028b\u0085c"  # what other programs may take for the end of a line
    run = begin(f"http://127.0.0.1:{free_port()}", tmp_path, params={"seed": 7, "data.name": lines})
    run.log_metrics({"loss": 0.5}, step=1)
    run.finish("FINISHED")
    found = client.get_run(next(replay(tmp_path / "untracked.jsonl", uri)))
    params = {"seed": "7", "data.name": lines}
    assert (found.data.metrics, found.data.params, found.info.run_name) == ({"loss": 0.5}, params, "lenet5")


def test_a_foreign_untracked_file_sends_what_it_names(uri: str, client: Any, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("of the reader")
    path = tmp_path / "untracked.jsonl"
    lines = (messages.Opening(uri, "digits", "a", {}, 0), messages.File(str(tmp_path / "private"), "taken"))
    path.write_text("".join(messages.to_line(message) + "\n" for message in lines))
    [run_id] = replay(path)
    taken = client.download_artifacts(run_id, "taken/private", str(tmp_path))
    assert Path(taken).read_text() == "of the reader"


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


def test_errors_of_replay(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "untracked.jsonl"
    with pytest.raises(
        ConfigError, match=r"^must be .* undelivered messages \(No such file or directory\), got untracked.jsonl$"
    ):
        list(replay(path))
    path.write_text('{"kind": "Nonsense"}\n')
    assert command.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith("must be a file of undelivered messages (not a message")
    opening = messages.Opening(f"http://127.0.0.1:{free_port()}", "digits", "a", {}, 0)
    path.write_text(messages.to_line(opening) + "\n")
    with pytest.raises(TrackingError, match=r"^tracking.uri: must be a store that accepts the file \(.*refused"):
        list(replay(path))
    assert path.exists()
    for arguments in ([], ["a", "b", "c"]):
        assert command.main(arguments) == 2
        assert "command line: must be: python -m runner.tracking FILE [URI], got [" in capsys.readouterr().err
    path.write_bytes(b"\xff\xfe")
    assert command.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith("must be a file of undelivered messages (")


def kept(uri: str, path: Path, name: str) -> None:
    """A run of this name that no store has."""
    append(path, messages.Opening(uri, "digits", name, {}, 0, identity=f"{path}"), [messages.End("FINISHED", 1)])


def test_ids_are_printed_as_runs_are_sent_and_no_run_is_sent_twice(
    uri: str, client: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for place in ("untracked.jsonl", "0/untracked.jsonl", "2/untracked.jsonl"):
        kept(uri, tmp_path / place, place)
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "untracked.jsonl").write_text("nonsense\n")
    assert command.main([str(tmp_path)]) == 2
    first, second = (line.removeprefix("sent to run ") for line in capsys.readouterr().out.splitlines())
    assert [client.get_run(run).info.run_name for run in (first, second)] == ["untracked.jsonl", "0/untracked.jsonl"]
    (tmp_path / "1" / "untracked.jsonl").unlink()
    assert command.main([str(tmp_path)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_a_thousand_runs_are_sent_through_one_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    begun: list[str] = []

    class Counted:
        def __init__(self, uri: str) -> None:
            opened.append(uri)

        def begin(self, opening: messages.Opening, *, seek: bool = False) -> tuple[str, str]:
            begun.append(opening.run_name)
            return "1", opening.run_name

        def deliver(self, *_: Any) -> None:
            pass

    monkeypatch.setattr(replaying, "Store", Counted)
    for index in range(1000):
        kept("http://host", tmp_path / str(index) / "untracked.jsonl", str(index))
    assert sorted(replay(tmp_path)) == sorted(map(str, range(1000)))
    assert (len(opened), len(begun)) == (1, 1000)


def test_a_file_that_is_being_sent_is_not_sent_by_another_process(uri: str, tmp_path: Path) -> None:
    path = tmp_path / "untracked.jsonl"
    kept(uri, path, "a")
    with locked(path):
        other = subprocess.run(
            [sys.executable, "-m", "runner.tracking", str(path)], capture_output=True, text=True, cwd=ROOT
        )
    assert (other.returncode, other.stdout) == (2, "")
    assert other.stderr == "must be a file that no other process is sending, got untracked.jsonl\n"
    assert not path.exists()


def test_messages_added_while_a_file_is_sent_stay(uri: str, tmp_path: Path) -> None:
    path = tmp_path / "untracked.jsonl"
    kept(uri, path, "a")
    with locked(path) as first:
        kept(uri, path, "b")
    with locked(path) as both:
        assert [type(message).__name__ for message in (*first, *both)] == ["Opening", "End"] * 3
    assert not path.exists()


@pytest.mark.parametrize(
    ("error", "line", "status"),
    [
        (KeyboardInterrupt(), "interrupted", 130),
        (ZeroDivisionError("by zero"), "unexpected error, please report it with ", 1),
    ],
)
def test_every_error_of_the_command_is_one_line(
    uri: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    line: str,
    status: int,
) -> None:
    def stopped(*_: object) -> Any:
        raise error

    path = tmp_path / "untracked.jsonl"
    kept(uri, path, "a")
    monkeypatch.setattr(replaying, "locked", stopped)
    assert command.main([str(path)]) == status
    [printed] = capsys.readouterr().err.splitlines()
    assert printed.startswith(line)
    assert path.exists()


names = st.text(min_size=1, max_size=8)
opening = (names, names, names, st.dictionaries(names, names), st.integers(), names)


@given(
    st.one_of(
        st.builds(
            messages.Batch,
            st.lists(st.tuples(names, st.floats(allow_nan=False), st.integers(), st.integers())).map(tuple),
            st.lists(st.tuples(names, names)).map(tuple),
        ),
        st.builds(messages.Text, names, st.text()),
        st.builds(messages.File, names, names),
        st.builds(messages.Model, names),
        st.builds(messages.End, st.sampled_from(["FINISHED", "FAILED", "KILLED"]), st.integers()),
        st.builds(messages.Opening, *opening),
        st.builds(messages.Opening, *opening, names, st.builds(messages.Opening, *opening)),
        st.builds(messages.RunTag, names, st.builds(messages.Opening, *opening)),
        st.just(messages.Input(FACTS)),
    )
)
def test_every_message_can_be_read_back_from_its_line(message: Any) -> None:
    line = messages.to_line(message)
    assert "\n" not in line
    assert messages.from_line(line) == message
