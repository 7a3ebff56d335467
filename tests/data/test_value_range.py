"""Floats of any unit are augmented as the same images in 0 … 1 are: black stays black, and white is the end of tones.

The oracle is the same augmentation of the same pictures as fractions, whose tones are held against Pillow elsewhere.
"""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configurations import begun, tiny
from pydantic import ValidationError

from runner import train
from runner.data import Arrays, Augment, Dataset, fit, load
from runner.data.value_range import UNIT, Range, measured, value_range
from runner.errors import DataError
from runner.observers.contents import shown_range

# Mean and deviation of ImageNet's channels, as torchvision standardises: each channel's black is another number.
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
UNITS = {
    "0 … 255": (0.0, 255.0),
    "-1 … 1": (-1.0, 1.0),
    "standardised": (-MEAN / STD, (1 - MEAN) / STD),
    "far away": (1000.0, 1001.0),
}
PARTS: dict[str, dict[str, Any]] = {
    "random_crop": {"padding": 3},
    "affine": {"degrees": 40.0, "translate": 0.3},
    "elastic": {"alpha": 30.0},
    "brightness": {"strength": 0.9},
    "contrast": {"strength": 0.9},
    "cutout": {"size": 5.0},
    "mixup": {"alpha": 0.4},
    "cutmix": {"alpha": 1.0},
}
KEY = jax.random.key(3)
Y = np.arange(60) % 3


@pytest.fixture(scope="module")
def fractions() -> jax.Array:
    images = np.random.default_rng(0).uniform(0.0, 1.0, (8, 10, 12, 3)).astype(np.float32)
    images[0, 0, 0], images[0, 0, 1] = 0, 1  # so that what is measured is what was meant
    return jnp.asarray(images)


@jax.jit
def applied(augment: Augment, images: jax.Array, black: jax.Array, white: jax.Array) -> jax.Array:
    return augment.apply(images, jnp.zeros((len(images), 4)), key=KEY, values=(black, white))[0]


@pytest.mark.parametrize("name", PARTS)
def test_augmentation_does_not_depend_on_the_unit(fractions: jax.Array, name: str) -> None:
    augment = Augment.model_validate({name: PARTS[name]})
    expected = np.asarray(applied(augment, fractions, jnp.zeros(3), jnp.ones(3)), np.float64)
    assert np.abs(expected - fractions).max() > 0.1
    for black, white in UNITS.values():
        low, high = (np.broadcast_to(end, 3).astype(np.float32) for end in (black, white))
        images = np.asarray(low + np.asarray(fractions, np.float64) * (high - low), np.float32)
        found = np.asarray(applied(augment, jnp.asarray(images), jnp.asarray(low), jnp.asarray(high)))
        np.testing.assert_allclose((found - low.astype(np.float64)) / (high - low), expected, atol=3e-4)


def test_bytes_need_no_scaling(fractions: jax.Array) -> None:
    # What was compiled for them before stays what it was, to the last bit: no division, no traced value.
    augment = Augment.model_validate(PARTS)

    def program(values: Any) -> str:
        def change(x: jax.Array) -> jax.Array:
            return augment.apply(x, jnp.zeros((8, 4)), key=KEY, values=values)[0]

        return str(jax.make_jaxpr(change)(fractions))

    assert len(program(UNIT)) < len(program((jnp.zeros(1), jnp.ones(1))))
    network = tiny().network((8, 8, 1), 10)
    bytes_ = tiny().program(network, mean=(0.3,), std=(0.4,))
    assert (bytes_.black, bytes_.white) == (None, None)
    floats = tiny().program(network, mean=(0.3,), std=(0.4,), values=Range((-1,), (1,)))
    assert len(jax.tree.leaves(floats)) == len(jax.tree.leaves(bytes_)) + 2


def test_a_program_augments_in_the_range_of_its_data(tmp_path: Path) -> None:
    # Cut out of images in 9 … 10 is a black of 9; a fill of 0 would be far from all of them.
    x = np.random.default_rng(0).uniform(9, 10, (60, 8, 8)).astype(np.float32)
    training = begun(tiny("augment.cutout={size: 100.0}"), arrays(tmp_path, x, range=(9.0, 10.0)))
    black, white = train.value_range_of(training.plan.program)
    assert (black.tolist(), white.tolist()) == ([9.0], [10.0])
    found = training.plan.program.augment.apply(
        jnp.asarray(x[..., None]), jnp.zeros((60, 3)), key=KEY, values=(black, white)
    )[0]
    assert set(np.unique(found)) == {9.0}
    assert shown_range(training.plan.dataset.range) == "9 … 10"


