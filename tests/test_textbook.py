"""The worked examples of the textbooks, as a user would write them: layers as YAML gives them, numbers as printed.

CS231n: Stanford's course notes. D2L: Zhang, Lipton, Li & Smola, Dive into Deep Learning. The rest is cited in place.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpy.typing import ArrayLike

from runner.layers.base import Row, Tree
from runner.layers.passes import Pass
from runner.losses import L2Loss
from runner.model import Model
from runner.records import frozen

KEY = jax.random.key(0)


def model(*layers: Any) -> Model:
    return Model.model_validate(frozen({"name": "textbook", "layers": list(layers)}))


def rows(text: str) -> np.ndarray:
    """`11 00` is an image of two rows and two columns, one digit a pixel."""
    return np.array([[int(digit) for digit in row] for row in text.split()], np.float32)


def through(net: Model, image: ArrayLike, kernels: Sequence[ArrayLike] = ()) -> np.ndarray:
    """What the net makes of one image `(h, w)` or `(h, w, c)`, or one series `(length, 1)`.

    Convolutions take `kernels` in order, `(h, w)` or `(h, w, in, out)`; where none are given they begin as they say.
    """
    x = jnp.asarray(image, jnp.float32)
    x = x.reshape(*x.shape, 1) if x.ndim == 2 and x.shape[-1] != 1 else x
    bound = net.bind(x.shape, 10)
    params, statistics = bound.init(KEY)
    convolutions = [name for name in params if name.endswith("conv")]
    for name, kernel in zip(convolutions, kernels, strict=bool(kernels)):
        params[name]["kernel"] = jnp.asarray(kernel, jnp.float32).reshape(params[name]["kernel"].shape)
    y, _ = bound.apply(params, statistics, x[None], Pass(training=False, key=KEY))
    return np.asarray(y[0]).squeeze(-1) if y.ndim > 2 and y.shape[-1] == 1 else np.asarray(y[0])


def surveyed(net: Model, shape: tuple[int, ...]) -> list[Row]:
    return list(net.bind(shape, classes=10).rows)


def seen(net: Model, size: int) -> int:
    """How many pixels of a `size` × `size` image the output's middle really sees along one axis."""
    bound = net.bind((size, size, 1), 10)
    params, statistics = bound.init(KEY)

    def middle(x: jax.Array) -> jax.Array:
        y, _ = bound.apply(params, statistics, x, Pass(training=False, key=KEY))
        return y[0, y.shape[1] // 2, y.shape[2] // 2, 0]

    gradient = np.asarray(jax.grad(middle)(jnp.ones((1, size, size, 1))))[0, :, :, 0]
    return int(np.count_nonzero(gradient.any(axis=1)))


# Convolution


BINARY = rows("11100 01110 00111 00110 01100")


def test_the_binary_image_under_the_cross() -> None:
    net = model({"conv": {"filters": 1, "kernel_size": 3, "use_bias": False}})
    np.testing.assert_array_equal(through(net, BINARY, [rows("101 010 101")]), rows("434 243 234"))


def test_a_box_blur_spreads_a_point_and_keeps_what_is_flat_or_slopes() -> None:
    blur = {"conv": {"filters": 1, "kernel_size": 3, "kernel_init": {"constant": {"value": 1 / 9}}}}
    point = np.zeros((5, 5))
    point[2, 2] = 9
    np.testing.assert_allclose(through(model(blur), point), np.ones((3, 3)), rtol=1e-6)
    slope = np.arange(25.0).reshape(5, 5)
    np.testing.assert_allclose(through(model(blur), slope), slope[1:-1, 1:-1], rtol=1e-6)
    replicated = {"conv": {**blur["conv"], "padding": 1, "padding_mode": "replicate"}}
    np.testing.assert_allclose(through(model(replicated), np.full((4, 4), 7)), np.full((4, 4), 7.0), rtol=1e-6)


def test_the_vertical_edge() -> None:
    # The 6×6 image, half bright and half dark, of Andrew Ng's course on convolutional networks.
    image = np.repeat([[10, 10, 10, 0, 0, 0]], 6, axis=0)
    edge = np.repeat([[1, 0, -1]], 3, axis=0)
    net = model({"conv": {"filters": 1, "kernel_size": 3, "use_bias": False}})
    np.testing.assert_array_equal(through(net, image, [edge]), np.repeat([[0, 30, 30, 0]], 4, axis=0))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, [[19, 25], [37, 43]]),
        ({"padding": 1}, [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]),
        ({"padding": "full"}, [[0, 3, 8, 4], [9, 19, 25, 10], [21, 37, 43, 16], [6, 7, 8, 0]]),
        ({"padding": 1, "stride": [3, 2]}, [[0, 8], [6, 8]]),
    ],
)
def test_cross_correlation_in_d2l(arguments: dict[str, Any], expected: ArrayLike) -> None:
    net = model({"conv": {"filters": 1, "kernel_size": 2, "use_bias": False, **arguments}})
    np.testing.assert_array_equal(through(net, np.arange(9).reshape(3, 3), [[[0, 1], [2, 3]]]), expected)


