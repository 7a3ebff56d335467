"""Runs are held against what MLflow's own client reads back, and against a real server that is killed."""

import json
import logging
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tracking_server import Server, answer, free_port, kill, mlflow_process

from runner.errors import ConfigError, TrackingError
from runner.serving import save_model
from runner.tracking import DatasetFacts, Run, Tracking, messages, replay, serve_ui, settings, start, writer
from runner.tracking import __main__ as command
from runner.tracking import run as run_module
from runner.tracking.store import Store
from runner.tracking.view import experiment_links

FACTS = DatasetFacts(
    "digits", "ab" * 32, {"train": 80, "val": 10, "test": 10}, (8, 8, 1), "uint8", ("0", "1"), "digits.gz"
)


@pytest.fixture(scope="module")
def uri(tmp_path_factory: pytest.TempPathFactory) -> str:
    """One store for the module: a new one costs seconds."""
    return f"sqlite:///{tmp_path_factory.mktemp('store') / 'outputs' / 'mlflow.db'}"


@pytest.fixture(scope="module")
def client(uri: str) -> Any:
    return Store(uri).client


def begin(uri: str, folder: Path, experiment: str = "digits", **arguments: Any) -> Run:
    tracking = Tracking(uri=uri, experiment=experiment)
    return start(tracking, **({"run_name": "lenet5", "tags": {}, "params": {}, "folder": folder} | arguments))


# What the user says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("outputs/mlruns", "outputs/mlruns"),
        ("file:///mlruns", "file:///mlruns"),
        ("ftp://me:pw@host", "ftp://***@host"),
    ],
)
def test_an_address_that_is_no_store_is_refused(uri: str, shown: str) -> None:
    with pytest.raises(pydantic.ValidationError) as fault:
        Tracking(uri=uri)
    rule = "must be a database such as sqlite:///outputs/mlflow.db or a server such as http://localhost:5000"
    assert fault.value.errors()[0]["msg"] == f"Value error, {rule}, got {shown}"


def test_tags_are_a_mapping_in_yaml_and_hashable_in_the_record() -> None:
    tracking = Tracking.model_validate({"tags": {"week": 3, "course": "cnn"}})
    assert tracking.tags == (("course", "cnn"), ("week", "3"))
    assert hash(tracking) == hash(Tracking.model_validate(tracking.model_dump()))
    assert Tracking.model_json_schema()["properties"]["tags"]["type"] == "object"
    with pytest.raises(pydantic.ValidationError, match=r"must map names to texts, got \{week: \[3\]\}"):
        Tracking.model_validate({"tags": {"week": (3,)}})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://me:secret@host:5000/a", "http://***@host:5000/a"),
        ("tracking.uri=postgresql://me:se%40cret@db/x data=mnist", "tracking.uri=postgresql://***@db/x data=mnist"),
        ("mysql://db/x?user=me&password=secret&charset=utf8", "mysql://db/x?user=***&password=***&charset=utf8"),
        ("someone@example.org reads http://host/a@b", "someone@example.org reads http://host/a@b"),
    ],
)
def test_no_address_is_shown_with_its_password(text: str, shown: str) -> None:
    assert settings.without_secrets(text) == shown


def test_an_sqlite_store_stays_where_the_run_began(tmp_path: Path) -> None:
    assert settings.absolute_uri("sqlite:///outputs/mlflow.db") == f"sqlite:///{tmp_path}/outputs/mlflow.db"
    assert settings.artifact_root("sqlite:///outputs/mlflow.db") == f"file://{tmp_path}/outputs/artifacts"
    assert settings.artifact_root("http://host") is None


# What lands in MLflow -------------------------------------------------------------------------------------------


