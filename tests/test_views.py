"""Test-time augmentation against a loop over crops in NumPy, from evaluation to prediction and an exported file."""

from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from configurations import TINY, begun, composed, here, parse, tiny
from PIL import Image
from trainings import digits, started

from runner import train
from runner.errors import ConfigError
from runner.launchable import as_yaml
from runner.trained import load
from runner.views import Views

CROPS = "train.test_time={views: ten_crops, margin: 3}"
SIDE = 8


def softmax(outputs):
    powers = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def crops(images, margin, *, mirrored):
    """Corners, middle, and with `mirrored` their mirror images, in a loop."""
    found = []
    for top, left in ((0, 0), (0, margin), (margin, 0), (margin, margin), (margin // 2, margin // 2)):
        view = images[:, top : images.shape[1] - margin + top, left : images.shape[2] - margin + left]
        found += [view, view[:, :, ::-1]] if mirrored else [view]
    return found


@pytest.mark.parametrize(
    ("views", "loss", "how"),
    [
        ("five_crops", "cross_entropy", "pad"),
        ("ten_crops", "cross_entropy", "resize"),
        ("five_crops", "squared_error", "resize"),
    ],
)
def test_evaluation_is_the_mean_over_a_loop_of_crops(views, loss, how):
    size = "model.input={height: 8, width: 8, fit: pad}" if how == "pad" else "model.input=null"
    program, state, _ = started(tiny(size, f"train.test_time={{views: {views}, margin: 3}}", f"loss={loss}"))
    alone = program.model_copy(update={"test_time": Views()})
    inputs = digits().test.inputs[:6]
    if how == "pad":  # an odd row is added at the end
        larger = np.pad(inputs, ((0, 0), (1, 2), (1, 2), (0, 0)))
    else:
        bilinear = Image.Resampling.BILINEAR
        wide = [Image.fromarray(image[..., 0].astype(np.float32) / 255).resize((11, 11), bilinear) for image in inputs]
        larger = np.stack([np.asarray(image)[..., None] for image in wide])
    each = [
        np.asarray(train.outputs(alone, state.params, state.statistics, jnp.asarray(np.ascontiguousarray(view))))
        for view in crops(larger, 3, mirrored=views == "ten_crops")
    ]
    found = train.outputs(program, state.params, state.statistics, jnp.asarray(inputs))
    if loss == "cross_entropy":
        np.testing.assert_allclose(softmax(np.asarray(found)), np.mean(softmax(np.stack(each)), axis=0), atol=2e-5)
    else:
        np.testing.assert_allclose(found, np.mean(each, axis=0), atol=2e-5)
    assert not np.allclose(found, train.outputs(alone, state.params, state.statistics, inputs), atol=1e-3)


def test_a_run_is_tested_by_its_views_and_predicts_by_them_from_its_folder(tmp_path: Path) -> None:
    training = begun(tiny(CROPS, "train.steps=2"), digits())
    list(training.epochs())
    tested, network = training.test(), training.trained({})
    network.save(tmp_path, as_yaml(composed(*TINY, CROPS)))
    examples = digits().test
    probabilities = load(tmp_path).answers(examples.inputs, here())
    right = probabilities.argmax(axis=1) == examples.labels
    assert tested["test/accuracy"] == pytest.approx(right.mean())
    losses = -np.log(probabilities[np.arange(len(examples)), examples.labels])
    assert tested["test/loss"] == pytest.approx(losses.mean(), rel=1e-4)


FAULTS = {
    "no margin": (
        "train.test_time={views: five_crops}",
        "train.test_time.margin: must be given for five_crops, got null",
    ),
    "a margin for one": (
        "train.test_time={views: one, margin: 2}",
        "train.test_time.margin: must be null for one, got 2",
    ),
    "too wide": (
        "model.input={height: 6, width: 6, fit: crop}",
        "train.test_time={views: ten_crops, margin: 3}",
        "train.test_time.margin: must be at most 2, what fit=crop leaves out, got 3",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_crops_that_do_not_fit_are_said(name: str) -> None:
    *settings, text = FAULTS[name]
    with pytest.raises(ConfigError) as raised:
        tiny(*settings).network((SIDE, SIDE, 1), 10)
    assert [str(fault) for fault in raised.value.faults] == [text]


def test_the_key_of_an_earlier_version_names_the_new_one_and_its_default_in_records_is_read() -> None:
    values = composed(*TINY)
    with pytest.raises(ConfigError) as raised:
        parse(values | {"train": values["train"] | {"mirrored_evaluation": True}})
    assert str(raised.value) == "train.mirrored_evaluation: must be given as train.test_time.views, got true"
    assert parse(values | {"train": values["train"] | {"mirrored_evaluation": False}}) == tiny()