def test_channels_in_d2l() -> None:
    image = np.stack([np.arange(9).reshape(3, 3), np.arange(1, 10).reshape(3, 3)], axis=-1)
    one = np.stack([np.arange(4).reshape(2, 2), np.arange(1, 5).reshape(2, 2)], axis=-1)  # (h, w, in)
    kernel = np.stack([one, one + 1, one + 2], axis=-1)  # (h, w, in, out)
    net = model({"conv": {"filters": 3, "kernel_size": 2, "use_bias": False}})
    expected = [[[56, 72], [104, 120]], [[76, 100], [148, 172]], [[96, 128], [192, 224]]]
    np.testing.assert_array_equal(np.moveaxis(through(net, image, [kernel]), -1, 0), expected)


def test_a_one_by_one_convolution_is_a_dense_layer_at_every_pixel() -> None:
    image = np.random.default_rng(0).normal(size=(3, 3, 3))
    kernel = np.random.default_rng(1).normal(size=(1, 1, 3, 2))
    net = model({"conv": {"filters": 2, "kernel_size": 1}})
    np.testing.assert_allclose(through(net, image, [kernel]), image @ kernel[0, 0], rtol=1e-5)


def test_padding_by_one_keeps_the_size_under_three_by_three() -> None:
    net = model({"conv": {"filters": 1, "kernel_size": 3, "padding": 1, "use_bias": False}})
    delta = np.zeros((3, 3))
    delta[1, 1] = 1
    np.testing.assert_array_equal(through(net, BINARY, [delta]), BINARY)


@pytest.mark.parametrize("kernel_size", [1, 2, 3, 5])
def test_full_padding_grows_by_one_less_than_the_kernel(kernel_size: int) -> None:
    (row,) = surveyed(model({"conv": {"filters": 4, "kernel_size": kernel_size, "padding": "full"}}), (5, 7, 1))
    assert row.output.shape == (5 + kernel_size - 1, 7 + kernel_size - 1, 4)


@pytest.mark.parametrize(
    ("arguments", "size", "expected"),
    [
        ({"kernel_size": 3}, 7, 5),  # CS231n: a 7×7 input and a 3×3 filter
        ({"kernel_size": 3, "stride": 2}, 7, 3),  # the same with stride 2
        ({"kernel_size": 3, "padding": 1}, 7, 7),
        ({"kernel_size": 5, "padding": 2}, 32, 32),
        ({"kernel_size": 11, "stride": 4}, 227, 55),  # Krizhevsky et al. 2012
        ({"kernel_size": 7, "stride": 2, "padding": 3}, 224, 112),  # He et al. 2015
    ],
)
def test_output_sizes_in_cs231n(arguments: dict[str, Any], size: int, expected: int) -> None:
    (row,) = surveyed(model({"conv": {"filters": 1, **arguments}}), (size, size, 3))
    assert row.output.shape == (expected, expected, 1)