def test_pixels_that_move_in_are_black(fractions: jax.Array) -> None:
    black = jnp.asarray([-2.0, -3.0, -4.0])
    for part in ({"cutout": {"size": 100.0}}, {"affine": {"translate": 1.0}}):
        found = np.asarray(applied(Augment.model_validate(part), fractions, black, black + 6))
        covered = np.isclose(found, np.asarray(black), atol=1e-5).all(axis=-1)
        assert covered.mean() > 0.3
    padded = fit(fractions, (20, 20), "pad", black=black)
    np.testing.assert_array_equal(padded[:, 0, 0], np.broadcast_to(black, (8, 3)))
    np.testing.assert_array_equal(padded[:, 5:15, 4:16], fractions)


def test_a_signal_is_scaled_from_zero() -> None:
    signals = jnp.asarray(np.random.default_rng(0).normal(size=(8, 50, 1)).astype(np.float32))
    found = Augment.model_validate({"brightness": {"strength": 0.5}}).apply(
        signals, jnp.zeros((8, 2)), key=jax.random.key(0)
    )[0]
    low, high = signals.min(), signals.max()
    for before, after in zip(np.asarray(signals), np.asarray(found), strict=True):
        inside = (after > low + 1e-3) & (after < high - 1e-3) & (np.abs(before) > 0.1)
        ratios = after[inside] / before[inside]
        np.testing.assert_allclose(ratios, ratios.mean(), rtol=1e-3)


def test_ranges_are_measured_per_channel() -> None:
    images = np.zeros((4, 2, 2, 3), np.float32)
    images[0, 0, 0], images[1, 1, 1] = (-1, -2, 5), (1, 3, 5)
    assert measured(images) == ((-1, -2, 0), (1, 3, 5))
    np.testing.assert_array_equal(value_range(jnp.asarray(images)), measured(images))
    assert measured(images[..., :1] * 0 + 7) == ((7,), (8,))  # a constant
    assert measured(np.full((4, 2, 2, 1), 0.3, np.float32)) == UNIT  # fractions
    for dtype in (np.uint8, np.int32):
        assert measured(images.astype(dtype)) == UNIT


def arrays(folder: Path, x: np.ndarray, **changes: Any) -> Dataset:
    np.savez(folder / "a.npz", x_train=x, y_train=Y)
    return load(Arrays(source="arrays", root=str(folder / "a.npz"), **changes))


def test_a_range_is_declared_or_measured_on_training_inputs(tmp_path: Path) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (60, 4, 4)).astype(np.float32)
    found = arrays(tmp_path, x)
    assert found.range == ((float(found.train.inputs.min()),), (float(found.train.inputs.max()),))
    assert arrays(tmp_path, x, range=(-1.0, 1.0)).range == ((-1,), (1,))
    assert arrays(tmp_path, np.abs(x)).range == UNIT
    assert arrays(tmp_path, (x * 100 + 100).astype(np.uint8)).range == UNIT


@pytest.mark.parametrize(
    ("x", "declared", "text"),
    [
        (np.full((60, 4, 4), 1.5), (-1.0, 1.0), "x_train: must hold values in data.range (-1 to 1), got 1.5 to 1.5"),
        (np.zeros((60, 4, 4), np.uint8), (0.0, 1.0), "must be null for uint8, whose range is 0 … 255, got [0.0, 1.0]"),
    ],
)
def test_values_outside_the_declared_range_are_refused(
    tmp_path: Path, x: np.ndarray, declared: tuple[float, float], text: str
) -> None:
    with pytest.raises(DataError) as caught:
        arrays(tmp_path, x, range=declared)
    assert str(caught.value).endswith(text)


def test_a_range_must_rise() -> None:
    with pytest.raises(ValidationError, match=r"must have a range that rises, \[black, white\], got \[1.0, 1.0\]"):
        Arrays(source="arrays", range=(1.0, 1.0))
