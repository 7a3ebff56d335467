"""A trained network from its folder answers as the run that left it, bit for bit; a folder says what it lacks."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import Runner
from configurations import arrays_file, begun, composed, here, parse, tiny
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
    "resized and mirrored": (NORMALISED, "model.input={height: 11, width: 9}", "train.test_time.views=mirror"),
    "bfloat16": (NORMALISED, "train.precision=bfloat16", "train.evaluation_batch_size=17"),
    "squared error": (NORMALISED, "loss=squared_error", "data.mean=[0.5]", "data.std=[0.25]"),
    "signals": (
        *("data=arrays", "data.root=signals.npz", "data.axes=lc", "data.range=[-2, 2]"),
        "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, global_avg_pool, classifier]",
    ),
    "labels": (NORMALISED, "task=multi_label", "data.targets={is_even: [0, 2, 4, 6, 8], is_one: [1]}"),
    "numbers": (NORMALISED, "task=regression", "data.targets={ink: ink, angle: {rotation: 45}}"),
    "texts": (
        *("data=text", "data.root=texts.csv", "data.length=6"),
        "model.layers=[{embedding: {dim: 6}}, {conv: {filters: 5, kernel_size: 2}}, global_max_pool, classifier]",
    ),
}


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=pytest.mark.slow) if name != "layers of every sort" else name for name in CASES],
)
def test_what_is_loaded_answers_as_the_run_did_bit_for_bit(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    arrays_file(tmp_path)
    write_texts(tmp_path)
    training, loaded = left(tmp_path, *CASES[name])
    dataset, metrics = training.plan.dataset, training.ledger.history[-1].metrics
    found = loaded.answers(dataset.test.inputs, here())
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
    found = loaded.answers(training.plan.dataset.val.inputs[:count], here())
    assert found.shape == (count, 10)
    np.testing.assert_array_equal(found, evaluated(training, training.plan.held_out.val)[:count])


def test_inputs_are_answered_alike_alone_and_among_a_thousand(saved: tuple[Path, Training, Trained]) -> None:
    _, training, loaded = saved
    many = np.resize(training.plan.dataset.train.inputs, (1000, 8, 8, 1))
    found = loaded.answers(many, here())
    for count in (1, 50):
        np.testing.assert_array_equal(found[:count], loaded.answers(many[:count], here()))


LARGE = "model.layers=[{conv: {filters: 4, kernel_size: 3, padding: same}}, flatten, classifier]"


@pytest.mark.parametrize("size", [8, 700])
@pytest.mark.parametrize("count", [1, 50, 1000])
def test_a_batch_is_filled_up_only_if_that_costs_little(size: int, count: int) -> None:
    network = tiny(LARGE, f"model.input={{height: {size}, width: {size}}}").network((8, 8, 1), 10)
    together = network.evaluated_together(count, 256)
    assert together == (256 if size == 8 else {1: 1, 50: 64, 1000: 256}[count])


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
        saved[2].answers(inputs, here())
    assert str(caught.value) == f"inputs: must be uint8 (n, 8, 8, 1) as in training, got {got}"


# What a folder lacks


@pytest.fixture
def copied(saved: tuple[Path, Training, Trained], tmp_path: Path) -> Path:
    """A copy of the folder, to be damaged."""
    return Path(shutil.copytree(saved[0], tmp_path / "run"))


def refused(folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        trained.load(folder)
    return str(caught.value).splitlines()


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        (["network.json"], "network.json"),
        (["config.yaml", "network.json"], "config.yaml and network.json"),
        (["weights.safetensors"], "weights.safetensors"),
    ],
)
def test_a_folder_says_which_part_it_lacks(copied: Path, missing: list[str], named: str) -> None:
    for name in missing:
        (copied / name).unlink()
    assert refused(copied) == [
        "run: must be a folder with config.yaml, network.json and weights.safetensors, as this version writes them, "
        f"got {copied} without {named}"
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"version": ', "Expecting value: line 1 column 13 (char 12)"),
        ("null", "must be a mapping, got null"),
        ('{"version": "0", "mean": [0]}', "digest: must be given, got nothing"),
    ],
)
def test_a_network_file_that_was_cut_short_is_named(copied: Path, text: str, reason: str) -> None:
    path = copied / "network.json"
    path.write_text(text)
    assert refused(copied) == [f"run: must have a whole network.json, got {path} ({reason})"]


@pytest.mark.parametrize("name", ["network.json", "weights.safetensors"])
def test_a_file_of_another_run_is_noticed(copied: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.mkdir()
    left(other, NORMALISED, "seed=1")
    shutil.copy(other / name, copied / name)
    assert refused(copied) == [
        f"run: must have the weights.safetensors of its network.json, got {copied} with a damaged file, or that of "
        "another run"
    ]


@pytest.mark.parametrize("size", [0, 1000, -1])
def test_weights_that_were_cut_short_are_noticed(copied: Path, size: int) -> None:
    path = copied / "weights.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    [line] = refused(copied)
    assert line.startswith("run: must have the weights.safetensors of its network.json, got ")


def test_the_configuration_of_another_network_is_noticed(copied: Path) -> None:
    path = copied / "config.yaml"
    path.write_text(path.read_text().replace("filters: 4", "filters: 5"))
    assert refused(copied) == [
        f"run: must have the config.yaml of its weights.safetensors, got {copied} "
        "(model.weights: must fit layers[0].conv.kernel 3×3×1×5, got 0_conv.kernel 3×3×1×4)"
    ]


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"", "must be a mapping, got null"),
        (b"\xff", "must be UTF-8 text, but 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
        (b"model: {", "must be YAML, but did not find expected node content"),
    ],
)
def test_a_configuration_that_cannot_be_read_is_named(copied: Path, content: bytes, line: str) -> None:
    (copied / "config.yaml").write_bytes(content)
    [found] = refused(copied)
    assert re.fullmatch(re.escape(f"{copied}/config.yaml") + r"(:\d+)?: " + re.escape(line), found)


def test_a_number_that_the_environment_gives_has_to_be_written(copied: Path) -> None:
    path = copied / "config.yaml"
    number = "${oc.decode:${oc.env:FILTERS}}"
    path.write_text(path.read_text().replace("batch_size: 32", f'batch_size: "{number}"'))
    assert refused(copied) == [
        f"{path}: train.batch_size: must be a whole number, got {number}; replace it by its value"
    ]


def test_a_text_that_the_environment_gives_is_no_part_of_the_network(
    saved: tuple[Path, Training, Trained], copied: Path
) -> None:
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace("name: small", "name: ${oc.env:NOWHERE}"))
    loaded = trained.load(copied)
    assert loaded.experiment.model.name == "${oc.env:NOWHERE}"
    assert loaded.program == saved[2].program


# From the command line


def test_a_run_leaves_a_folder_that_another_process_loads(runner: Runner) -> None:
    done = runner(
        *("model.layers=[{conv_bn_act: {filters: 4}}, global_avg_pool, classifier]", "data.limit=160"),
        *("model.input={height: 12, width: 12}", "train.batch_size=32", "train.precision=bfloat16"),
        *("train.epochs=1", "hydra.run.dir=out", "figures=off"),
    )
    assert done.status == 0, done.err
    program = """
from pathlib import Path
import jax, numpy as np
from runner import data, trained
from runner.placement import Placement
loaded = trained.load(Path("out"))
examples = data.load(loaded.experiment.data).test
answers = loaded.answers(examples.inputs, Placement(jax.devices()[0]))
print((answers.argmax(axis=1) == examples.labels).mean())
"""
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert f"test accuracy {float(again.stdout):.2%}" in done.out
    known = json.loads(Path("out/network.json").read_text())
    assert {"train/loss", "val/accuracy", "best/epoch"} <= known["metrics"].keys()
