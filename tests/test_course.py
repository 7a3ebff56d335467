"""The course says what happens: its numbers are computed, its commands run, and both languages have the same ones."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import yaml
from commands import Runner
from configurations import begun, experiment

from runner import data, train
from runner.training.alone import Training

ROOT = Path(__file__).resolve().parent.parent
ENGLISH, CHINESE = ((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("course.md", "course.zh-CN.md"))
_LARGEST_BYTES = 100_000


def _maker() -> Any:
    spec = importlib.util.spec_from_file_location("make_course", ROOT / "docs" / "make_course.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


MAKER = _maker()
STEPS = list(MAKER.steps(ENGLISH))


def sections(text: str) -> list[str]:
    """The sections without their blocks of YAML and commands."""
    prose = re.sub(r"```.*?```|!\[.*?\)", "", text, flags=re.DOTALL)
    return re.split(r"^## ", prose, flags=re.MULTILINE)[1:]


# Both languages


def test_both_languages_have_the_same_commands_yaml_and_pictures() -> None:
    assert list(MAKER.steps(CHINESE)) == STEPS
    english, chinese = (
        [re.sub(r"\s*#.*", "", block) for block in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
        for text in (ENGLISH, CHINESE)
    )
    assert english == chinese
    assert len(english) >= 12


def test_both_languages_have_the_same_numbers_in_each_section() -> None:
    for english, chinese in zip(sections(ENGLISH), sections(CHINESE), strict=True):
        prose = [re.sub(r"`[^`]+`", "", part) for part in (english, chinese)]
        found = [set(re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?|\.\d+", part)) for part in prose]
        assert found[0] == found[1], english.splitlines()[0]


def test_code_in_texts_is_the_same_in_both_languages() -> None:
    for english, chinese in zip(sections(ENGLISH), sections(CHINESE), strict=True):
        assert set(re.findall(r"`[^`]+`", english)) == set(re.findall(r"`[^`]+`", chinese)), english.splitlines()[0]


# Commands and pictures


def test_every_picture_is_there_and_small() -> None:
    shown = set(re.findall(r"\]\((course/\S+)", ENGLISH))
    assert shown == {step.picture for step in STEPS if step.picture}
    assert {path.name for path in (ROOT / "docs/course").iterdir()} == {Path(name).name for name in shown}
    for name in shown:
        assert (ROOT / "docs" / name).stat().st_size < _LARGEST_BYTES, name


@pytest.mark.parametrize("step", STEPS, ids=lambda step: Path(step.picture).stem)
def test_every_command_composes(step: Any, runner: Runner) -> None:
    verb = "describe" if step.arguments[0] in ("describe", "explain") else ""
    if verb:
        assert runner(*step.arguments, "describe.format=json").status == 0
        return
    composed = yaml.safe_load(runner(*step.arguments, "--cfg", "job").out)
    assert composed["model"]["layers"]
    assert Path(step.file).stem in composed["figures"]["draw"]


@pytest.mark.slow
@pytest.mark.parametrize("step", STEPS, ids=lambda step: Path(step.picture).stem)
def test_every_command_makes_its_picture(step: Any, tmp_path: Path) -> None:
    drawn = MAKER.run(step, tmp_path)
    if drawn is None:  # the command prints, and no picture follows
        return
    MAKER.shrink(drawn, tmp_path / "small.png")
    assert (tmp_path / "small.png").stat().st_size < _LARGEST_BYTES


# Numbers


def training(*overrides: str) -> Training:
    chosen = experiment(*overrides, "tracking.enabled=false")
    return begun(chosen, data.load(chosen.source))


def maps(of: Training) -> dict[str, np.ndarray]:
    """The output (n, …) of every layer for the validation images, before training."""
    inputs = of.plan.dataset.val.inputs
    found = train.activations(of.plan.program, of.state.params, of.state.statistics, inputs)
    return {path: np.asarray(output) for path, output in jax.device_get(found).items()}


def say(*texts: str) -> None:
    """Holds that both languages state these."""
    for text in texts:
        assert text in ENGLISH, text
        assert text in CHINESE, text


def test_the_curve() -> None:
    found = maps(training("experiment=curve"))["0_conv"]
    np.testing.assert_allclose(found.ravel(), [4 * 50 * 30 + 20 * 30, 0], atol=1e-2)
    say("6600", "50 · 30", "20 · 30")


def test_strides_and_paddings() -> None:
    stride = training(
        "experiment=curve",
        "model.layers.0.conv.kernel_size=3",
        "model.layers.0.conv.stride=2",
        "model.layers.0.conv.kernel_init=identity",
    )
    images = stride.plan.dataset.val.inputs[..., 0]
    np.testing.assert_allclose(maps(stride)["0_conv"][..., 0], images[:, 1::2, 1::2], atol=1e-3)
    say("⌊(7 − 3) / 2⌋ + 1 = 3")
    rows = training("experiment=stride_padding").plan.program.network.rows
    sizes = [row.output.shape[:2] for row in rows if row.kind == "conv"]
    assert sizes == [(105, 158), (107, 160), (109, 162), (53, 79), *[(165, 218)] * 4]
    say("107×160", "105×158")


def test_pooling() -> None:
    found = maps(training("experiment=pooling"))
    for name, path, expected in (
        ("max_pool", 0, [[6, 8], [3, 4]]),  # CS231n prints these
        ("avg_pool", 1, [[3.25, 5.25], [2, 2]]),
        ("sum_pool", 2, [[13, 21], [8, 8]]),
    ):
        for image in found[f"0_branches.{path}.0_{name}"]:
            np.testing.assert_allclose(image[..., 0], expected, atol=1e-3)
    say("3.25", "13")


def test_parameters_of_lenet() -> None:
    rows = training("data.limit=50").plan.program.network.rows
    first, second, dense = (next(row for row in rows if f"layers[{place}]" in row.path) for place in (0, 3, 7))
    assert [row.parameters for row in (first, second, dense)] == [156, 2416, 48120]
    say("6 · (5 · 5 · 1 + 1) = 156", "16 · (5 · 5 · 6 + 1) = 2,416", "400 · 120 + 120 = 48,120")
    assert dense.parameters > first.parameters + second.parameters


def test_the_boat() -> None:
    boat = training("experiment=boat")
    np.testing.assert_allclose(maps(boat)["2_softmax"], [[0.2, 0.4, 0.1, 0.3]], atol=1e-6)
    [epoch] = boat.epochs()
    assert epoch.metrics["train/loss"] == pytest.approx((0.04 + 0.16 + 0.81 + 0.09) / 2)
    # By hand: dE/dz = p (p − t − Σ p (p − t)), and z changes by it for the bias and for each of the 20 white pixels.
    outputs, target = np.array([0.2, 0.4, 0.1, 0.3]), np.array([0, 0, 1, 0])
    gradient = outputs * (outputs - target - outputs @ (outputs - target))
    moved = outputs * np.exp(-21 * gradient)
    moved /= moved.sum()
    np.testing.assert_allclose(maps(boat)["2_softmax"], [moved], rtol=1e-4)
    assert epoch.metrics["val/loss"] == pytest.approx(((target - moved) ** 2).sum() / 2, rel=1e-4)
    say(" ".join(f"{value:.2f}"[1:] for value in moved), f"{epoch.metrics['val/loss']:.2f}"[1:])
    say("½ (.04 + .16 + .81 + .09) = .55")
