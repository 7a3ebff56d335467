"""A whole run: what lands in MLflow, that it can be launched again, and that its model answers as the training did."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import mlflow
import numpy as np
import pytest
import yaml
from configurations import TINY, UNTRACKED, begun, composed, configured, parse, probabilities, tiny
from mlflow.entities import Run
from PIL import Image

from runner import data, describe
from runner.configuration import Configuration
from runner.errors import DataError, NonFiniteError, TrainingError
from runner.observers.contents import run_name
from runner.run import run
from runner.training.alone import Training
from runner.training.member import Context
from runner.training.outcome import Outcome

pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's affair with SQLAlchemy

OF_CLASSES = ("accuracy_low", "accuracy_high", "balanced_accuracy", "f1_macro", "ece")
OVERRIDES = ("data=digits", *TINY, "optimizer=momentum", "seed=3", "model.layers.0.conv.filters=5")


@dataclass(frozen=True)
class Recorded:
    """A finished run and where it is recorded."""

    configuration: Configuration
    outcome: Outcome
    client: mlflow.MlflowClient
    run: Run
    folder: Path


def recorded(folder: Path, *overrides: str) -> tuple[dict[str, Any], Configuration]:
    lines = (*overrides, "tracking.enabled=true", f"tracking.uri=sqlite:///{folder / 'mlflow.db'}")
    return composed(*lines), configured(*lines)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("run")
    config, configuration = recorded(folder, *OVERRIDES)
    context = Context(
        folder / "output",
        configuration.tracking,
        config=config,
        overrides=OVERRIDES,
        command="runner seed=3",
        tags={"course": "first"},
    )
    outcome = run(configuration.experiment, context)
    client = mlflow.MlflowClient(configuration.tracking.uri)
    return Recorded(configuration, outcome, client, client.get_run(outcome.run_id), folder)


def only_run(folder: Path) -> Run:
    client = mlflow.MlflowClient(f"sqlite:///{folder / 'mlflow.db'}")
    [found] = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return found


def artifact(found: Recorded, path: str) -> Path:
    return Path(found.client.download_artifacts(found.outcome.run_id, path))


def test_the_run_is_finished_and_found_under_its_data_set(finished: Recorded) -> None:
    assert finished.run.info.status == "FINISHED"
    assert finished.client.get_experiment(finished.run.info.experiment_id).name == "digits"
    assert finished.run.info.run_name.startswith("tiny ")


def test_files_that_are_left_out_are_counted_and_listed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(40):
        path = tmp_path / "photos" / f"class {number % 2}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (10, 10 + number % 3), 100 * (number % 2)).save(path)
    (tmp_path / "photos" / "class 0" / "bad.png").write_bytes(b"")
    (tmp_path / "photos" / "class 1" / "notes.txt").write_text("about these")
    _, configuration = recorded(
        tmp_path,
        *(*TINY, "data=folder", f"data.root={tmp_path / 'photos'}", "data.on_bad_file=skip", "data.limit=null"),
        *("model.input={height: 8, width: 8}", "train.batch_size=4", "train.epochs=1", "tracking.log_model=false"),
        *("model.layers=[flatten,classifier]", "figures=off"),
    )
    context = Context(tmp_path / "output", configuration.tracking, configuration.figures)
    outcome = run(configuration.experiment, context)
    client = mlflow.MlflowClient(configuration.tracking.uri)
    tags = client.get_run(outcome.run_id).data.tags
    assert (tags["data.skipped_files"], tags["data.files_of_other_kinds"]) == ("1", "1")
    listed = Path(client.download_artifacts(outcome.run_id, "left_out_files.txt")).read_text()
    assert listed == (
        "class 0/bad.png: must be a JPEG, PNG, GIF, TIFF, BMP or WebP image, got an empty file\n"
        "class 1/notes.txt: another kind of file\n"
    )
    described = Path(client.download_artifacts(outcome.run_id, "describe.txt")).read_text()
    assert described.startswith("tiny on photos: 8×8×1 input")  # though no file declares size or classes
    shown = "left out of the class folders: 1 bad image and 1 file of other kinds (.txt 1)\n"
    assert capsys.readouterr().out.startswith(shown)


def test_metrics_have_the_names_of_the_design(finished: Recorded) -> None:
    per_epoch = {"train/loss", "train/accuracy", "val/loss", "val/accuracy", "learning_rate", "images_per_second"}
    once = {
        "test_loss": "test/loss",
        "test_accuracy": "test/accuracy",
        **{f"test_{name}": f"test/{name}" for name in OF_CLASSES},
        "best_val_accuracy": "best/val_accuracy",
        "best_val_loss": "best/val_loss",
        "best_epoch": "best/epoch",
        "seconds_compile": "seconds/compile",
        "seconds_train": "seconds/train",
    }
    costs = {"parameters", "multiply_adds", "receptive_field", "peak_memory_mb"}
    found = finished.run.data.metrics
    assert per_epoch | set(once) | costs == set(found) - {"energy_joules"}
    for name in per_epoch:
        history = finished.client.get_metric_history(finished.outcome.run_id, name)
        assert [metric.step for metric in sorted(history, key=lambda metric: metric.step)] == [1, 2], name
    for name, own in once.items():
        [only] = finished.client.get_metric_history(finished.outcome.run_id, name)
        assert (only.step, only.value) == (0, pytest.approx(finished.outcome.metrics[own])), name


def test_the_metrics_are_those_of_the_loop(finished: Recorded) -> None:
    training = begun(finished.configuration.experiment, data.load(finished.configuration.experiment.data))
    *_, last = training.epochs()
    expected = last.metrics | training.test()
    for name in ("train/loss", "train/accuracy", "val/loss", "val/accuracy", "test/loss", "test/accuracy"):
        assert finished.run.data.metrics[name.replace("test/", "test_")] == expected[name], name


def test_a_run_costs_what_describe_says_and_at_least_the_memory_of_jax(finished: Recorded) -> None:
    found, told = finished.run.data.metrics, json.loads(describe.as_json(finished.configuration.experiment))["totals"]
    assert (found["parameters"], found["multiply_adds"]) == (told["parameters"], told["multiply_adds"])
    assert found["receptive_field"] == max(told["receptive_field"])
    assert 100 < found["peak_memory_mb"] < 64_000


def test_params_are_the_leaves_outside_the_layers_and_what_was_changed_within(finished: Recorded) -> None:
    found = finished.run.data.params
    expected = {
        "seed": "3",
        "model.name": "tiny",
        "model.layers.0.conv.filters": "5",
        "optimizer.name": "sgd",
        "optimizer.momentum": "0.9",
        "train.batch_size": "32",
        "data.limit": "160",
        "data.class_names": "[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]",
    }
    assert expected.items() <= found.items()
    assert "null" not in found.values()


def test_tags_say_with_what_and_how(finished: Recorded) -> None:
    found = finished.run.data.tags
    assert found["course"] == "first"
    assert found["mlflow.source.name"] == "runner seed=3"
    assert found["jax"] == jax.__version__
    assert found["device"].startswith("cpu (")
    assert len(found["group"]) == 12
    assert "classifier" in found["mlflow.note.content"]


def test_the_configuration_can_be_launched_again(finished: Recorded) -> None:
    text = artifact(finished, "config.yaml").read_text()
    values = yaml.safe_load(text)
    assert values.pop("defaults") == ["shipped", "_self_"]
    assert parse(values) == finished.configuration.experiment
    assert yaml.safe_load(artifact(finished, "overrides.yaml").read_text()) == list(OVERRIDES)
    assert "classifier" in artifact(finished, "describe.txt").read_text()


def test_the_data_set_is_an_input(finished: Recorded) -> None:
    inputs = finished.run.inputs.dataset_inputs
    assert {item.dataset.name for item in inputs} == {"digits/train", "digits/val", "digits/test"}
    contexts = {tag.value for item in inputs for tag in item.tags if tag.key == "mlflow.data.context"}
    assert contexts == {"train", "val", "test"}


@pytest.mark.parametrize("name", ["first_filters", "feature_maps", "class_probabilities"])
def test_figures_are_artifacts(finished: Recorded, name: str) -> None:
    assert artifact(finished, f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.filterwarnings("ignore")  # of MLflow's own
def test_the_model_answers_as_the_loop_did(finished: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", finished.configuration.tracking.uri)
    [logged] = finished.run.outputs.model_outputs
    model = mlflow.pyfunc.load_model(f"models:/{logged.model_id}")
    dataset = data.load(finished.configuration.experiment.data)
    training = begun(finished.configuration.experiment, dataset)
    list(training.epochs())
    classes = len(dataset.classes)
    answers = model.predict(dataset.val.inputs, params={"top_k": classes})
    found = [{one["class"]: one["probability"] for one in answer["top"]} for answer in answers]
    in_order = [[row[name] for name in dataset.classes] for row in found]
    np.testing.assert_allclose(in_order, probabilities(training, dataset.val), rtol=1e-4, atol=1e-6)
    assert model.metadata.signature is not None
    assert model.metadata.saved_input_example_info is not None


def test_the_outcome_says_what_it_came_to(finished: Recorded) -> None:
    assert finished.outcome.status == "FINISHED"
    assert len(finished.outcome.history) == 2
    assert finished.outcome.reason == ""
    assert finished.outcome.metrics["best/epoch"] in (1.0, 2.0)


# What goes wrong


def test_a_lost_loss_is_a_failed_run_with_its_reason(tmp_path: Path) -> None:
    _, asked = recorded(tmp_path, *TINY, "optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant")
    with pytest.raises(NonFiniteError) as caught:
        run(asked.experiment, Context(tmp_path, asked.tracking))
    found = only_run(tmp_path)
    assert found.info.status == "FAILED"
    assert found.data.tags["failure"] == str(caught.value)
    assert "step 2 under learning rate 1e+30" in found.data.tags["failure"]


def test_a_run_without_its_data_is_not_recorded(tmp_path: Path) -> None:
    _, asked = recorded(tmp_path, *TINY, "data=arrays", "data.root=nowhere.npz")
    with pytest.raises(DataError):
        run(asked.experiment, Context(tmp_path, asked.tracking))
    client = mlflow.MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    assert [experiment.name for experiment in client.search_experiments()] == ["Default"]
    assert list(client.search_runs(["0"])) == []


def test_an_interrupted_run_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "advance", interrupted)
    _, asked = recorded(tmp_path, *TINY)
    with pytest.raises(KeyboardInterrupt):
        run(asked.experiment, Context(tmp_path, asked.tracking))
    assert only_run(tmp_path).info.status == "KILLED"


def test_a_device_without_room_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.\nMore of that.")

    monkeypatch.setattr(Training, "advance", full)
    with pytest.raises(TrainingError) as caught:
        run(tiny(), Context(tmp_path, UNTRACKED))
    assert str(caught.value) == (
        "train.batch_size: must leave room in the device's memory "
        "(RESOURCE_EXHAUSTED: Out of memory allocating 7 bytes.)"
    )


# Small things


def test_without_tracking_nothing_is_recorded(tmp_path: Path) -> None:
    outcome = run(tiny("train.epochs=1"), Context(tmp_path, UNTRACKED))
    assert outcome.run_id == ""
    assert not list(tmp_path.rglob("*.db"))


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        ((), "tiny"),
        (("seed=3", "optimizer.learning_rate=0.1"), "tiny seed=3 learning_rate=0.1"),
        (("data=mnist", "data.root=there", "tracking=off", "hydra.job.name=x"), "tiny"),
        (("++train.epochs=3", "+debug=fast"), "tiny epochs=3 fast"),
        (
            ("model.layers.0.conv.filters=6", "model.layers.3.conv.filters=16", "seed=1"),
            "tiny 0.conv.filters=6 3.conv.filters=16 seed=1",
        ),
    ],
)
def test_a_run_is_named_after_the_model_and_what_was_changed(overrides: tuple[str, ...], name: str) -> None:
    assert run_name(tiny(), overrides) == name


def test_runs_of_one_program_are_of_one_group() -> None:
    dataset = data.load(tiny().data)
    groups = [
        begun(tiny(change), dataset).plan.group
        for change in ("seed=1", "optimizer.learning_rate=0.1", "train.batch_size=16")
    ]
    assert groups[0] == groups[1] != groups[2]