def test_what_a_run_says_is_what_mlflow_reads_back(uri: str, client: Any, tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("a note")
    run = begin(
        uri,
        tmp_path / "run",
        tags={"device": "cpu", "uri": "http://me:secret@host"},
        params={"model.layers[3].conv.filters": 6, "optimizer.learning_rate": 1e-3, "tracking.uri": "http://a:b@host"},
    )
    said = time.time() * 1000
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
    assert all(abs(metric.timestamp - said) < 1000 for metric in losses)
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


def test_a_run_says_where_it_comes_from(uri: str, client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_run_is_gone_on_with(uri: str, client: Any, tmp_path: Path) -> None:
    first = begin(uri, tmp_path / "run", params={"space.seed": "0,1"}, tags={"sweep": "lr"})
    first.finish("KILLED")
    again = begin(uri, tmp_path / "run", run_name="another", run_id=first.run_id)
    again.check()
    assert client.get_run(first.run_id).info.status == "RUNNING"
    again.log_metrics({"best/val_accuracy": 0.5}, step=0)
    again.finish("FINISHED")
    run = client.get_run(first.run_id)
    assert again.run_id == first.run_id
    assert (run.info.status, run.info.run_name) == ("FINISHED", "lenet5")
    assert run.data.params == {"space.seed": "0,1"}
    assert run.data.tags["sweep"] == "lr"
    assert run.data.metrics == {"best/val_accuracy": 0.5}


def test_a_child_of_a_run_that_cannot_be_made_fails_as_its_parent_does(tmp_path: Path) -> None:
    bad = f"sqlite:///{tmp_path}/file.txt/mlflow.db"
    (tmp_path / "file.txt").write_text("no folder")
    parent = begin(bad, tmp_path / "parent")
    child = begin(bad, tmp_path / "child", parent=parent)
    for run in (parent, child):
        with pytest.raises(TrackingError, match=r"^tracking.uri: must be a store that MLflow can open \("):
            run.check()
        assert run.ended


def test_runs_that_follow_each_other_differ_in_colour(uri: str, client: Any, tmp_path: Path) -> None:
    colours = []
    for index in range(12):
        run = begin(uri, tmp_path / str(index), "colours")
        run.finish("FINISHED")
        colours.append(client.get_run(run.run_id).data.tags["mlflow.runColor"])
    assert len(set(colours)) == 10
    assert all(set(colours[start : start + 10]) == set(colours) for start in range(3))


def test_a_new_experiment_shows_results_and_curves_first(uri: str, client: Any, tmp_path: Path) -> None:
    run = begin(uri, tmp_path, "shown")
    run.finish("FINISHED")
    tags = client.get_experiment_by_name("shown").tags
    view = json.loads(tags["mlflow.sharedViewState.runner"])
    assert "metrics.`test/accuracy`" in view["selectedColumns"]
    assert [section["name"] for section in view["compareRunSections"]][:3] == ["val", "train", "test"]
    runs, curves = experiment_links("http://host", "7", tags)
    assert runs == "http://host/#/experiments/7/runs?workflowType=machine_learning&viewStateShareKey=runner"
    assert curves == runs + "&compareRunsMode=CHART"
    # An experiment that something else made has no such view to open.
    assert (
        experiment_links("http://host", "7", {})[0] == "http://host/#/experiments/7/runs?workflowType=machine_learning"
    )


def test_the_users_name_and_tags_come_first(uri: str, client: Any, tmp_path: Path) -> None:
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


def test_runs_at_the_same_time_do_not_mix(uri: str, client: Any, tmp_path: Path) -> None:
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


def test_saying_something_costs_next_to_nothing(uri: str, tmp_path: Path) -> None:
    began = time.perf_counter()
    run = begin(uri, tmp_path)
    for step in range(1000):
        run.log_metrics({"train/loss": 1.0, "val/loss": 1.0, "learning_rate": 0.1}, step=step)
    seconds = time.perf_counter() - began
    run.finish("FINISHED")
    # A minute of training has some tens of calls, not a thousand.
    assert seconds < 0.6


def test_tracking_that_is_off_does_nothing(tmp_path: Path) -> None:
    run = start(Tracking(enabled=False), run_name="a", tags={}, params={"a": 1}, folder=tmp_path / "run")
    run.log_metrics({"loss": 1.0}, step=1)
    run.log_figure("a.png", lambda: pytest.fail("drawn"))
    run.check()
    run.finish("FINISHED")
    assert (run.run_id, run.url, list(tmp_path.iterdir())) == ("", None, [])


def test_a_figure_that_fails_costs_no_run(
    uri: str, client: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = begin(uri, tmp_path)
    run.log_figure("figures/broken.png", lambda: bytes(1 // 0))
    run.log_metrics({"loss": 1.0}, step=1)
    run.finish("FINISHED")
    assert client.get_run(run.run_id).data.metrics == {"loss": 1.0}
    assert caplog.messages == ["figures/broken.png could not be drawn: integer division or modulo by zero"]


def test_figures_that_are_off_are_not_drawn(uri: str, tmp_path: Path) -> None:
    run = start(Tracking(uri=uri, figures=False), run_name="a", tags={}, params={}, folder=tmp_path / "run")
    run.log_figure("a.png", lambda: pytest.fail("drawn"))
    run.finish("FINISHED")
    assert not (tmp_path / "run").exists()


def test_a_model_is_logged_with_its_signature(uri: str, client: Any, tmp_path: Path) -> None:
    import mlflow

    images = np.arange(3 * 4 * 4, dtype=np.uint8).reshape(3, 4, 4, 1)
    save_model(tmp_path / "model", function=_linear, variables=_weights(), images=images, classes=("a", "b", "c"))
    run = begin(uri, tmp_path / "run")
    run.log_model(tmp_path / "model")
    run.finish("FINISHED")
    model = client.get_run(run.run_id).outputs.model_outputs[0].model_id
    loaded = mlflow.pyfunc.load_model(client.get_logged_model(model).artifact_location)
    expected = images.reshape(3, 16).astype(np.float32) @ _weights()["w"]
    np.testing.assert_allclose(loaded.predict(images), expected, rtol=1e-5)
    assert str(loaded.metadata.signature.inputs) == "[Tensor('uint8', (-1, 4, 4, 1))]"
    assert str(loaded.metadata.signature.outputs) == "[Tensor('float32', (-1, 3))]"
    assert loaded.metadata.metadata["classes"] == ["a", "b", "c"]
    np.testing.assert_array_equal(loaded.input_example, images[:1])
    assert client.get_logged_model(model).status == "READY"


# A store that cannot be opened, refuses, or goes away ------------------------------------------------------------


def test_a_server_that_does_not_answer_is_a_fault_before_training(tmp_path: Path) -> None:
    port = free_port()
    run = begin(f"http://me:secret@127.0.0.1:{port}", tmp_path)
    with pytest.raises(TrackingError) as fault:
        run.check()
    text = str(fault.value)
    assert text.startswith("tracking.uri: must be a store that MLflow can open (")
    assert "Connection refused" in text
    assert text.endswith(f"), got http://***@127.0.0.1:{port}")
    assert "secret" not in text
    run.finish("FAILED")
    assert list(tmp_path.iterdir()) == []


def test_a_database_whose_driver_is_missing_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(TrackingError, match=r"^tracking.uri: must be a store that MLflow can open \(.*\), got mssql"):
        _ = begin("mssql+nodriver://host/db", tmp_path).run_id


def test_what_mlflow_refuses_does_not_hold_up_the_rest(
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


def test_what_cannot_be_written_down_either_is_lost_in_one_line(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
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
        monkeypatch.setattr(writer, "_RETRY_SECONDS", (0.05,))
        monkeypatch.setattr(run_module, "_AWAY_SECONDS", 0.3)


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
        f"{uri} does not answer (Connection refused); training goes on, and what it says is kept"
    ]
    assert not (tmp_path / "untracked.jsonl").exists()


def test_what_a_store_never_took_is_kept_and_sent_later(
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
        f"{uri} did not take everything; the rest is in {path}. Send it with: python -m runner.tracking {path}"
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


def test_a_run_that_never_began_is_sent_as_a_new_one(uri: str, client: Any, tmp_path: Path) -> None:
    lines = "a\u2028b\u0085c"  # what other programs may take for the end of a line
    run = begin(f"http://127.0.0.1:{free_port()}", tmp_path, params={"seed": 7, "data.name": lines})
    run.log_metrics({"loss": 0.5}, step=1)
    run.finish("FINISHED")
    found = client.get_run(replay(tmp_path / "untracked.jsonl", uri)[0])
    params = {"seed": "7", "data.name": lines}
    assert (found.data.metrics, found.data.params, found.info.run_name) == ({"loss": 0.5}, params, "lenet5")


def test_a_foreign_untracked_file_sends_what_it_names(uri: str, client: Any, tmp_path: Path) -> None:
    (tmp_path / "private").write_text("of the reader")
    path = tmp_path / "untracked.jsonl"
    said = (messages.Opening(uri, "digits", "a", {}, 0), messages.File(str(tmp_path / "private"), "taken"))
    path.write_text("".join(messages.to_line(message) + "\n" for message in said))
    [run_id] = replay(path)
    taken = client.download_artifacts(run_id, "taken/private", str(tmp_path))
    assert Path(taken).read_text() == "of the reader"


def test_replay_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "untracked.jsonl"
    with pytest.raises(
        ConfigError, match=r"^must be .* not tracked \(No such file or directory\), got untracked.jsonl$"
    ):
        replay(path)
    path.write_text('{"kind": "Nonsense"}\n')
    assert command.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith("must be a file of what was not tracked (not a message")
    opening = messages.Opening(f"http://127.0.0.1:{free_port()}", "digits", "a", {}, 0)
    path.write_text(messages.to_line(opening) + "\n")
    with pytest.raises(
        TrackingError, match=r"^tracking.uri: must be a store that takes what was not tracked \(.*refused"
    ):
        replay(path)
    assert path.exists()
    assert command.main([]) == 2


names = st.text(min_size=1, max_size=8)


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
        st.builds(messages.Opening, names, names, names, st.dictionaries(names, names), st.integers(), names),
        st.just(messages.Input(FACTS)),
    )
)
def test_every_message_survives_its_line(message: Any) -> None:
    line = messages.to_line(message)
    assert "\n" not in line
    assert messages.from_line(line) == message


# Real servers ---------------------------------------------------------------------------------------------------


def _linear(weights: Any, images: Any) -> Any:
    return images.reshape(images.shape[0], -1).astype("float32") @ weights["w"]


def _weights() -> dict[str, Any]:
    return {"w": np.linspace(0, 1, 48, dtype=np.float32).reshape(16, 3)}


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
        began = time.perf_counter()
        run.log_metrics({"loss": 1.0 / step}, step=step)
        run.log_text("text", "describe.txt")
        assert time.perf_counter() - began < 0.05
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
def test_what_a_killed_server_never_took_is_sent_when_it_is_back(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "_AWAY_SECONDS", 3.0)
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
    assert replay(tmp_path / "run" / "untracked.jsonl") == [run.run_id]
    client = Store(server.uri).client
    assert sorted(metric.value for metric in client.get_metric_history(run.run_id, "loss")) == [0.5, 1.0]
    assert client.get_run(run.run_id).info.status == "FINISHED"


@pytest.mark.slow
def test_mlflow_predicts_with_and_serves_the_model(uri: str, tmp_path: Path) -> None:
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    save_model(tmp_path / "model", function=_linear, variables=_weights(), images=images, classes=("a", "b", "c"))
    run = begin(uri, tmp_path / "run")
    run.log_model(tmp_path / "model")
    run.finish("FINISHED")
    request = tmp_path / "images.json"
    request.write_text(json.dumps({"inputs": images.tolist()}))
    expected = images.reshape(2, 16).astype(np.float32) @ _weights()["w"]
    model = ["--model-uri", f"runs:/{run.run_id}/model", "--env-manager", "local"]
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


# The UI ---------------------------------------------------------------------------------------------------------


def test_the_ui_of_a_server_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve_ui(Tracking(uri="http://me:secret@host:5000")) == 0
    assert capsys.readouterr().out == "The tracking server has its own UI: http://host:5000\n"


def test_the_ui_needs_a_store_and_a_port(uri: str, client: Any, tmp_path: Path) -> None:
    with pytest.raises(TrackingError) as nothing:
        serve_ui(Tracking())
    rule = "tracking.uri: must be a store that a run has been recorded in, got sqlite:///outputs/mlflow.db"
    assert str(nothing.value) == rule
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as fault:
            serve_ui(Tracking(uri=uri), port=port)
        assert str(fault.value) == f"ui.port: must be free, and something listens there already, got {port}"
    for host in ("256.1.1.1", "192.0.2.1", "a..b"):  # no address, one kept for examples, no name
        with pytest.raises(ConfigError) as fault:
            serve_ui(Tracking(uri=uri), host=host)
        assert re.fullmatch(rf"ui\.host: must be an address of this machine \(.+\), got {host}", str(fault.value))


@pytest.mark.slow
@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_the_ui_opens_and_says_where(uri: str, tmp_path: Path, request_to_end: signal.Signals) -> None:
    begin(uri, tmp_path / "run", "my experiment").finish("FINISHED")
    port = free_port()
    program = f"from runner.tracking import *; serve_ui(Tracking(uri={uri!r}), port={port})"
    root = str(Path(__file__).resolve().parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert b"MLflow" in answer(f"http://127.0.0.1:{port}/")
        lines = [process.stdout.readline() for _ in range(5)] if process.stdout else []
        assert lines[1] == f"MLflow UI: http://127.0.0.1:{port}   (Ctrl+C stops it)\n"
        assert lines[2] == "my experiment\n"
        page = f"http://127.0.0.1:{port}/#/experiments/"
        assert lines[3].startswith(f"  runs    {page}")
        assert lines[4].startswith(f"  curves  {page}")
    finally:
        process.send_signal(request_to_end)
        assert process.wait(timeout=30) == 0
        process.communicate()
    with pytest.raises(OSError, match="refused"):
        answer(f"http://127.0.0.1:{port}/", seconds=0)


@pytest.fixture(autouse=True)
def _warnings_only(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "runner")
