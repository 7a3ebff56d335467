"""Fitting and normalising, held against jax.image and NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from runner.data import fit, fitted_shape, normalise
from runner.errors import ConfigError

SHAPE = (3, 8, 11, 2)


@pytest.fixture
def images():
    return jnp.asarray(np.random.default_rng(0).integers(0, 256, SHAPE, np.uint8))


@pytest.mark.parametrize("size", [(8, 11), (32, 32), (5, 11), (8, 20), (3, 4), (7, 30), (1, 1)])
def test_resizing_is_that_of_jax_image(images, size):
    expected = jax.image.resize(images.astype(jnp.float32) / 255, (3, *size, 2), "linear", antialias=True)
    fitted = jax.jit(lambda images: fit(images, size, "resize"))(images)
    assert fitted.dtype == jnp.float32
    np.testing.assert_allclose(fitted, expected, atol=1e-6)


def test_bytes_become_fractions_and_floats_keep_their_unit(images):
    np.testing.assert_allclose(fit(images, SHAPE[1:3]), np.asarray(images) / 255, rtol=1e-6)
    floats = images.astype(jnp.float32) * 3
    np.testing.assert_array_equal(fit(floats, SHAPE[1:3]), floats)


def test_padding_and_cropping_keep_the_middle(images):
    plain = fit(images, SHAPE[1:3])
    padded = fit(images, (12, 14), "pad")
    np.testing.assert_array_equal(padded, np.pad(plain, ((0, 0), (2, 2), (1, 2), (0, 0))))
    np.testing.assert_array_equal(fit(padded, SHAPE[1:3], "crop"), plain)
    np.testing.assert_array_equal(fit(images, (8, 9), "crop"), plain[:, :, 1:10])
    np.testing.assert_array_equal(fit(images, (4, 11), "crop"), plain[:, 2:6])


def test_one_dimensional_inputs_keep_their_length():
    signals = jnp.ones((2, 30, 1), jnp.uint8) * 51
    np.testing.assert_allclose(fit(signals, (8, 8), "pad"), np.full((2, 30, 1), 0.2), rtol=1e-6)


def test_the_shape_is_known_before_fitting(images):
    for size, how in (((32, 32), "resize"), ((9, 12), "pad"), ((4, 4), "crop")):
        shape = jax.eval_shape(lambda images, size=size, how=how: fit(images, size, how), images).shape
        assert shape[1:] == fitted_shape(SHAPE[1:], size, how)
    assert fitted_shape((30, 1), (8, 8), "crop") == (30, 1)


@pytest.mark.parametrize(
    ("size", "how", "text"),
    [
        ((7, 20), "pad", "model.input: must be at least 8×11, the size of the images, for fit=pad, got 7×20"),
        ((7, 20), "crop", "model.input: must be at most 8×11, the size of the images, for fit=crop, got 7×20"),
    ],
)
def test_padding_never_cuts_and_cropping_never_adds(size, how, text):
    with pytest.raises(ConfigError) as caught:
        fitted_shape(SHAPE[1:], size, how)
    assert str(caught.value) == text


def test_normalised_channels_have_mean_0_and_deviation_1(images):
    values = fit(images, SHAPE[1:3])
    mean, std = np.asarray(values).mean(axis=(0, 1, 2)), np.asarray(values).std(axis=(0, 1, 2))
    normalised = normalise(values, tuple(mean.tolist()), std)
    np.testing.assert_allclose(normalised.mean(axis=(0, 1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(normalised.std(axis=(0, 1, 2)), 1, atol=1e-5)