# Along one axis


def test_a_causal_moving_average_never_sees_what_comes_later() -> None:
    average = {"filters": 1, "kernel_size": 2, "padding": "causal", "kernel_init": {"constant": {"value": 0.5}}}
    series = np.array([[2.0], [4.0], [8.0], [0.0]])
    np.testing.assert_array_equal(through(model({"conv": average}), series), [1.0, 3.0, 6.0, 4.0])
    later = series.copy()
    later[2:] = 100
    np.testing.assert_array_equal(through(model({"conv": average}), later)[:2], [1.0, 3.0])
    np.testing.assert_array_equal(through(model({"conv": {**average, "dilation": 2}}), series), [1.0, 2.0, 5.0, 2.0])


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("zeros", [0 + 1 + 2, 6, 9, 3 + 4 + 0]),
        ("reflect", [2 + 1 + 2, 6, 9, 3 + 4 + 3]),
        ("replicate", [1 + 1 + 2, 6, 9, 3 + 4 + 4]),
        ("circular", [4 + 1 + 2, 6, 9, 3 + 4 + 1]),
    ],
)
def test_what_lies_beyond_the_border(mode: str, expected: list[int]) -> None:
    arguments = {"padding": 1, "padding_mode": mode}
    series = np.array([[1.0], [2.0], [3.0], [4.0]])
    pool = model({"sum_pool": {"size": 3, "stride": 1, **arguments}})
    np.testing.assert_array_equal(through(pool, series), expected)
    conv = model({"conv": {"filters": 1, "kernel_size": 3, "kernel_init": "ones", **arguments}})
    np.testing.assert_array_equal(through(conv, series), expected)


# Pooling


def test_max_pooling_halves_the_image() -> None:
    image = rows("1124 5678 3210 1234")
    np.testing.assert_array_equal(through(model({"max_pool": {"size": 2}}), image), rows("68 34"))
    np.testing.assert_array_equal(through(model({"max_pool": {"size": 2, "stride": 2}}), image), rows("68 34"))


def test_mean_and_sum_of_the_same_image() -> None:
    image = rows("1124 5678 3210 1234")
    sums = [[1 + 1 + 5 + 6, 2 + 4 + 7 + 8], [3 + 2 + 1 + 2, 1 + 0 + 3 + 4]]
    np.testing.assert_array_equal(through(model({"sum_pool": {"size": 2}}), image), sums)
    np.testing.assert_array_equal(through(model({"avg_pool": {"size": 2}}), image), np.array(sums) / 4)
    np.testing.assert_array_equal(through(model("global_avg_pool"), image), [image.mean()])
    np.testing.assert_array_equal(through(model("global_max_pool"), image), [8])


def test_pooling_in_d2l() -> None:
    small, large = np.arange(9).reshape(3, 3), np.arange(16).reshape(4, 4)
    np.testing.assert_array_equal(through(model({"max_pool": {"size": 2, "stride": 1}}), small), [[4, 5], [7, 8]])
    np.testing.assert_array_equal(through(model({"avg_pool": {"size": 2, "stride": 1}}), small), [[2, 3], [5, 6]])
    np.testing.assert_array_equal(through(model({"max_pool": {"size": 3}}), large), [[10]])
    padded = model({"max_pool": {"size": 3, "padding": 1, "stride": 2}})
    np.testing.assert_array_equal(through(padded, large), [[5, 7], [13, 15]])
    oblong = model({"max_pool": {"size": [2, 3], "stride": [2, 3], "padding": [0, 1]}})
    np.testing.assert_array_equal(through(oblong, large), [[5, 7], [13, 15]])


