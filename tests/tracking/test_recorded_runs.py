"""What a run records, as MLflow's own client reads it back."""

import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tracked import FACTS, begin, linear, weights

from runner.errors import TrackingError
from runner.serving import save_model
from runner.tracking import Tracking, start
from runner.tracking.store import Store


def test_mlflow_reads_back_what_a_run_logs(uri: str, client: Any, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a note")
    run = begin(
        uri,
        tmp_path / "run",
        tags={"device": "cpu", "uri": "http://me:secret@host"},
        params={"model.layers[3].conv.filters": 6, "optimizer.learning_rate": 1e-3, "tracking.uri": "http://a:b@host"},
    )
    before_ms = time.time() * 1000
    for step in range(1, 2101):
        run.log_metrics({"train/loss": 1 / step, "val/accuracy": 0.5}, step=step)
    run.log_params({f"p{index}": "x" * 7000 for index in range(150)})
    run.set_tags({"device": "gpu"})
    run.log_text("layers", "describe.txt")
    run.log_artifact(tmp_path / "note.txt", "notes")
    run.log_figure("figures/a.png", lambda: b"PNG")
    run.log_input(FACTS)
    run.finish("FINISHED")

    found = client.get_run(run.run_id)
    assert (found.info.status, found.info.run_name) == ("FINISHED", "lenet5")
    assert found.data.tags["device"] == "gpu"
    assert found.data.tags["uri"] == "http://***@host"
    assert found.data.params["model.layers.3.conv.filters"] == "6"
    assert found.data.params["optimizer.learning_rate"] == "0.001"
    assert found.data.params["tracking.uri"] == "http://***@host"
    assert {len(found.data.params[f"p{index}"]) for index in range(150)} == {6000}
    losses = sorted(client.get_metric_history(run.run_id, "train/loss"), key=lambda metric: metric.step)
    assert [metric.value for metric in losses] == [1 / step for step in range(1, 2101)]
    # The time is that of the call, not of the writing, seconds later.
    assert all(abs(metric.timestamp - before_ms) < 1000 for metric in losses)
    artifacts = Path(found.info.artifact_uri.removeprefix("file://"))
    assert artifacts.parent.parent == Path(uri.removeprefix("sqlite:///")).parent / "artifacts"
    assert (artifacts / "describe.txt").read_text() == "layers"
    assert (artifacts / "notes" / "note.txt").read_text() == "a note"
    assert (artifacts / "figures" / "a.png").read_bytes() == b"PNG"
    assert (tmp_path / "run" / "figures" / "a.png").read_bytes() == b"PNG"
    inputs = {item.tags[0].value: item.dataset for item in found.inputs.dataset_inputs}
    assert {split: json.loads(dataset.profile)["num_rows"] for split, dataset in inputs.items()} == FACTS.counts
    assert {dataset.name for dataset in inputs.values()} == {"digits/train", "digits/val", "digits/test"}
    assert inputs["train"].digest == ("ab" * 32)[:36]
    assert "[-1, 8, 8, 1]" in inputs["train"].schema
    assert client.get_experiment_by_name("digits").tags["mlflow.experimentKind"] == "custom_model_development"
    assert not (tmp_path / "run" / "untracked.jsonl").exists()
    assert not (tmp_path / "mlruns").exists()


def test_a_run_records_its_source(uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["somewhere/runner", "data=digits", "tracking.uri=http://me:secret@host"])
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    subprocess.run(["git", "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "first"], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    parent = begin(uri, tmp_path / "parent")
    child = begin(uri, tmp_path / "child", parent=parent)  # nobody has waited for the parent to be made
    child.end("KILLED")
    child.wait()
    parent.finish("FAILED")
    tags = client.get_run(child.run_id).data.tags
    assert tags["mlflow.parentRunId"] == parent.run_id
    assert tags["mlflow.source.name"] == "runner data=digits tracking.uri=http://***@host"
    assert tags["mlflow.source.git.commit"] == head
    assert client.get_run(child.run_id).info.status == "KILLED"
    assert client.get_run(parent.run_id).info.status == "FAILED"


def test_a_run_can_be_reopened(uri: str, client: Any, tmp_path: Path) -> None:
    first = begin(uri, tmp_path / "run", params={"space.seed": "0,1"}, tags={"sweep": "lr"})
    first.finish("KILLED")
    again = begin(uri, tmp_path / "run", run_name="another", run_id=first.run_id)
    again.check()
    assert client.get_run(first.run_id).info.status == "RUNNING"
    again.log_summary({"best/val_accuracy": 0.5})
    again.finish("FINISHED")
    run = client.get_run(first.run_id)
    assert again.run_id == first.run_id
    assert (run.info.status, run.info.run_name) == ("FINISHED", "lenet5")
    assert run.data.params == {"space.seed": "0,1"}
    assert run.data.tags["sweep"] == "lr"
    assert run.data.metrics == {"best_val_accuracy": 0.5}


def test_a_child_of_a_failed_parent_fails(tmp_path: Path) -> None:
    bad = f"sqlite:///{tmp_path}/file.txt/mlflow.db"
    (tmp_path / "file.txt").write_text("no folder")
    parent = begin(bad, tmp_path / "parent")
    child = begin(bad, tmp_path / "child", parent=parent)
    for run in (parent, child):
        with pytest.raises(TrackingError, match=r"^tracking.uri: must be a store that MLflow can open \("):
            run.check()
        assert run.ended


def test_consecutive_runs_have_different_colours(uri: str, client: Any, tmp_path: Path) -> None:
    colours = []
    for index in range(12):
        run = begin(uri, tmp_path / str(index), "colours")
        run.finish("FINISHED")
        colours.append(client.get_run(run.run_id).data.tags["mlflow.runColor"])
    assert len(set(colours)) == 10
    assert all(set(colours[start : start + 10]) == set(colours) for start in range(3))


def test_a_new_experiment_has_a_view_and_an_earlier_view_is_replaced(uri: str, client: Any, tmp_path: Path) -> None:
    begin(uri, tmp_path / "new", "shown").finish("FINISHED")
    experiment = client.get_experiment_by_name("shown")
    view = experiment.tags["mlflow.sharedViewState.runner"]
    assert json.loads(view)["orderByKey"] == "metrics.`best_val_accuracy`"
    assert len(view) < 5000  # MLflow's limit
    client.set_experiment_tag(experiment.experiment_id, "mlflow.sharedViewState.runner", "{}")
    begin(uri, tmp_path / "again", "shown").finish("FINISHED")
    assert client.get_experiment_by_name("shown").tags["mlflow.sharedViewState.runner"] == view
    identity = client.create_experiment("of another program")
    begin(uri, tmp_path / "other", "of another program").finish("FINISHED")
    assert client.get_experiment(identity).tags == {}


def test_the_users_name_and_tags_take_precedence(uri: str, client: Any, tmp_path: Path) -> None:
    tracking = Tracking.model_validate({"uri": uri, "run_name": "mine", "tags": {"device": "mine"}})
    run = start(tracking, run_name="lenet5", tags={"device": "cpu"}, params={}, folder=tmp_path)
    run.finish("FINISHED")
    found = client.get_run(run.run_id)
    assert (found.info.run_name, found.data.tags["device"]) == ("mine", "mine")


def test_a_deleted_experiment_is_restored(uri: str, client: Any, tmp_path: Path) -> None:
    identity = client.create_experiment("thrown away")
    client.delete_experiment(identity)
    run = begin(uri, tmp_path, "thrown away")
    run.finish("FINISHED")
    assert client.get_run(run.run_id).info.experiment_id == identity
    assert client.get_experiment(identity).lifecycle_stage == "active"


def test_simultaneous_runs_do_not_mix(uri: str, client: Any, tmp_path: Path) -> None:
    runs = [begin(uri, tmp_path / str(index)) for index in range(4)]
    for step in range(1, 51):
        for index, run in enumerate(runs):
            run.log_metrics({"loss": float(index)}, step=step)
    enders = [threading.Thread(target=run.finish, args=("FINISHED",)) for run in runs]
    for thread in enders:
        thread.start()
    for thread in enders:
        thread.join()
    for index, run in enumerate(runs):
        assert {metric.value for metric in client.get_metric_history(run.run_id, "loss")} == {float(index)}
        assert len(client.get_metric_history(run.run_id, "loss")) == 50


def test_logging_does_not_wait_for_the_store(
    uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers, deliver = threading.Event(), Store.deliver

    def held(store: Store, *arguments: Any) -> None:
        assert answers.wait(60)
        deliver(store, *arguments)

    monkeypatch.setattr(Store, "deliver", held)
    run = begin(uri, tmp_path)
    for step in range(1000):
        run.log_metrics({"train/loss": 1.0, "val/loss": 1.0, "learning_rate": 0.1}, step=step)
    run.log_text("text", "describe.txt")
    answers.set()  # not before all is logged: a call that waited for the store would wait for ever
    run.finish("FINISHED")
    assert len(client.get_metric_history(run.run_id, "val/loss")) == 1000


def test_tracking_that_is_off_does_nothing(tmp_path: Path) -> None:
    run = start(Tracking(enabled=False), run_name="a", tags={}, params={"a": 1}, folder=tmp_path / "run")
    run.log_metrics({"loss": 1.0}, step=1)
    run.log_figure("a.png", lambda: pytest.fail("drawn"))
    run.check()
    run.finish("FINISHED")
    assert (run.run_id, run.url, list(tmp_path.iterdir())) == ("", None, [])


def test_a_run_continues_if_a_figure_fails(
    uri: str, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(uri, tmp_path)
    run.log_figure("figures/broken.png", lambda: bytes(1 // 0))
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    assert client.get_run(run.run_id).data.metrics == {"loss": 1.0}
    assert caplog.messages == ["figures/broken.png could not be drawn: integer division or modulo by zero"]


def test_a_model_is_logged_with_its_signature(uri: str, client: Any, tmp_path: Path) -> None:
    import mlflow

    images = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4, 1)
    save_model(tmp_path / "model", function=linear, variables=weights(), images=images, classes=("a", "b", "c"))
    run = begin(uri, tmp_path / "run", run_name="lenet5 learning_rate=0.01 augment=a/b", params={"seed": 1})
    run.log_input(FACTS)
    run.log_metrics({"val/accuracy": 0.25}, step=1)
    run.log_metrics({"val/accuracy": 0.75}, step=2)
    run.log_summary({"test/accuracy": 0.5, "best/val_loss": 2.0, "parameters": 48.0})
    run.log_model(tmp_path / "model")
    run.finish("FINISHED")
    model = client.get_run(run.run_id).outputs.model_outputs[0].model_id
    logged = client.get_logged_model(model)
    assert (logged.name, logged.params) == ("lenet5 learning_rate=0·01 augment=a_b", {"seed": "1"})
    assert {metric.key: (metric.value, metric.dataset_name) for metric in logged.metrics} == {
        "val/accuracy": (0.75, "digits/val"),
        "test_accuracy": (0.5, "digits/test"),
        "best_val_loss": (2.0, "digits/val"),
        "parameters": (48.0, None),
    }
    history = client.get_metric_history(run.run_id, "val/accuracy")
    assert sorted((value.step, value.value) for value in history) == [(1, 0.25), (2, 0.75)]  # none twice
    loaded = mlflow.pyfunc.load_model(client.get_logged_model(model).artifact_location)
    expected = images.reshape(3, 16).astype(np.float32) @ weights()["w"]
    answers = loaded.predict(images)
    assert [answer["class"] for answer in answers] == [("a", "b", "c")[row.argmax()] for row in expected]
    np.testing.assert_allclose([answer["probability"] for answer in answers], expected.max(axis=1), rtol=1e-5)
    assert loaded.metadata.signature.inputs is None  # files, texts or arrays
    assert loaded.metadata.signature.outputs.input_names() == ["class", "probability", "top"]
    assert [(one.name, one.default) for one in loaded.metadata.signature.params] == [("top_k", 1)]
    assert len(loaded.predict(images, params={"top_k": 2})[0]["top"]) == 2
    assert loaded.metadata.metadata["classes"] == ["a", "b", "c"]
    [first] = loaded.predict(loaded.input_example)
    assert (first["class"], first["probability"]) == (answers[0]["class"], pytest.approx(answers[0]["probability"]))
    assert client.get_logged_model(model).status == "READY"


def test_a_run_that_is_gone_on_with_has_each_point_once(uri: str, client: Any, tmp_path: Path) -> None:
    """Also those that are recorded again together with what an earlier process has left to send."""
    new = begin(uri, tmp_path / "new", identity="never created", repeats=True)
    for value in (0.25, 0.125):
        new.log_metrics({"train/loss": value}, step=1)
    new.finish("FINISHED")
    assert [point.value for point in client.get_metric_history(new.run_id, "train/loss")] == [0.25]
    first = begin(uri, tmp_path, identity="twice", params={"epochs": 2})
    first.log_metrics({"train/loss": 0.5}, step=1)
    first.finish("KILLED")
    again = begin(uri, tmp_path, identity="twice", repeats=True, params={"epochs": 3, "more": 1})
    for value in (0.25, 0.125):
        again.log_metrics({"train/loss": value}, step=1)
        again.log_metrics({"train/loss": value}, step=2)
    again.finish("FINISHED")
    assert again.run_id == first.run_id
    history = client.get_metric_history(first.run_id, "train/loss")
    assert sorted((point.step, point.value) for point in history) == [(1, 0.5), (2, 0.25)]
    run = client.get_run(first.run_id)
    assert (run.info.status, run.data.params) == ("FINISHED", {"epochs": "2", "more": "1"})
