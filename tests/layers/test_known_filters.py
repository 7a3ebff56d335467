"""Known filters against SciPy's and Pillow's, their channels against PyTorch's, and what a user is told of them."""

from typing import Any

import numpy as np
import pytest
from alone import drawn, output, told
from configurations import begun, experiment
from PIL import Image, ImageFilter
from scipy import ndimage

from runner import data
from runner.layers.conv import Conv
from runner.layers.dense import Dense
from runner.model import Model
from runner.records import frozen

IMAGES = np.random.default_rng(0).normal(size=(2, 9, 11, 1)).astype(np.float32)
BINOMIAL = {3: [1, 2, 1], 5: [1, 4, 6, 4, 1], 4: [1, 3, 3, 1]}


def conv(init: Any, size: Any = 3, filters: int = 1, **fields: Any) -> Conv:
    given = {"filters": filters, "kernel_size": size, "padding": "same", "kernel_init": init} | fields
    return Conv.model_validate(frozen(given))


LOWER = [[0, 0, 0], [1, 2, 3], [4, 5, 6]]
DIAGONAL = [[-2, -1, 0], [-1, 0, 1], [0, 1, 2]]
SCIPY: list[tuple[Any, Any, Any]] = [
    ("identity", 3, lambda x, mode: x),
    ("identity", [5, 3], lambda x, mode: x),
    ("sobel_x", 3, lambda x, mode: ndimage.sobel(x, axis=1, mode=mode)),
    ("sobel_y", 3, lambda x, mode: ndimage.sobel(x, axis=0, mode=mode)),
    ("laplacian", 3, lambda x, mode: ndimage.laplace(x, mode=mode)),
    ("sharpen", 3, lambda x, mode: x - ndimage.laplace(x, mode=mode)),
    ("box_blur", 3, lambda x, mode: ndimage.uniform_filter(x, 3, mode=mode)),
    ("box_blur", [3, 5], lambda x, mode: ndimage.uniform_filter(x, (3, 5), mode=mode)),
    ("gaussian_blur", 3, lambda x, mode: binomial(x, 3, mode)),
    ("gaussian_blur", 5, lambda x, mode: binomial(x, 5, mode)),
    # The image and a derivative along the diagonal: light from the top left.
    ("emboss", 3, lambda x, mode: x + ndimage.correlate(x, DIAGONAL, mode=mode)),
    # SciPy has the middle row on the pixel, `padding: same` the first of two rows.
    (LOWER[1:], [2, 3], lambda x, mode: ndimage.correlate(x, LOWER, mode=mode)),
]  # fmt: skip


def binomial(x: np.ndarray, size: int, mode: str) -> np.ndarray:
    weights = np.array(BINOMIAL[size]) / sum(BINOMIAL[size])
    return ndimage.correlate1d(ndimage.correlate1d(x, weights, axis=0, mode=mode), weights, axis=1, mode=mode)


@pytest.mark.parametrize(("init", "size", "expected"), SCIPY, ids=[f"{init}-{size}" for init, size, _ in SCIPY])
def test_filters_are_those_of_scipy(init: Any, size: Any, expected: Any) -> None:
    for ours, theirs in (("replicate", "nearest"), ("circular", "grid-wrap")):
        found = output(conv(init, size, padding_mode=ours), IMAGES)
        wanted = np.stack([expected(image, theirs) for image in IMAGES[..., 0]])[..., None]
        np.testing.assert_allclose(found, wanted, atol=2e-5)


@pytest.mark.parametrize("name", ["sobel_x", "laplacian", "sharpen", "identity", "box_blur", "gaussian_blur"])
def test_filters_over_one_axis(name: str) -> None:
    line = np.random.default_rng(1).normal(size=12).astype(np.float32)
    expected = {
        "sobel_x": lambda x: ndimage.correlate1d(x, [-1, 0, 1], mode="nearest"),
        "laplacian": lambda x: ndimage.laplace(x, mode="nearest"),
        "sharpen": lambda x: x - ndimage.laplace(x, mode="nearest"),
        "identity": lambda x: x,
        "box_blur": lambda x: ndimage.uniform_filter(x, 3, mode="nearest"),
        "gaussian_blur": lambda x: ndimage.correlate1d(x, [0.25, 0.5, 0.25], mode="nearest"),
    }[name](line)
    found = output(conv(name, padding_mode="replicate"), line[None, :, None])
    np.testing.assert_allclose(found[0, :, 0], expected, atol=1e-5)