# Receptive fields


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ([{"kernel_size": 3}] * 2, 5),  # Simonyan & Zisserman 2014, §2.3: two 3×3 see 5×5
        ([{"kernel_size": 3}] * 3, 7),  # and three see 7×7
        ([{"kernel_size": 3}, {"kernel_size": 3, "dilation": 2}], 7),  # Yu & Koltun 2015, figure 1
        ([{"kernel_size": 3}, {"kernel_size": 3, "dilation": 2}, {"kernel_size": 3, "dilation": 4}], 15),
        ([{"kernel_size": 3, "stride": 2}, {"kernel_size": 3}], 7),
    ],
)
def test_what_a_stack_of_convolutions_sees(layers: list[dict[str, Any]], expected: int) -> None:
    net = model(*({"conv": {"filters": 1, "kernel_init": "ones", **layer}} for layer in layers))
    assert [field.size for field in surveyed(net, (21, 21, 1))[-1].output.fields] == [expected, expected]
    assert seen(net, 21) == expected


# Dense layers, softmax and the rules of learning


def test_softmax_by_hand() -> None:
    np.testing.assert_allclose(through(model("softmax"), [1.0, 2.0, 3.0]), [0.09003057, 0.24472847, 0.66524096], 1e-5)
    large = through(model("softmax"), [[[1000.0, 1001.0, 1002.0]]])
    np.testing.assert_allclose(large[0, 0], [0.09003057, 0.24472847, 0.66524096], 1e-5)


def test_a_step_of_the_delta_rule_by_hand() -> None:
    # Inputs (1, 2), weights (0.5, −0.25), bias 0.1: output 0.1. Target 1, rate 0.1: Δw = 0.1 · 0.9 · x.
    net = model("flatten", {"dense": {"units": 1}})
    params = {"1_dense": {"kernel": jnp.array([[0.5], [-0.25]]), "bias": jnp.array([0.1])}}
    after = descended(net, params, jnp.array([[[1.0], [2.0]]]), jnp.array([[1.0]]), learning_rate=0.1)
    np.testing.assert_allclose(after["1_dense"]["kernel"], [[0.59], [-0.07]], rtol=1e-5)
    np.testing.assert_allclose(after["1_dense"]["bias"], [0.19], rtol=1e-5)


def test_backpropagation_step_by_step() -> None:
    # The 2-2-2 sigmoid network of Matt Mazur, "A step by step backpropagation example" (2015), weights as printed.
    net = model({"dense": {"units": 2}}, "sigmoid", {"dense": {"units": 2}}, "sigmoid")
    params = {
        "0_dense": {"kernel": jnp.array([[0.15, 0.25], [0.20, 0.30]]), "bias": jnp.array([0.35, 0.35])},
        "2_dense": {"kernel": jnp.array([[0.40, 0.50], [0.45, 0.55]]), "bias": jnp.array([0.60, 0.60])},
    }
    x, targets = jnp.array([[0.05, 0.10]]), jnp.array([[0.01, 0.99]])
    outputs, _ = net.bind((2,), 2).apply(params, {}, x, Pass(training=True, key=KEY))
    np.testing.assert_allclose(outputs, [[0.75136507, 0.772928465]], rtol=1e-6)
    np.testing.assert_allclose(L2Loss().per_example(outputs, targets), [0.298371109], rtol=1e-6)
    after = descended(net, params, x, targets, learning_rate=0.5)
    w1, w2, w3, w4 = 0.149780716, 0.19956143, 0.24975114, 0.29950229
    w5, w6, w7, w8 = 0.35891648, 0.408666186, 0.511301270, 0.561370121
    np.testing.assert_allclose(after["0_dense"]["kernel"], [[w1, w3], [w2, w4]], rtol=1e-6)
    np.testing.assert_allclose(after["2_dense"]["kernel"], [[w5, w7], [w6, w8]], rtol=1e-6)


