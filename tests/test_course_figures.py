"""Figures of the course: what they say of a network, against what it computes."""

import numpy as np
import pytest
from configurations import begun, experiment, here
from scipy import ndimage
from test_figures import overlaps

from runner import data
from runner.figures.distortions import distortions
from runner.figures.learning_step import learning_step
from runner.figures.responses import responses
from runner.run_figures.distortions import measured, names
from runner.run_figures.learning_step import compared
from runner.run_figures.responses import seen
from runner.run_figures.subject import Subject, figure


def subject(*overrides: str) -> Subject:
    """A network before training: what it has learnt does not matter here."""
    chosen = experiment(*overrides, "tracking.enabled=false")
    dataset = data.load(chosen.source)
    return Subject(begun(chosen, dataset).trained({}), here(), lambda: dataset)


# Responses


def test_the_curve_is_found_on_one_image_only() -> None:
    about = subject("experiment=curve")
    found = seen(about)
    assert [one.image.title for one in found] == ["image: the mouse's back", "image: the mouse's ear"]
    for one, expected in zip(found, (6600, 0), strict=True):
        [output] = one.outputs
        np.testing.assert_allclose(output.values, [[[expected]]], atol=1e-2)
        np.testing.assert_array_equal(output.window, np.array(about.network.layers[0].kernel_init.known))
    assert not overlaps(responses(found))


@pytest.mark.slow
def test_filters_are_told_apart_by_their_names_and_copies_are_drawn_as_the_image() -> None:
    [one] = seen(subject("experiment=kernels", "model.input.height=20", "model.input.width=30"))
    assert [output.title for output in one.outputs] == [
        *("identity", "box_blur", "gaussian_blur", "sharpen", "emboss", "sobel_x", "sobel_y", "laplacian"),
    ]
    assert [output.look for output in one.outputs] == ["image"] * 5 + ["signed"] * 3
    np.testing.assert_allclose(one.outputs[0].drawn, one.image.drawn, atol=1e-6)
    grey = one.image.values.mean(axis=-1)
    np.testing.assert_allclose(one.outputs[5].values[..., 0], ndimage.sobel(grey, axis=1, mode="nearest"), atol=1e-4)
    assert not overlaps(responses([one]))


@pytest.mark.slow
def test_strides_and_paddings_are_told_apart_and_the_image_is_framed() -> None:
    [one] = seen(subject("experiment=stride_padding", "model.input.height=40", "model.input.width=60"))
    assert [output.title for output in one.outputs] == [
        "stride: 1, padding: valid",
        "padding: same",
        "padding: full",
        "stride: 2",
        "padding: 30",
        *(f"padding: 30, padding_mode: {mode}" for mode in ("reflect", "replicate", "circular")),
    ]
    assert one.outputs[0].inside is None
    assert one.outputs[2].inside == (1, 1, 41, 61)
    for padded in one.outputs[4:]:
        top, left, bottom, right = padded.inside or (0, 0, 0, 0)
        np.testing.assert_allclose(padded.drawn[top:bottom, left:right], one.image.drawn, atol=1e-6)
    assert not overlaps(responses([one]))


@pytest.mark.slow
def test_a_signal_of_each_class_has_a_column() -> None:
    found = seen(subject("experiment=signal"))
    assert [one.image.title for one in found] == [
        f"signal: {name}" for name in ("sine", "square", "triangle", "sawtooth")
    ]
    assert [output.title for output in found[0].outputs] == ["box_blur", "[-1, 1]", "learnt filters"]
    for one in found:  # causal: nothing but the present and the sample before
        signal = one.image.values[:, 0]
        np.testing.assert_allclose(one.outputs[1].values[:, 0], signal - np.pad(signal, (1, 0))[:-1], atol=1e-5)
    assert not overlaps(responses(found))


def test_responses_suit_networks_that_begin_with_a_window() -> None:
    suits = figure("responses").suits
    assert suits(subject("data.limit=40").network)
    assert not suits(subject("data.limit=40", "model.input=null", "model.layers=[flatten, classifier]").network)


# Distortions


TWO_NETWORKS = (
    "model.layers=[{auxiliary: {layers: [flatten, classifier]}}, "
    "{conv: {filters: 4, kernel_size: 3}}, batch_norm, {dropout: {rate: 0.5}}, flatten, classifier]",
    "model.input.height=16",
    "model.input.width=16",
    "model.input.fit=pad",
)


@pytest.fixture(scope="module")
def two() -> Subject:
    return subject(*TWO_NETWORKS)


@pytest.mark.slow
def test_accuracies_are_those_of_images_that_scipy_distorts(two: Subject) -> None:
    val, trained = two.dataset.val, two.trained
    shifted, rotated, scaled = measured(two)
    own = (two.probabilities.argmax(axis=1) == val.labels).mean()
    for kind, neutral in ((shifted, 0), (rotated, 0), (scaled, 1)):
        assert kind.accuracies[0][list(kind.amounts).index(neutral)] == pytest.approx(own)
    images = np.pad(val.inputs / np.float32(255), ((0, 0), (4, 4), (4, 4), (0, 0)))
    moved = ndimage.shift(images, (0, 0, 2, 0), order=1)
    np.testing.assert_allclose(shifted.images[2], moved[0], atol=1e-5)
    head = {name: np.asarray(value) for name, value in trained.params["0_auxiliary"]["layers"]["1_classifier"].items()}
    right = []
    for step in ((0, 2), (0, -2), (2, 0), (-2, 0)):
        pixels = ndimage.shift(images, (0, *step, 0), order=1)
        flat = ((pixels - np.float32(trained.program.mean)) / np.float32(trained.program.std)).reshape(len(val), -1)
        right.append(((flat @ head["kernel"] + head["bias"]).argmax(axis=1) == val.labels).mean())
    assert shifted.accuracies[1][2] == pytest.approx(np.mean(right), abs=1.5 / len(val))
    turned = ndimage.rotate(images[0, ..., 0], 30, reshape=False, order=1)
    np.testing.assert_allclose(rotated.images[3][..., 0], turned, atol=0.02)


@pytest.mark.slow
def test_networks_are_named_by_what_they_are(two: Subject) -> None:
    assert names(two) == ["convolutional, 7,898 parameters", "fully connected, 2,570 parameters"]
    assert not overlaps(distortions(measured(two), names(two), of="images"))


# One step


@pytest.mark.slow
def test_a_step_is_that_of_the_boat() -> None:
    chosen = experiment("experiment=boat", "tracking.enabled=false")
    training = begun(chosen, data.load(chosen.source))
    list(training.epochs())
    about = Subject(training.trained({}), here(), lambda: training.plan.dataset)
    found = compared(about)
    np.testing.assert_allclose(found.before.values, [0.2, 0.4, 0.1, 0.3], atol=1e-6)
    assert found.before.loss == pytest.approx(0.55)
    assert found.before.parts is not None
    np.testing.assert_allclose(found.before.parts, [0.02, 0.08, 0.405, 0.045], atol=1e-6)
    assert found.after.loss == pytest.approx(0.0625, abs=1e-4)
    drawn = learning_step(
        found.example.input, about.trained.classes, found.target, found.before, found.after, loss="the loss"
    )
    assert not overlaps(drawn)


@pytest.mark.parametrize(
    "name", ["responses", *(pytest.param(name, marks=pytest.mark.slow) for name in ("distortions", "learning_step"))]
)
def test_figures_are_drawn_of_the_default_network(name: str) -> None:
    assert figure(name).draw(subject("data.limit=40")).startswith(b"\x89PNG")