@pytest.mark.parametrize("size", [4, 5, [3, 8]], ids=str)
@pytest.mark.parametrize("init", ["emboss", [[1, 2, 0], [3, 4, 0], [0, 0, 9]]], ids=str)
def test_a_larger_window_has_zeros_around_the_filter(init: Any, size: Any) -> None:
    np.testing.assert_allclose(output(conv(init, size), IMAGES), output(conv(init, 3), IMAGES), atol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4], ids=str)
def test_blurs_of_every_size_keep_brightness(size: int) -> None:
    for name in ("box_blur", "gaussian_blur"):
        kernel = np.asarray(drawn(conv(name, size), (8, 8, 1))[0]["kernel"])[..., 0, 0]
        assert kernel.sum() == pytest.approx(1)
        np.testing.assert_allclose(kernel, kernel[::-1, ::-1])
    if size == 4:
        np.testing.assert_allclose(kernel * 64, np.outer(BINOMIAL[4], BINOMIAL[4]), rtol=1e-5)


def test_a_blur_of_a_coloured_image_is_that_of_pillow() -> None:
    pixels = np.random.default_rng(2).integers(0, 256, (12, 10, 3), np.uint8)
    wanted = np.asarray(Image.fromarray(pixels).filter(ImageFilter.BoxBlur(1)), np.float32)
    found = output(conv("box_blur", filters=3, padding_mode="replicate"), pixels[None].astype(np.float32))
    assert np.abs(np.asarray(found[0]) - wanted).max() <= 1  # Pillow rounds
    alone = output(conv("box_blur", filters=3, groups=3, padding_mode="replicate"), pixels[None].astype(np.float32))
    np.testing.assert_allclose(alone, found, rtol=1e-5)


def test_identity_is_the_dirac_kernel_of_torch() -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.nn.init.dirac_(torch.empty(3, 3, 3, 3)).permute(2, 3, 1, 0).numpy()
    np.testing.assert_array_equal(drawn(conv("identity", filters=3), (8, 8, 3))[0]["kernel"], theirs)


def test_a_single_filter_sees_the_mean_of_all_channels_and_more_filters_begin_again() -> None:
    coloured = np.random.default_rng(3).normal(size=(2, 9, 11, 3)).astype(np.float32)
    single = output(conv("sobel_x"), coloured)
    grey = coloured.mean(axis=-1, keepdims=True)
    np.testing.assert_allclose(single, output(conv("sobel_x"), grey), atol=1e-5)
    five = output(conv("sobel_x", filters=5), coloured)
    for number, channel in enumerate((0, 1, 2, 0, 1)):
        own = output(conv("sobel_x"), coloured[..., channel : channel + 1])
        np.testing.assert_allclose(five[..., number], own[..., 0], atol=1e-5)
    two = output(conv("sobel_x", filters=2), coloured)
    np.testing.assert_allclose(two[..., 0], (five[..., 0] + five[..., 2]) / 2, atol=1e-5)
    np.testing.assert_allclose(two[..., 1], five[..., 1], atol=1e-5)


def test_numbers_of_a_dense_layer_are_its_weights() -> None:
    weights, bias = [[1, 2], [3, 4], [5, 6]], [0.5, -0.5]
    layer = Dense.model_validate({"kernel_init": weights, "bias_init": bias, "units": 2})
    found = output(layer, np.float32([[1, 0, 2]]))
    np.testing.assert_allclose(found, np.array([[1, 0, 2]]) @ weights + bias)