def descended(net: Model, params: Tree, x: jax.Array, targets: jax.Array, *, learning_rate: float) -> Tree:
    """The parameters after one step of plain gradient descent on ½ Σ (target − output)²."""

    def error(params: Tree) -> jax.Array:
        outputs, _ = net.bind(x.shape[1:], 10).apply(params, {}, x, Pass(training=True, key=KEY))
        return jnp.sum(L2Loss().per_example(outputs, targets))

    return jax.tree.map(lambda p, g: p - learning_rate * g, params, jax.grad(error)(params))


# Networks of the literature


def test_the_layers_of_lenet5() -> None:
    net = model(
        *({"conv": {"filters": 6, "kernel_size": 5}}, "tanh", {"avg_pool": {"size": 2}}),
        *({"conv": {"filters": 16, "kernel_size": 5}}, "tanh", {"avg_pool": {"size": 2}}),
        *("flatten", {"dense": {"units": 120}}, "tanh", {"dense": {"units": 84}}, "tanh", "classifier"),
    )
    found = [row for row in surveyed(net, (32, 32, 1)) if row.parameters]
    # LeCun et al. 1998, §II.B: C1 156, F6 10,164, C5 48,120; C3 has 2,416 where every filter sees every map.
    assert [row.parameters for row in found] == [156, 2_416, 48_120, 10_164, 850]
    assert sum(row.parameters for row in found) == 61_706
    assert sum(row.multiply_adds for row in found) == 416_520


def vgg16() -> list[Any]:
    layers: list[Any] = []
    for filters, times in ((64, 2), (128, 2), (256, 3), (512, 3), (512, 3)):
        inner = [{"conv": {"filters": filters, "kernel_size": 3, "padding": "same"}}, "relu"]
        layers += [{"repeat": {"times": times, "layers": inner}}, {"max_pool": {"size": 2}}]
    return [*layers, "flatten", {"repeat": {"times": 2, "layers": [{"dense": {"units": 4096}}, "relu"]}}, "classifier"]


def alexnet() -> list[Any]:
    def conv(filters: int, kernel_size: int, padding: int, stride: int = 1) -> list[Any]:
        sizes = {"filters": filters, "kernel_size": kernel_size, "padding": padding, "stride": stride}
        return [{"conv": sizes}, "relu"]

    pool = {"max_pool": {"size": 3, "stride": 2}}
    features = [*conv(64, 11, 2, 4), pool, *conv(192, 5, 2), pool]
    features += [*conv(384, 3, 1), *conv(256, 3, 1), *conv(256, 3, 1), pool]
    dense = [{"dropout": {"rate": 0.5}}, {"dense": {"units": 4096}}, "relu"]
    return [*features, "flatten", *dense, *dense, "classifier"]


@pytest.mark.parametrize(
    ("layers", "parameters", "multiply_adds"),
    [
        # torchvision's tables: 138,357,544 parameters and 15.47 GFLOPS; 61,100,840 and 0.71.
        (vgg16(), 138_357_544, 15_470_264_320),
        (alexnet(), 61_100_840, 714_188_480),
    ],
    ids=["vgg16", "alexnet"],
)
def test_the_cost_of_published_networks(layers: list[Any], parameters: int, multiply_adds: int) -> None:
    found = model(*layers).survey((224, 224, 3), classes=1000)
    assert not found.faults
    assert sum(row.parameters for row in found.rows) == parameters
    assert sum(row.multiply_adds for row in found.rows) == multiply_adds


def test_what_vgg16_sees() -> None:
    # Araujo, Norris & Sim 2019, doi:10.23915/distill.00021, table 1: field 212, stride 32, padding 90.
    maps = [row for row in surveyed(model(*vgg16()), (224, 224, 3)) if len(row.output.shape) == 3]
    field = maps[-1].output.fields[0]
    assert (field.size, field.stride, field.padding) == (212, 32, 90)
