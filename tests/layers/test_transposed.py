"""Transposed convolution against PyTorch, TensorFlow's rule for padding same, and the transpose of our own conv."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import drawn, evaluated_shape, normal, output, told
from configurations import here
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from runner.compiling import compiler_options
from runner.geometry import ReceptiveField, Transposed, Window
from runner.layers.base import Misfit, Shape
from runner.layers.conv import Conv
from runner.layers.initializers import initializer
from runner.layers.transposed import ConvTranspose
from runner.ops.lowering import Choice, lowered

CASES: list[tuple[Shape, dict[str, Any]]] = [
    ((5, 4), {"kernel_size": 3}),
    ((5, 4), {"kernel_size": 4, "stride": 2, "padding": 1}),  # twice as large, the usual one
    ((5, 4), {"kernel_size": (2, 3), "stride": (3, 2), "padding": (0, 1), "output_padding": (2, 1)}),
    ((5, 4), {"kernel_size": 3, "stride": 2, "dilation": 2, "padding": 2, "output_padding": 1, "groups": 2}),
    ((3, 3), {"kernel_size": 1, "stride": 3, "use_bias": False}),  # a filter smaller than the stride
    ((3, 3), {"kernel_size": 3, "groups": 4}),
    ((7,), {"kernel_size": 5, "stride": 3, "padding": 2, "groups": 2}),
    ((6,), {"kernel_size": 2, "stride": 2}),
]


@pytest.mark.parametrize(
    "choice", ["auto", *(pytest.param(other, marks=pytest.mark.slow) for other in ("portable", "reference"))]
)
@pytest.mark.parametrize(("spatial", "arguments"), CASES, ids=str)
def test_values_and_gradients_are_those_of_pytorch(spatial: Shape, arguments: dict[str, Any], choice: Choice) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    layer = ConvTranspose(filters=8, bias_init=initializer("normal", stddev=1.0), **arguments)
    x = normal(2, *spatial, 4)
    params, _ = drawn(layer, x.shape[1:])
    names = ("stride", "padding", "output_padding", "groups", "dilation")
    given = {name: arguments[name] for name in names if name in arguments}
    tensors = [
        torch.tensor(np.moveaxis(np.asarray(array), axes, ends).copy(), requires_grad=True)
        for array, axes, ends in ((x, -1, 1), (params["kernel"], (-1, -2), (0, 1)))
    ]
    bias = torch.tensor(np.asarray(params["bias"]), requires_grad=True) if layer.use_bias else None
    theirs = getattr(torch.nn.functional, f"conv_transpose{len(spatial)}d")(*tensors, bias, **given)
    expected = np.moveaxis(theirs.detach().numpy(), 1, -1)
    assert layer.output_shape(x.shape[1:]) == expected.shape[1:]
    g = normal(*expected.shape, seed=1)
    theirs.backward(torch.tensor(np.moveaxis(np.asarray(g), -1, 1).copy()))

    def both(params: Any, x: jax.Array) -> Any:
        with lowered(choice):
            y, pull = jax.vjp(lambda params, x: output(layer, x, params, {}, training=True), params, x)
            return y, pull(g)

    y, (by_params, by_x) = jax.jit(both, compiler_options=compiler_options(here()))(params, x)
    close = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(y, expected, **close)  # type: ignore[arg-type]
    np.testing.assert_allclose(by_x, np.moveaxis(tensors[0].grad.numpy(), 1, -1), **close)  # type: ignore[arg-type]
    by_kernel = np.moveaxis(tensors[1].grad.numpy(), (0, 1), (-1, -2))
    np.testing.assert_allclose(by_params["kernel"], by_kernel, **close)  # type: ignore[arg-type]
    if bias is not None:
        np.testing.assert_allclose(by_params["bias"], bias.grad.numpy(), **close)  # type: ignore[arg-type]


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_padding_same_is_that_of_tensorflow(size: int, stride: int) -> None:
    layer = ConvTranspose(filters=2, kernel_size=size, stride=stride, padding="same")
    x = normal(1, 4, 5, 3)
    params, _ = drawn(layer, (4, 5, 3))
    # Keras and TensorFlow: the gradient of a convolution with padding same, of an input `stride` times as large.
    wide = jnp.zeros((1, 4 * stride, 5 * stride, 2))
    forward = lambda y: lax.conv_general_dilated(  # noqa: E731
        y, params["kernel"], (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    (expected,) = jax.vjp(forward, wide)[1](x)
    np.testing.assert_allclose(output(layer, x, params, {}), expected, rtol=1e-4, atol=1e-5)


def test_it_is_the_transpose_of_a_convolution() -> None:
    back = Conv(filters=4, kernel_size=3, stride=2, padding=1, use_bias=False)
    layer = ConvTranspose(filters=3, kernel_size=3, stride=2, padding=1, use_bias=False)
    x, y = normal(2, 5, 4, 4), normal(2, 9, 7, 3, seed=1)
    params, _ = drawn(layer, (5, 4, 4))
    assert layer.output_shape((5, 4, 4)) == (9, 7, 3)
    assert params["kernel"].shape == drawn(back, (9, 7, 3))[0]["kernel"].shape
    ours, theirs = jnp.vdot(output(layer, x, params, {}), y), jnp.vdot(x, output(back, y, params, {}))
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)


numbers = st.integers(1, 4)


@given(
    length=st.integers(1, 9),
    arguments=st.fixed_dictionaries(
        {
            "kernel_size": numbers,
            "stride": numbers,
            "dilation": st.integers(1, 3),
            "padding": st.one_of(st.sampled_from(["valid", "same"]), st.integers(0, 4), st.just(((0, 2),))),
            "output_padding": st.integers(0, 2),
        }
    ),
)
@settings(max_examples=25)
def test_what_is_inferred_is_what_happens_in_jax_and_in_pytorch(length: int, arguments: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    layer, shape = ConvTranspose(filters=2, **arguments), (length, 1)
    try:
        inferred = layer.output_shape(shape)
    except Misfit:
        return
    assert evaluated_shape(layer, shape) == inferred
    if isinstance(arguments["padding"], int):
        module = torch.nn.ConvTranspose1d(1, 2, **arguments)
        assert module(torch.zeros(1, 1, length)).shape[-1] == inferred[0]


@given(
    window=st.builds(
        Window, st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(0, 2), st.integers(0, 2)
    ),
    added=st.integers(0, 2),
    before=st.builds(Window, size=st.integers(1, 3), stride=st.integers(1, 2)),
    after=st.builds(Window, size=st.integers(1, 4), stride=st.integers(1, 3)),
)
def test_receptive_fields_are_the_pixels_that_reach_a_position(
    window: Window, added: int, before: Window, after: Window
) -> None:
    by, length = Transposed(window, min(added, window.stride - 1)), 24
    first = np.stack([np.eye(length, dtype=bool)[i * before.stride :][: before.size].any(0) for i in range(10)])
    size = by.output_size(len(first))
    whole = np.zeros((window.low + size + window.high + window.extent, length), bool)
    for i, pixels in enumerate(first):
        whole[i * window.stride :][: window.extent : window.dilation] |= pixels
    touched = whole[window.low :][:size]
    fields = [ReceptiveField().through(before).transposed(by, len(first))]
    maps = [touched]
    if after.output_size(size) > 1:
        fields.append(fields[0].through(after, size))
        windows = [touched[i * after.stride :][: after.size] for i in range(after.output_size(size))]
        maps.append(np.stack([own.any(0) for own in windows]))
    for field, seen in zip(fields, maps, strict=True):
        for position, pixels in enumerate(seen):
            found, ends = np.flatnonzero(pixels), (field.first(position), field.last(position))
            if ends[0] < 0 or ends[1] >= first[-1].nonzero()[0][-1] or not len(found):
                assert all(ends[0] <= pixel <= ends[1] for pixel in found)
            else:
                assert ends == (found[0], found[-1])


def test_costs_and_parameters_by_hand() -> None:
    layer = ConvTranspose(filters=6, kernel_size=(3, 5), stride=2, groups=2)
    params, _ = drawn(layer, (8, 9, 4))
    assert params["kernel"].shape == (3, 5, 3, 4)
    assert layer.parameter_count((8, 9, 4)) == 3 * 5 * 3 * 4 + 6
    assert layer.multiply_adds((8, 9, 4)) == 8 * 9 * 4 * 3 * 5 * 3  # every value times every weight of its group
    assert {name: own.decays for name, own in layer.parameters((8, 9, 4)).items()} == {"kernel": True, "bias": False}


def test_filters_as_many_as_classes_and_a_width() -> None:
    layer = ConvTranspose(filters="classes", kernel_size=2, stride=2)
    assert layer.bind(7).output_shape((4, 4, 3)) == (8, 8, 7)
    depthwise = ConvTranspose(filters=4, kernel_size=2, groups=4).widened(2)
    assert (depthwise.filters, depthwise.groups) == (8, 8)


FORMS = "must be valid, same, pixels, [h, w] or [[top, bottom], [left, right]]"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"stride": 0}, "stride: must be ≥ 1, got 0"),
        ({"padding": "full"}, f"padding: {FORMS}, got full"),
        ({"padding": 5}, "padding: must leave at least 1 pixel of the output along each axis, got 5"),
        ({"output_padding": -1}, "output_padding: must be ≥ 0, got -1"),
        ({"output_padding": 1}, "output_padding: must be less than the stride, 1, got 1"),
        ({"stride": [3, 2], "output_padding": 2}, "output_padding: must be less than the stride, 2, got 2"),
        (
            {"stride": 2, "padding": "same", "output_padding": 1},
            "output_padding: must be 0 under padding same, got 1",
        ),
        ({"output_padding": [0]}, "output_padding: must give one value for each of 2 axes, got [0]"),
        ({"groups": 2}, "groups: must divide the input's channels, 3, got 2"),
        ({"groups": 3}, "groups: must divide filters, 4, got 3"),
        ({"stride": 2000}, "stride: must come to at most 1,024 with the upsamplings before it, got 2000"),
        ({"filters": 6, "groups": 3, "kernel_init": "gaussian_blur"}, "groups: must be 1 or as many as channels"),
        ({"padding_mode": "reflect"}, 'padding_mode: unknown key "padding_mode"'),
    ],
    ids=str,
)
def test_faults(arguments: dict[str, Any], expected: str) -> None:
    lines = told({"conv_transpose": {"filters": 4, "kernel_size": 3, **arguments}}, "flatten", "classifier")
    assert len(lines) == 1
    assert lines[0].startswith(f"model.layers[0].conv_transpose.{expected}")


def test_a_window_after_a_fault_is_not_told() -> None:
    lines = told(
        {"conv_transpose": {"filters": 4, "kernel_size": 3, "padding": 5}}, {"max_pool": {"size": 9}}, "flatten"
    )
    assert len(lines) == 1


def test_a_flat_input_has_no_axes() -> None:
    [line] = told("flatten", {"conv_transpose": {"filters": 4, "kernel_size": 3}}, "classifier")
    assert line == "model.layers[1].conv_transpose: must have an input of one or two spatial axes, got 192"
