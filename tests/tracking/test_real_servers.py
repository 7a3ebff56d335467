"""Runs and models against a real MLflow server, which is killed."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tracked import begin
from tracking_server import Server

from runner.tracking import run as run_module
from runner.tracking.sending import send
from runner.tracking.store import Store


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    server = Server(tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.mark.slow
def test_training_outlives_a_killed_server_and_nothing_is_lost(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(server.uri, tmp_path / "run", params={"seed": 0})
    run.check()
    assert run.url == f"{server.uri}/#/experiments/{run.experiment_id}/runs/{run.run_id}?workflowType=machine_learning"
    run.log_metrics({"loss": 1.0}, step=1)
    time.sleep(2)
    server.kill()
    for step in range(2, 50):
        run.log_metrics({"loss": 1.0 / step}, step=step)
        run.log_text("text", "describe.txt")
        time.sleep(0.02)
    time.sleep(2)
    server.start()
    for step in range(50, 101):
        run.log_metrics({"loss": 1.0 / step}, step=step)
    run.finish("FINISHED")
    client = Store(server.uri).client
    history = sorted(client.get_metric_history(run.run_id, "loss"), key=lambda metric: metric.step)
    assert [(metric.step, metric.value) for metric in history] == [(step, 1.0 / step) for step in range(1, 101)]
    assert client.get_run(run.run_id).info.status == "FINISHED"
    assert [entry.path for entry in client.list_artifacts(run.run_id)] == ["describe.txt"]
    assert sum("does not answer" in message for message in caplog.messages) == 1
    assert not (tmp_path / "run" / "untracked.jsonl").exists()


@pytest.mark.slow
def test_messages_to_a_killed_server_are_sent_when_it_is_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "AWAY_SECONDS", 3.0)
    run = begin(server.uri, tmp_path / "run")
    run.check()
    run.log_metrics({"loss": 1.0}, step=1)
    time.sleep(2)
    server.kill()
    run.log_metrics({"loss": 0.5}, step=2)
    began = time.monotonic()
    run.finish("FINISHED")
    assert time.monotonic() - began < 20
    server.start()
    assert [sent.run_id for sent in send(tmp_path / "run")] == [run.run_id]
    client = Store(server.uri).client
    assert sorted(metric.value for metric in client.get_metric_history(run.run_id, "loss")) == [0.5, 1.0]
    assert client.get_run(run.run_id).info.status == "FINISHED"
