"""What networks of several labels and of numbers answer to new images: by `predict`, by saved models, in MLflow."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from commands import Runner
from configurations import TINY
from PIL import Image

from runner import data
from runner.data import Digits
from runner.errors import DataError
from runner.serving.model import ServedModel

pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),  # Hydra leaves its log files open
    pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy"),  # from MLflow's use of SQLAlchemy
]
TRACKED = TINY[:-1]
LABELS = ("task=multi_label", "data.targets={is_even: [0, 2, 4, 6, 8], above_4: [5, 6, 7, 8, 9]}", "train.epochs=4")
NUMBERS = ("task=regression", "data.targets={ink: ink, angle: {rotation: 45}}")


def images() -> np.ndarray:
    """Some digits, also as files in the folder `photos`."""
    found = data.load(Digits()).test.inputs[:5]
    Path("photos").mkdir(exist_ok=True)
    for index, image in enumerate(found):
        Image.fromarray(image[..., 0]).save(f"photos/{index}.png")
    return found


def table(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_labels_are_answered_by_every_way_alike(runner: Runner, tmp_path: Path) -> None:
    done = runner(
        *TINY, *LABELS, "hydra.run.dir=outputs/one", "figures.draw=[label_probabilities, precision_recall_curves]"
    )
    assert (done.status, done.err) == (0, "")
    assert "test f1 samples " in done.out
    assert "F1 of samples without a network" in done.out
    inputs = images()
    objects = json.loads(runner("predict", "run=outputs/one", "images=photos", "format=json").out)
    rows = table(runner("predict", "run=outputs/one", "images=photos", "format=csv").out)
    served = ServedModel(Path("outputs/one/model"))
    answers, probabilities = served.predict(inputs), served.answers(inputs)
    for place, (one, row, answer) in enumerate(zip(objects, rows, answers, strict=True)):
        given = [name for name, value in answer["probabilities"].items() if value >= 0.5]
        assert set(one["labels"]) == set(answer["labels"]) == set(given)
        values = [float(row[name]) for name in ("is_even", "above_4")]
        np.testing.assert_allclose(list(one["probabilities"].values()), values, atol=1e-6)
        np.testing.assert_allclose(probabilities[place], values, atol=1e-6)
    assert any(answer["labels"] for answer in answers)
    printed = runner("predict", "run=outputs/one", "images=photos").out.splitlines()
    assert printed[0].split() == ["file", "labels"]
    refused = runner("predict", "run=outputs/one", "images=photos", "top_k=2")
    assert (refused.status, refused.err) == (2, "top_k: must be 1 for a network that answers labels, got 2\n")
    with pytest.raises(DataError, match=r"^top_k: must be 1 for a model that answers labels, got 2$"):
        served.predict(inputs, {"top_k": 2})


def run_in(store: str) -> Any:
    """The only run of a store."""
    client = mlflow.MlflowClient(store)
    [run] = client.search_runs([one.experiment_id for one in client.search_experiments()])
    return run


@pytest.mark.slow
def test_numbers_are_answered_by_every_way_alike_and_recorded(runner: Runner, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path / 'store.db'}"
    done = runner(
        *TRACKED, *NUMBERS, "hydra.run.dir=outputs/one", f"tracking.uri={store}", "figures.draw=[estimates, data]"
    )
    assert (done.status, done.err) == (0, "")
    assert "angle: mean error " in done.out
    inputs = images()
    objects = json.loads(runner("predict", "run=outputs/one", "images=photos", "format=json").out)
    rows = table(runner("predict", "run=outputs/one", "images=photos", "format=csv").out)
    run = run_in(store)
    [model] = mlflow.MlflowClient(store).search_logged_models([run.info.experiment_id])
    loaded = mlflow.pyfunc.load_model(f"{model.artifact_location}")
    answers = loaded.predict(inputs)
    for one, row, answer in zip(objects, rows, answers, strict=True):
        assert list(one["numbers"]) == ["ink", "angle"]
        np.testing.assert_allclose([float(row[name]) for name in ("ink", "angle")], list(one["numbers"].values()))
        np.testing.assert_allclose(list(answer.values()), list(one["numbers"].values()), rtol=1e-4)
    assert [column.name for column in loaded.metadata.signature.outputs] == ["ink", "angle"]
    verdict = json.loads(Path("outputs/one/verdict.json").read_text())
    assert [number["number"] for number in verdict["numbers"]] == ["ink", "angle"]
    params, metrics = run.data.params, run.data.metrics
    assert (params["task.name"], params["data.targets.ink"]) == ("regression", "ink")
    assert params["data.targets.angle"] == "{rotation: 45.0}"
    assert len(json.loads(params["task.mean"])) == 2
    assert {"test_mae", "test_rmse", "test_r2", "best_val_mae", "val/mae", "train/mae"} <= set(metrics)
    assert not any("accuracy" in name for name in metrics)
    assert (run.data.tags["task"], run.data.tags["task.metric"]) == ("regression", "mae")
    assert {path.name for path in Path("outputs/one/figures").iterdir()} == {"estimates.png"}
    experiment = mlflow.MlflowClient(store).get_experiment(run.info.experiment_id)
    assert experiment.name == "digits-regression"
    view = json.loads(experiment.tags["mlflow.sharedViewState.runner"])
    assert (view["orderByKey"], view["orderByAsc"]) == ("metrics.`best_val_mae`", True)
    [schema] = {one.dataset.schema for one in run.inputs.dataset_inputs}
    assert "float32" in json.loads(json.loads(schema)["mlflow_tensorspec"]["targets"])[0]["tensor-spec"]["dtype"]


def test_members_with_other_thresholds_share_a_program_and_are_ranked_by_their_metric(runner: Runner) -> None:
    done = runner(*TINY, *LABELS, "-m", "task.threshold=0.2,0.5", "train.epochs=1")
    assert done.status == 0
    assert "1 structure, " in done.out
    [report] = Path("outputs/sweeps").rglob("members.csv")
    rows = table(report.read_text())
    assert {row["task.threshold"] for row in rows} == {"0.2", "0.5"}
    assert all(float(row["test/f1_samples"]) >= 0 for row in rows)
    assert "test/accuracy" not in rows[0]
