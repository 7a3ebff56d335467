"""Whitening filters: what they make of the images they were made of."""

import numpy as np
import pytest
from configurations import begun, experiment

from runner import data
from runner.errors import ConfigError
from runner.layers.whitening import whitening


def outputs(images: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """What every filter gives at every position, (filters, positions)."""
    *window, _, filters = kernel.shape
    patches = np.lib.stride_tricks.sliding_window_view(images, window, axis=(1, 2))
    return np.einsum("nxychw,hwcf->fnxy", patches, kernel).reshape(filters, -1)


@pytest.fixture
def images() -> np.ndarray:
    """Smooth ones, as photographs are: neighbouring pixels and channels go together."""
    noise = np.random.default_rng(0).normal(size=(50, 12, 12, 3))
    smooth = noise + np.roll(noise, 1, axis=1) + np.roll(noise, 1, axis=2)
    return (smooth + smooth.mean(axis=-1, keepdims=True)).astype(np.float32)


def test_outputs_have_unit_variance_and_no_correlation(images: np.ndarray) -> None:
    found = outputs(images, whitening(images, (2, 2, 3, 24), epsilon=0.0))[:12]
    np.testing.assert_allclose(found @ found.T / found.shape[1], np.eye(12), atol=1e-4)


def test_the_second_half_is_the_first_negated_and_the_strongest_come_first(images: np.ndarray) -> None:
    every, few = whitening(images, (2, 2, 3, 24), 1e-3), whitening(images, (2, 2, 3, 10), 1e-3)
    np.testing.assert_array_equal(every[..., 12:], -every[..., :12])
    many = whitening(images, (2, 2, 3, 30), 1e-3)
    np.testing.assert_array_equal(many, np.concatenate([every, every[..., :6]], axis=-1))
    np.testing.assert_array_equal(few, np.concatenate([every[..., :5], -every[..., :5]], axis=-1))
    # The stronger the direction, the less it has to be amplified.
    lengths = np.linalg.norm(every[..., :12].reshape(12, 12), axis=0)
    assert (np.diff(lengths) > 0).all()


def test_a_network_begins_with_filters_of_its_images_and_learns_on() -> None:
    chosen = experiment(
        "model.layers=[{conv: {filters: 8, kernel_size: 2, kernel_init: whitening}}, relu, flatten, classifier]",
        "model.input=null",
        "data.limit=200",
        "train.epochs=1",
        "train.freeze=[0_conv.kernel]",
        "tracking.enabled=false",
    )
    training = begun(chosen, data.load(chosen.data))
    kernel = np.asarray(training.state.params["0_conv"]["kernel"])
    images = training.plan.dataset.train.inputs.astype(np.float32) / 255
    mean, std = (np.asarray(value, np.float32) for value in (training.plan.program.mean, training.plan.program.std))
    found = outputs((images - mean) / std, kernel)
    covariance = found @ found.T / found.shape[1]
    np.testing.assert_allclose(np.diag(covariance), 1, atol=0.02)  # all but the epsilon
    list(training.epochs())
    np.testing.assert_array_equal(training.state.params["0_conv"]["kernel"], kernel)


@pytest.mark.parametrize(
    ("layers", "fault"),
    [
        (
            "[relu, {conv: {filters: 2, kernel_size: 2, kernel_init: whitening}}, flatten, classifier]",
            "got layers[1].conv.kernel",
        ),
        ("[flatten, {classifier: {kernel_init: whitening}}]", "1].classifier.kernel_init: must have a window"),
    ],
)
def test_it_stands_where_it_can_be_made(layers: str, fault: str) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment(f"model.layers={layers}", "model.input=null")
    [line] = str(caught.value).splitlines()
    assert line.startswith("model.layers")
    assert fault in line
