"""Convolution against NumPy, SciPy, PyTorch, JAX's own shapes and finite differences."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.signal
from alone import check_gradients, drawn, evaluated_shape, normal, output, told
from hypothesis import event, given, settings
from hypothesis import strategies as st

from runner.layers.base import Misfit
from runner.layers.conv import Conv
from runner.layers.initializers import initializer

NUMPY_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def by_loops(x: np.ndarray, kernel: np.ndarray, pads: list[tuple[int, int]], mode: str, layer: Conv) -> np.ndarray:
    """The definition, one output position and filter at a time: `(n, h, w, c)`, `(kh, kw, c / groups, filters)`."""
    x = np.pad(x, [(0, 0), *pads, (0, 0)], mode=NUMPY_MODES[mode])  # type: ignore[call-overload]
    (sh, sw), (dh, dw) = np.broadcast_to(layer.stride, 2), np.broadcast_to(layer.dilation, 2)
    kh, kw, channels, filters = kernel.shape
    height = (x.shape[1] - dh * (kh - 1) - 1) // sh + 1
    width = (x.shape[2] - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((len(x), height, width, filters))
    for i, j, f in itertools.product(range(height), range(width), range(filters)):
        group = f // (filters // layer.groups)
        seen = x[:, i * sh :, j * sw :, group * channels : (group + 1) * channels]
        seen = seen[:, : dh * (kh - 1) + 1 : dh, : dw * (kw - 1) + 1 : dw]
        y[:, i, j, f] = (seen * kernel[..., f]).sum(axis=(1, 2, 3))
    return y


# Shapes


@st.composite
def convolutions(draw: st.DrawFn) -> tuple[Conv, tuple[int, ...]]:
    axes = draw(st.integers(1, 2))

    def per_axis(least: int, most: int) -> Any:
        numbers = st.integers(least, most)
        return numbers | st.tuples(*[numbers] * axes)

    padding = st.sampled_from(["valid", "same", "full", *(["causal"] if axes == 1 else [])])
    pairs = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * axes)
    groups = draw(st.integers(1, 3))
    layer = Conv(
        filters=groups * draw(st.integers(1, 2)),
        kernel_size=draw(per_axis(1, 4)),
        stride=draw(per_axis(1, 3)),
        dilation=draw(per_axis(1, 3)),
        padding=draw(padding | per_axis(0, 3) | pairs),
        padding_mode=draw(st.sampled_from(list(NUMPY_MODES))),
        groups=groups,
        use_bias=draw(st.booleans()),
        kernel_init=initializer("ones"),
    )
    return layer, (*draw(st.tuples(*[st.integers(1, 9)] * axes)), groups * draw(st.integers(1, 2)))


@given(convolutions())
@settings(max_examples=150)
def test_the_inferred_shape_is_that_of_jax(case: tuple[Conv, tuple[int, ...]]) -> None:
    layer, shape = case
    fault = refusal(layer, shape)
    event(fault.split(" ")[0])
    if not fault:
        inferred = layer.output_shape(shape)
        assert evaluated_shape(layer, shape) == inferred
        assert min(inferred) >= 1
    else:
        assert fault.startswith(("kernel_size: fit the ", "padding: be at most "))


def refusal(layer: Conv, shape: tuple[int, ...]) -> str:
    try:
        layer.output_shape(shape)
    except Misfit as misfit:
        return f"{misfit.field}: {misfit.rule}"
    return ""


@pytest.mark.parametrize("padding", ["valid", "same", "full", 0, 1, 2, (0, 1), ((0, 2), (1, 0))], ids=str)
def test_the_inferred_shape_over_a_grid(padding: Any) -> None:
    for size, kernel_size, stride, dilation in itertools.product((5, 8), (1, 2, 3), (1, 2, 3), (1, 2)):
        layer = Conv(filters=2, kernel_size=kernel_size, stride=stride, dilation=dilation, padding=padding)
        assert evaluated_shape(layer, (size, size + 1, 1)) == layer.output_shape((size, size + 1, 1))


def test_a_series_of_shapes_along_one_axis() -> None:
    for padding, length in (("valid", 6), ("same", 8), ("full", 10), ("causal", 8), (1, 8), ((2,), 10), (((0, 1),), 7)):
        layer = Conv(filters=4, kernel_size=3, padding=padding)
        assert layer.output_shape((8, 2)) == evaluated_shape(layer, (8, 2)) == (length, 4)


# Values


@pytest.mark.parametrize("mode", NUMPY_MODES)
@pytest.mark.parametrize(
    "arguments",
    [
        {"kernel_size": 3},
        {"kernel_size": (2, 3), "stride": (2, 1), "padding": ((0, 1), (2, 1))},
        {"kernel_size": 2, "dilation": (1, 2), "padding": (1, 2), "groups": 2},
    ],
    ids=["plain", "strided", "dilated groups"],
)
def test_values_are_those_of_the_definition(arguments: dict[str, Any], mode: Any) -> None:
    layer = Conv(filters=4, padding_mode=mode, bias_init=initializer("normal", stddev=1.0), **arguments)
    x = normal(2, 5, 6, 4)
    params, _ = drawn(layer, x.shape[1:])
    padding = arguments.get("padding", 0)
    pads = [(p, p) if isinstance(p, int) else p for p in ((padding,) * 2 if isinstance(padding, int) else padding)]
    kernel = np.asarray(params["kernel"], np.float64)
    expected = by_loops(np.asarray(x, np.float64), kernel, pads, mode, layer) + np.asarray(params["bias"])
    np.testing.assert_allclose(output(layer, x, params, {}), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("padding", ["valid", "same", "full"])
def test_values_are_those_of_scipy(padding: Any) -> None:
    layer = Conv(filters=1, kernel_size=(3, 5), padding=padding)
    x = normal(1, 7, 8, 1)
    params, _ = drawn(layer, (7, 8, 1))
    kernel = np.asarray(params["kernel"])[:, :, 0, 0]
    expected = scipy.signal.correlate2d(np.asarray(x)[0, :, :, 0], kernel, mode=padding)
    np.testing.assert_allclose(output(layer, x, params, {})[0, :, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_circular_padding_is_that_of_scipy_wrapped() -> None:
    layer = Conv(filters=1, kernel_size=3, padding=1, padding_mode="circular")
    x = normal(1, 5, 6, 1)
    params, _ = drawn(layer, (5, 6, 1))
    kernel = np.asarray(params["kernel"])[:, :, 0, 0]
    expected = scipy.signal.correlate2d(np.asarray(x)[0, :, :, 0], kernel, mode="same", boundary="wrap")
    np.testing.assert_allclose(output(layer, x, params, {})[0, :, :, 0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "theirs"),
    [
        ({}, {}),
        ({"stride": 2, "padding": 1}, {"stride": 2, "padding": 1}),
        ({"stride": (1, 2), "padding": (2, 0), "dilation": 2}, {"stride": (1, 2), "padding": (2, 0), "dilation": 2}),
        ({"padding": "same", "groups": 2}, {"padding": "same", "groups": 2}),
        ({"groups": 4, "padding": 1}, {"groups": 4, "padding": 1}),
    ],
    ids=["plain", "strided", "dilated", "groups", "depthwise"],
)
def test_values_are_those_of_pytorch(arguments: dict[str, Any], theirs: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    layer = Conv(filters=8, kernel_size=3, **arguments)
    x = normal(2, 7, 9, 4)
    params, _ = drawn(layer, (7, 9, 4))
    kernel = torch.tensor(np.asarray(params["kernel"]).transpose(3, 2, 0, 1))
    expected = torch.nn.functional.conv2d(torch.tensor(np.asarray(x).transpose(0, 3, 1, 2)), kernel, **theirs)
    np.testing.assert_allclose(
        output(layer, x, params, {}), expected.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5
    )


def test_two_axes_of_which_one_is_a_pixel_wide_are_one_axis() -> None:
    shared = {"filters": 3, "stride": 2, "kernel_init": initializer("lecun_normal")}
    along, image = Conv(kernel_size=3, padding=1, **shared), Conv(kernel_size=(3, 1), padding=(1, 0), **shared)  # type: ignore[arg-type]
    x = normal(2, 9, 2)
    params, _ = drawn(along, (9, 2))
    as_image = {"kernel": params["kernel"][:, None], "bias": params["bias"]}
    np.testing.assert_allclose(
        output(along, x, params, {}), output(image, x[:, :, None], as_image, {})[:, :, 0], rtol=1e-5, atol=1e-6
    )


def test_a_causal_convolution_never_sees_what_comes_later() -> None:
    layer = Conv(filters=1, kernel_size=3, dilation=2, padding="causal", kernel_init=initializer("ones"))
    params, _ = drawn(layer, (9, 1))
    jacobian = jax.jacobian(lambda x: output(layer, x.reshape(1, 9, 1), params, {}).reshape(9))(jnp.ones(9))
    np.testing.assert_array_equal(jacobian, np.tril(jacobian))
    assert jacobian[8].tolist() == [0, 0, 0, 0, 1, 0, 1, 0, 1]


# Gradients, costs, precision


@pytest.mark.parametrize(
    "layer",
    [
        Conv(filters=2, kernel_size=3, stride=2, padding="same", bias_init=initializer("normal")),
        Conv(filters=2, kernel_size=2, dilation=2, padding=1, padding_mode="reflect", groups=2),
    ],
    ids=["strided", "dilated groups"],
)
def test_gradients(layer: Conv) -> None:
    x = normal(2, 4, 5, 2)
    params, _ = drawn(layer, (4, 5, 2))
    check_gradients(jax.jit(lambda params, x: output(layer, x, params, {})), params, x)


def test_parameters_and_multiply_adds_by_hand() -> None:
    layer = Conv(filters=16, kernel_size=(3, 5), padding="same", stride=2, groups=2)
    params, _ = drawn(layer, (8, 9, 6))
    assert params["kernel"].shape == (3, 5, 3, 16)
    assert layer.parameter_count((8, 9, 6)) == 3 * 5 * 3 * 16 + 16 == sum(p.size for p in jax.tree.leaves(params))
    assert layer.multiply_adds((8, 9, 6)) == (4 * 5) * 16 * (3 * 5 * 3)
    bare = layer.model_copy(update={"use_bias": False})
    assert set(drawn(bare, (8, 9, 6))[0]) == {"kernel"}
    assert bare.parameter_count((8, 9, 6)) == 3 * 5 * 3 * 16


def test_multiply_adds_are_those_that_xla_counts() -> None:
    layer = Conv(filters=5, kernel_size=3, stride=2, use_bias=False)
    params, _ = drawn(layer, (9, 9, 4))
    lowered = jax.jit(lambda x: output(layer, x, params, {})).lower(jax.ShapeDtypeStruct((1, 9, 9, 4), jnp.float32))
    cost: Any = lowered.cost_analysis()
    assert cost["flops"] == 2 * layer.multiply_adds((9, 9, 4))


def test_only_kernels_decay() -> None:
    parameters = Conv(filters=2, kernel_size=3).parameters((5, 5, 1))
    assert parameters["kernel"].decays
    assert not parameters["bias"].decays


def test_low_precision_in_gives_low_precision_out() -> None:
    assert evaluated_shape(Conv(filters=2, kernel_size=3), (5, 5, 1), jnp.bfloat16) == (3, 3, 2)


# What a user is told


FORMS = "must be valid, same, full, causal, pixels, [h, w] or [[top, bottom], [left, right]]"
NUMBERS = "must be a whole number ≥ 1, or one for each axis as in [3, 3]"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"kernel_size": 0}, "kernel_size: must be ≥ 1, got 0"),
        ({"kernel_size": [3, 0]}, f"kernel_size: {NUMBERS}, got [3, 0]"),
        ({"kernel_size": [3, 3, 3]}, f"kernel_size: {NUMBERS}, got [3, 3, 3]"),
        ({"kernel_size": []}, f"kernel_size: {NUMBERS}, got []"),
        ({"kernel_size": 2.5}, f"kernel_size: {NUMBERS}, got 2.5"),
        ({"kernel_size": True}, f"kernel_size: {NUMBERS}, got true"),
        ({"kernel_size": "three"}, f"kernel_size: {NUMBERS}, got three"),
        ({"kernel_size": 9}, "kernel_size: must fit the 8×8×3 input, got 9×9"),
        ({"dilation": 4}, "kernel_size: must fit the 8×8×3 input, got 9×9"),
        ({"kernel_size": [9]}, "kernel_size: must give one value for each of 2 axes, got [9]"),
        ({"stride": 0}, "stride: must be ≥ 1, got 0"),
        ({"stride": [1]}, "stride: must give one value for each of 2 axes, got [1]"),
        ({"dilation": -1}, "dilation: must be ≥ 1, got -1"),
        ({"padding": "some"}, f"padding: {FORMS}, got some"),
        ({"padding": -1}, f"padding: {FORMS}, got -1"),
        ({"padding": 1.5}, f"padding: {FORMS}, got 1.5"),
        ({"padding": [[1, 2], [3]]}, f"padding: {FORMS}, got [[1, 2], [3]]"),
        ({"padding": [[1, 2], [3, -4]]}, f"padding: {FORMS}, got [[1, 2], [3, -4]]"),
        ({"padding": None}, f"padding: {FORMS}, got null"),
        ({"padding": [1, 1, 1]}, "padding: must give one value for each of 2 axes, got [1, 1, 1]"),
        ({"padding": [[1, 1]]}, "padding: must give one value for each of 2 axes, got [[1, 1]]"),
        ({"padding": "causal"}, "padding: must not be causal over two axes, got causal"),
        (
            {"padding": 8, "padding_mode": "reflect"},
            "padding: must be at most 7 pixels under padding_mode reflect, got 8",
        ),
        (
            {"padding": [0, 9], "padding_mode": "circular"},
            "padding: must be at most 8 pixels under padding_mode circular, got [0, 9]",
        ),
        ({"padding_mode": "mirror"}, "padding_mode: must be one of zeros, reflect, replicate, circular, got mirror"),
        ({"groups": 0}, "groups: must be ≥ 1, got 0"),
        ({"groups": 2}, "groups: must divide the input's channels, 3, got 2"),
        ({"groups": 3}, "groups: must divide filters, 4, got 3"),
        ({"filters": 0}, "filters: must be ≥ 1, got 0"),
        ({"use_bias": 1}, "use_bias: must be true or false, got 1"),
        ({"kernel": 3}, 'kernel: unknown key "kernel"; did you mean "kernel_size"?'),
    ],
)
def test_faults(arguments: dict[str, Any], expected: str) -> None:
    conv = {"conv": {"filters": 4, "kernel_size": 3, **arguments}}
    assert told(conv, "flatten", "classifier") == [f"model.layers[0].conv.{expected}"]


def test_a_flat_input_has_no_axes_to_slide_over() -> None:
    [line] = told("flatten", {"conv": {"filters": 1, "kernel_size": 1}})
    assert line == "model.layers[1].conv: must have an input of one or two spatial axes, got 192"


def test_a_convolution_needs_filters_and_a_size() -> None:
    lines = told({"conv": {}}, "flatten", "classifier")
    assert lines == [f"model.layers[0].conv.{name}: must be given, got nothing" for name in ("filters", "kernel_size")]


def test_filters_as_many_as_classes() -> None:
    last = Conv(filters="classes", kernel_size=1).bind(7)
    assert last.output_shape((5, 4, 3)) == (5, 4, 7)
    assert last.parameter_count((5, 4, 3)) == 7 * 3 + 7
    assert Conv(filters=3, kernel_size=1).bind(7) == Conv(filters=3, kernel_size=1)
    assert told({"conv": {"filters": "classes", "kernel_size": 3}}, "global_avg_pool") == []
    assert told({"conv": {"filters": "class", "kernel_size": 3}}, "global_avg_pool") == [
        "model.layers[0].conv.filters: must be a whole number, got class"
    ]
