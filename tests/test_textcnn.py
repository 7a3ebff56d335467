"""Texts through the whole program: the network by hand, learning by the command line, and what a run leaves behind."""

import csv
import json
import random
import re
import subprocess
import sys
from pathlib import Path

import jax
import mlflow
import numpy as np
import pytest
from configurations import begun, composed, configured, experiment, probabilities, report

from runner import data, describe
from runner.data.vocabulary import tokens, words
from runner.errors import ConfigError
from runner.run import run
from runner.serving.model import ServedModel
from runner.training.member import Context

SMALL = (
    "model=textcnn",
    "model.layers.0.embedding.dim=16",
    "data=text",
    "data.length=12",
    "train.batch_size=32",
    "train.epochs=15",
    "optimizer.learning_rate=0.01",
)
DECLARED = ("data.length=56", "data.vocabulary=18767", "data.classes=2")


@pytest.fixture(scope="module")
def reviews(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences in which one word tells the class, and `not` before it the other: no word alone is enough."""
    draw = random.Random(0)
    good, bad = ["lovely", "moving", "superb", "funny"], ["dull", "awful", "boring", "weak"]
    rows = []
    for index in range(600):
        is_good, negated = index % 2 == 0, index % 4 < 2
        opinion = draw.choice(good if is_good != negated else bad)
        sentence = draw.choices(["the", "film", "has", "a", "plot", "and", "actors"], k=draw.randint(3, 7))
        sentence.insert(draw.randrange(len(sentence)), f"not {opinion}" if negated else opinion)
        rows.append((f"{' '.join(sentence).capitalize()}.", "good" if is_good else "bad"))
    path = tmp_path_factory.mktemp("texts") / "reviews.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    return path


# Before anything is read


def test_kims_network_has_the_numbers_of_its_paper() -> None:
    # Film reviews (MR): 18,765 words, sentences of at most 56, two classes; 300 numbers to a word.
    described = json.loads(describe.as_json(experiment("model=textcnn", "data=text", *DECLARED)))
    rows = {row["path"].removeprefix("model.layers"): row for row in described["layers"]}
    table, kernels, classifier = 18767 * 300, sum(width * 300 * 100 + 100 for width in (3, 4, 5)), 300 * 2 + 2
    assert rows["[0].embedding"]["output_shape"] == [56, 300]
    assert rows["[0].embedding"]["parameters"] == table
    for path, width in enumerate((3, 4, 5)):
        conv = rows[f"[1].branches.paths[{path}][0].conv"]
        assert conv["output_shape"] == [57 - width, 100]
        assert conv["receptive_field"] == [width]
        assert conv["multiply_adds"] == (57 - width) * width * 300 * 100
        assert rows[f"[1].branches.paths[{path}][2].global_max_pool"]["output_shape"] == [100]
    assert rows["[1].branches"]["output_shape"] == [300]
    assert kernels + classifier == 360_902
    assert described["totals"]["parameters"] == table + 360_902
    assert described["totals"]["receptive_field"] == [5]


def test_what_the_files_alone_tell_has_to_be_declared() -> None:
    for given, missing in (((), "classes"), (("data.classes=2",), "vocabulary")):
        with pytest.raises(ConfigError) as caught:
            describe.as_text(experiment("model=textcnn", "data=text", *given))
        assert str(caught.value) == f"data.{missing}: must be given, since only the files tell it otherwise, got null"


def test_texts_and_images_are_told_apart() -> None:
    embedded, wide = ["model=textcnn", "data=text"], ["data=text", *DECLARED]
    assert report(composed("model=textcnn")) == [
        "model.layers[0].embedding: must have tokens before it, as data=text gives, got 8×8×1"
    ]
    assert report(composed("model=cnn_3x", "model.input=null", *wide))[0] == (
        "model.layers[0].conv: must have an embedding before it, as the data are tokens, got 56×1"
    )
    assert report(composed(*embedded, *DECLARED, "augment=mixup")) == [
        "augment: must be empty for data that are not images, got augmentations"
    ]
    assert report(composed(*embedded, *DECLARED, "data.length=4")) == [
        "model.layers[1].branches.paths[2][0].conv.kernel_size: must fit the 4×300 input, got 5"
    ]


# Learning


@pytest.mark.slow
def test_it_learns_from_the_command_line(reviews: Path) -> None:
    arguments = (*SMALL, f"data.root={reviews}", "tracking.enabled=false")
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    [accuracy] = re.findall(r"textcnn on reviews: test accuracy ([\d.]+)%", done.stdout)
    assert float(accuracy) > 90


def test_a_text_that_is_broken_is_one_line(reviews: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.csv"
    broken.write_text(reviews.read_text() + "a line without its label\n")
    arguments = (*SMALL, f"data.root={broken}", "tracking.enabled=false")
    done = subprocess.run(
        [sys.executable, "-m", "runner", *arguments], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    assert f"{broken}, line 602: must have 2 fields, as the header has, got 1" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_tokens_are_neither_fitted_nor_normalised(reviews: Path, precision: str) -> None:
    found = experiment(*SMALL, f"data.root={reviews}", f"train.precision={precision}")
    training = begun(found, data.load(found.data))
    params = training.state.params
    vectors = np.asarray(params["0_embedding"]["table"], np.float32)[training.plan.dataset.val.inputs[..., 0]]
    vectors *= training.plan.dataset.val.inputs > 0
    ends = []
    for path, width in enumerate((3, 4, 5)):
        own = params["1_branches"][str(path)]["0_conv"]
        kernel, bias = np.asarray(own["kernel"]), np.asarray(own["bias"])
        maps = sum(vectors[:, tap : tap + 13 - width] @ kernel[tap] for tap in range(width)) + bias
        ends.append(np.maximum(maps, 0).max(axis=1))
    last = params["3_classifier"]
    logits = np.concatenate(ends, axis=1) @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
    expected = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    tolerance = 1e-5 if precision == "float32" else 3e-2
    np.testing.assert_allclose(probabilities(training, training.plan.dataset.val), expected, atol=tolerance)


@pytest.mark.slow
def test_a_declared_vocabulary_is_the_table_whether_or_not_words_fill_it(reviews: Path) -> None:
    for size in (10, 500):
        found = experiment(*SMALL, f"data.root={reviews}", f"data.vocabulary={size}", "data.classes=2")
        training = begun(found, data.load(found.data))
        assert training.state.params["0_embedding"]["table"].shape == (size, 16)
        described = json.loads(describe.as_json(found))
        assert described["totals"]["parameters"] == sum(leaf.size for leaf in jax.tree.leaves(training.state.params))


# What a run leaves behind


@pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy")  # MLflow's affair with SQLAlchemy
def test_a_run_keeps_its_vocabulary_beside_its_model(reviews: Path, tmp_path: Path) -> None:
    store = f"tracking.uri=sqlite:///{tmp_path / 'mlflow.db'}"
    found = configured(*SMALL, f"data.root={reviews}", "tracking.enabled=true", store)
    outcome = run(found.experiment, Context(tmp_path / "output", found.tracking))
    assert outcome.metrics["test/accuracy"] > 0.9
    client = mlflow.MlflowClient(found.tracking.uri)
    artifacts = {entry.path for entry in client.list_artifacts(outcome.run_id)}
    assert {"vocabulary.txt", "worst_texts.txt", "page", "figures"} <= artifacts
    figures = {entry.path for entry in client.list_artifacts(outcome.run_id, "figures")}
    assert figures == {"figures/class_probabilities.png"}
    vocabulary = (tmp_path / "output" / "model" / "vocabulary.txt").read_text()
    logged = client.download_artifacts(outcome.run_id, "vocabulary.txt", str(tmp_path))
    assert Path(logged).read_text() == vocabulary
    worst = Path(client.download_artifacts(outcome.run_id, "worst_texts.txt", str(tmp_path))).read_text()
    assert re.match(r"#\d+: (good|bad), taken for (good|bad) \(\d+%\)\n[a-z. ]+\n", worst)

    # All that somebody needs who was only given the folder of the model.
    served = ServedModel(tmp_path / "output" / "model")
    texts = ["A superb film.", "The film has a plot, not superb.", "It is dull and weak"]
    known = tuple(vocabulary.splitlines())
    answers = served.predict(texts)
    assert [answer["class"] for answer in answers] == ["good", "bad", "bad"]
    assert served.predict(tokens([words(text) for text in texts], known, length=12)) == answers
