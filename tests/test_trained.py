"""A trained network from its folder answers as the run that left it, bit for bit; a folder says what it lacks."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Runner
from configurations import arrays_file, begun, composed, here, parse
from golden.cases import write_texts

from runner import compiling, trained
from runner.errors import ConfigError
from runner.launchable import as_yaml
from runner.trained import Trained
from runner.training.alone import Training
from runner.training.plan import Batch

SMALL = ("model.name=small", "model.input=null", "data.limit=160", "train.batch_size=32", "train.epochs=1")
NORMALISED = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, batch_norm, relu, {repeat: {times: 2, layers: [{conv: "
    "{filters: 4, kernel_size: 1}}, relu]}}, {dropout: {rate: 0.2}}, flatten, classifier]"
)


def left(folder: Path, *overrides: str) -> tuple[Training, Trained]:
    """A training that ended, and what its folder holds after it."""
    config: dict[str, Any] = composed(*SMALL, *overrides)
    training = begun(parse(config))
    list(training.epochs())
    training.trained(training.ledger.history[-1].metrics).save(folder, as_yaml(config))
    return training, trained.load(folder)


def evaluated(training: Training, batches: list[Batch]) -> np.ndarray:
    """The class probabilities by the program and the batches of the run's own evaluation."""
    predict = compiling.compiled(training.plan.program, here()).predict
    found = [np.asarray(predict(training.plan.values, *training.learnt, batch.inputs)) for batch in batches]
    return np.concatenate(found)[: sum(int(batch.weights.sum()) for batch in batches)]


CASES: dict[str, tuple[str, ...]] = {
    "layers of every sort": (NORMALISED, "train.ema_decay=0.9", "loss.label_smoothing=0.1"),
    "resized and mirrored": (NORMALISED, "model.input={height: 11, width: 9}", "train.mirrored_evaluation=true"),
    "bfloat16": (NORMALISED, "train.precision=bfloat16", "train.evaluation_batch_size=17"),
    "squared error": (NORMALISED, "loss=squared_error", "data.mean=[0.5]", "data.std=[0.25]"),
    "signals": (
        *("data=arrays", "data.root=signals.npz", "data.axes=lc", "data.range=[-2, 2]"),
        "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, global_avg_pool, classifier]",
    ),
    "texts": (
        *("data=text", "data.root=texts.csv", "data.length=6"),
        "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, global_max_pool, classifier]",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_what_is_loaded_answers_as_the_run_did_bit_for_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays_file(tmp_path)
    write_texts(tmp_path)
    training, loaded = left(tmp_path, *CASES[name])
    dataset, metrics = training.plan.dataset, training.ledger.history[-1].metrics
    found = loaded.probabilities(dataset.test.inputs, here())
    np.testing.assert_array_equal(found, evaluated(training, training.plan.held_out.test))
    assert loaded.program == training.plan.program
    assert loaded.classes == dataset.classes
    assert loaded.vocabulary == dataset.vocabulary
    assert loaded.facts == trained.Facts(loaded.facts.version, dataset.digest, {**metrics})


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Training, Trained]:
    folder = tmp_path_factory.mktemp("saved")
    return folder, *left(folder, NORMALISED, "train.evaluation_batch_size=16")


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17])
def test_any_number_of_inputs_is_answered(saved: tuple[Path, Training, Trained], count: int) -> None:
    _, training, loaded = saved
    found = loaded.probabilities(training.plan.dataset.val.inputs[:count], here())
    assert found.shape == (count, 10)
    np.testing.assert_array_equal(found, evaluated(training, training.plan.held_out.val)[:count])


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        (np.zeros((2, 9, 8, 1), np.uint8), "uint8 (n, 9, 8, 1)"),
        (np.zeros((2, 8, 8, 1), np.float32), "float32 (n, 8, 8, 1)"),
    ],
)
def test_other_inputs_than_those_of_training_are_refused(
    saved: tuple[Path, Training, Trained], inputs: np.ndarray, got: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        saved[2].probabilities(inputs, here())
    assert str(caught.value) == f"inputs: must be uint8 (n, 8, 8, 1) as in training, got {got}"


# What a folder lacks


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["network.json"], "network.json"),
        (["config.yaml", "network.json"], "config.yaml and network.json"),
        (["weights.safetensors"], "weights.safetensors"),
    ],
)
def test_a_folder_says_which_part_it_lacks(
    saved: tuple[Path, Training, Trained], tmp_path: Path, missing: list[str], named: str
) -> None:
    for path in saved[0].iterdir():
        if path.name not in missing:
            (tmp_path / path.name).write_bytes(path.read_bytes())
    with pytest.raises(ConfigError) as caught:
        trained.load(tmp_path)
    assert str(caught.value) == (
        "run: must be a folder with config.yaml, network.json and weights.safetensors, as this version writes them, "
        f"got {tmp_path} without {named}"
    )


def test_a_part_that_was_cut_short_is_said_to_be(saved: tuple[Path, Training, Trained], tmp_path: Path) -> None:
    for path in saved[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    for text, got in (
        ('{"version": ', " (Expecting value"),
        ('{"version": "0", "mean": [0]}', " without digest, metrics"),
    ):
        (tmp_path / "network.json").write_text(text)
        line = f"run: must have a whole network.json, got {tmp_path / 'network.json'}{got}"
        with pytest.raises(ConfigError, match="^" + re.escape(line)):
            trained.load(tmp_path)


def test_a_text_that_the_environment_gives_is_no_part_of_the_network(
    saved: tuple[Path, Training, Trained], tmp_path: Path
) -> None:
    for path in saved[0].iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    config = tmp_path / "config.yaml"
    config.write_text(config.read_text().replace("name: small", "name: ${oc.env:NOWHERE}"))
    loaded = trained.load(tmp_path)
    assert loaded.experiment.model.name == "${oc.env:NOWHERE}"
    assert loaded.program == saved[2].program


# From the command line


def test_a_run_leaves_a_folder_that_another_process_loads(runner: Runner) -> None:
    done = runner(
        *("model.layers=[{conv_bn_act: {filters: 4}}, global_avg_pool, classifier]", "data.limit=160"),
        *("model.input={height: 12, width: 12}", "train.batch_size=32", "train.precision=bfloat16"),
        *("train.epochs=1", "hydra.run.dir=out", "tracking.figures=false"),
    )
    assert done.status == 0, done.err
    program = """
from pathlib import Path
import jax, numpy as np
from runner import data, trained
from runner.placement import Placement
loaded = trained.load(Path("out"))
examples = data.load(loaded.experiment.data).test
answers = loaded.probabilities(examples.inputs, Placement(jax.devices()[0]))
print((answers.argmax(axis=1) == examples.labels).mean())
"""
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"test accuracy {float(again.stdout):.2%}" in done.out
    known = json.loads(Path("out/network.json").read_text())
    assert {"train/loss", "val/accuracy", "best/epoch"} <= known["metrics"].keys()
