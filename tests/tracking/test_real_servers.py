"""Runs and models against a real MLflow server, which is killed."""

import json
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tracked import begin, linear, weights
from tracking_server import Server, answer, free_port, kill, mlflow_process

from runner.serving import save_model
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


@pytest.mark.slow
def test_mlflow_predicts_with_and_serves_the_model(uri: str, tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    save_model(tmp_path / "model", function=linear, variables=weights(), images=images, classes=("a", "b", "c"))
    run = begin(uri, tmp_path / "run")
    run.log_model(tmp_path / "model")
    run.finish("FINISHED")
    request = tmp_path / "images.json"
    request.write_text(json.dumps({"inputs": images.tolist()}))
    expected = images.reshape(2, 16).astype(np.float32) @ weights()["w"]
    model = ["--model-uri", f"runs:/{run.run_id}/lenet5", "--env-manager", "local"]
    process = mlflow_process("models", "predict", *model, "--input-path", str(request), MLFLOW_TRACKING_URI=uri)
    printed, _ = process.communicate(timeout=120)
    np.testing.assert_allclose(json.loads(printed)["predictions"], expected, rtol=1e-5)
    port = free_port()
    serving = mlflow_process("models", "serve", *model, "--port", str(port), MLFLOW_TRACKING_URI=uri)
    try:
        reply = json.loads(answer(f"http://127.0.0.1:{port}/invocations", {"inputs": images.tolist()}))
    finally:
        kill(serving)
    np.testing.assert_allclose(reply["predictions"], expected, rtol=1e-5)