def test_a_frozen_filter_does_not_learn() -> None:
    chosen = experiment(
        "model.layers=[{conv: {filters: 2, kernel_size: 3, kernel_init: sobel_x}}, relu, flatten, classifier]",
        "model.input=null",
        "data.limit=100",
        "train.epochs=1",
        "train.freeze=[0_conv.kernel]",
        "tracking.enabled=false",
    )
    training = begun(chosen, data.load(chosen.data))
    list(training.epochs())
    kernel = np.asarray(training.state.params["0_conv"]["kernel"])
    np.testing.assert_array_equal(kernel[:, :, 0, 0], [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    np.testing.assert_array_equal(kernel[..., 0], kernel[..., 1])
    assert np.asarray(training.state.params["0_conv"]["bias"]).any()


# What a user is told

WINDOW = {"filters": 1, "kernel_size": 3}


RAGGED = "kernel_init: must be one row of numbers, or rows of the same length, got "


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            {"kernel_size": 2, "kernel_init": "sobel_x"},
            "kernel_init: must have a window of at least 3×3 under sobel_x, got [2, 2, 3, 1]",
        ),
        (
            {"kernel_init": [[1] * 4] * 2},
            "kernel_init: must have a window of at least 2×4 under its numbers, got [3, 3, 3, 1]",
        ),
        (
            {"kernel_init": [1, 2, 3]},
            "kernel_init: must have rows of numbers over two spatial axes, and one row over one axis, got [3, 3, 3, 1]",
        ),
        ({"kernel_init": [[1, 2], [3]]}, f"{RAGGED}[[1, 2], [3]]"),
        ({"kernel_init": [[1, "x"]]}, f"{RAGGED}[[1, x]]"),
        ({"kernel_init": [1, [2]]}, f"{RAGGED}[1, [2]]"),
        ({"kernel_init": []}, f"{RAGGED}[]"),
        ({"kernel_init": [[[1]]]}, f"{RAGGED}[[[1]]]"),
        ({"kernel_init": "laplace"}, 'kernel_init: unknown initialiser "laplace"; did you mean "laplacian"?'),
        ({"bias_init": "sobel_x"}, "bias_init: must have a window under sobel_x, got [1]"),
        ({"bias_init": [1, 2]}, "bias_init: must have the shape of its numbers, [2], got [1]"),
        (
            {"filters": 2, "groups": 2, "kernel_init": "box_blur"},
            "groups: must be 1 or the number of channels, 4, under kernel_init box_blur, got 2",
        ),
    ],
)
def test_faults(entry: dict[str, Any], expected: str) -> None:
    shape = (8, 8, 4) if "groups" in entry else (8, 8, 3)
    lines = told({"conv": WINDOW | entry}, "flatten", "classifier", shape=shape)
    assert lines == [f"model.layers[0].conv.{expected}"]


def test_faults_over_one_axis_and_in_other_layers() -> None:
    [line] = told({"conv": WINDOW | {"kernel_init": "sobel_y"}}, "flatten", "classifier", shape=(8, 1))
    assert line == "model.layers[0].conv.kernel_init: must have two spatial axes under sobel_y, got [3, 1, 1]"
    partial = {"partial_conv": {"kernel_size": 3, "connections": [[0]], "bias_init": "emboss"}}
    [line] = told(partial, "flatten", "classifier")
    assert line == "model.layers[0].partial_conv.bias_init: must have a window under emboss, got [1]"
    embedding = {"embedding": {"dim": 4, "table_init": "emboss", "vocabulary": 7}}
    model = {"name": "told", "layers": [embedding, "flatten", "classifier"]}
    [fault] = Model.model_validate(frozen(model)).survey((5, 1), 2, vocabulary=7).faults
    assert str(fault) == "model.layers[0].embedding.table_init: must have a window under emboss, got [7, 4]"


def test_a_record_of_numbers_is_shown_as_it_is_written() -> None:
    layer = conv([[1, 2], [3, 4]], 2)
    assert str(layer.kernel_init) == "[[1.0, 2.0], [3.0, 4.0]]"
    assert hash(layer.kernel_init) == hash(conv([[1, 2], [3, 4]], 2).kernel_init)
