"""Adaptive pooling against PyTorch, and its bins and receptive fields pixel by pixel."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import evaluated_shape, normal, output, told
from hypothesis import given, settings
from hypothesis import strategies as st

from runner.geometry import ReceptiveField, Window, bins
from runner.layers.adaptive import AdaptiveAvgPool, AdaptiveMaxPool
from runner.layers.base import FeatureMap, Shape
from runner.layers.pool import AvgPool, GlobalAvgPool, GlobalMaxPool

BOTH = (AdaptiveAvgPool, AdaptiveMaxPool)
CASES: list[tuple[Shape, Any]] = [
    ((8, 6), 2),  # equal bins
    ((7, 9), (3, 4)),  # bins that share pixels
    ((7, 8), (3, 4)),  # equal bins along one axis only
    ((5, 4), (7, 3)),  # more bins than pixels
    ((11,), 4),
    ((12,), (4,)),
    ((3, 3), 1),
]


@pytest.mark.parametrize("kind", BOTH, ids=lambda kind: kind.kind)
@pytest.mark.parametrize(("spatial", "size"), CASES, ids=str)
def test_values_and_gradients_are_those_of_pytorch(kind: Any, spatial: Shape, size: Any) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    name = f"{kind.kind.removesuffix('_pool')}_pool{len(spatial)}d"
    layer, x = kind(size=size), normal(2, *spatial, 3)
    if kind is AdaptiveMaxPool:
        x = jnp.round(x)  # with equal values, of which the first one gets the gradient
    first = torch.tensor(np.moveaxis(np.asarray(x), -1, 1).copy(), requires_grad=True)
    theirs = getattr(torch.nn.functional, name)(first, size)
    expected = np.moveaxis(theirs.detach().numpy(), 1, -1)
    g = np.asarray(normal(*expected.shape, seed=1))
    theirs.backward(torch.tensor(np.moveaxis(g, -1, 1).copy()))

    @jax.jit
    def both(x: jax.Array) -> Any:
        y, pull = jax.vjp(lambda x: output(layer, x, {}, {}, training=True), x)
        return y, pull(jnp.asarray(g))[0]

    y, by_x = both(x)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(by_x, np.moveaxis(first.grad.numpy(), 1, -1), rtol=1e-5, atol=1e-6)
    assert layer.output_shape((*spatial, 3)) == y.shape[1:]


@given(size=st.integers(1, 12), length=st.integers(1, 20))
@settings(max_examples=25)
def test_bins_are_those_of_pytorch(size: int, length: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    x = torch.eye(length)[:, None]  # a signal for each pixel
    theirs = torch.nn.functional.adaptive_avg_pool1d(x, size)[:, 0].numpy() > 0
    assert [np.flatnonzero(column).tolist() for column in theirs.T] == [list(own) for own in bins(length, size)]


@given(height=st.integers(1, 12), width=st.integers(1, 12), size=st.tuples(st.integers(1, 15), st.integers(1, 15)))
@settings(max_examples=25)
def test_what_is_inferred_is_what_happens(height: int, width: int, size: tuple[int, int]) -> None:
    for kind in BOTH:
        layer, shape = kind(size=size), (height, width, 3)
        assert evaluated_shape(layer, shape) == layer.output_shape(shape) == (*size, 3)


def test_one_bin_is_global_and_equal_bins_are_a_pool() -> None:
    x = normal(2, 6, 8, 3)
    for adaptive, whole in ((AdaptiveAvgPool(size=1), GlobalAvgPool()), (AdaptiveMaxPool(size=1), GlobalMaxPool())):
        np.testing.assert_allclose(output(adaptive, x)[:, 0, 0], output(whole, x), rtol=1e-6, atol=1e-7)
    expected = output(AvgPool(size=(3, 2)), x)
    np.testing.assert_allclose(output(AdaptiveAvgPool(size=(2, 4)), x), expected, rtol=1e-6, atol=1e-7)


@given(
    before=st.builds(Window, size=st.integers(1, 3), stride=st.integers(1, 2), dilation=st.integers(1, 2)),
    upsampled=st.sampled_from([1, 2, 3]),
    length=st.integers(6, 20),
    size=st.integers(1, 9),
)
def test_receptive_fields_are_the_pixels_of_the_bins(before: Window, upsampled: int, length: int, size: int) -> None:
    touched = np.eye(length, dtype=bool)
    touched = np.stack(
        [
            touched[i * before.stride :][: before.extent : before.dilation].any(0)
            for i in range(before.output_size(length))
        ]
    ).repeat(upsampled, axis=0)
    at = FeatureMap((len(touched), 3), (ReceptiveField().through(before).upsampled(upsampled),))
    [field] = AdaptiveAvgPool(size=size).output_fields(at)
    for position, own in enumerate(bins(len(touched), size)):
        seen = np.flatnonzero(touched[own.start : own.stop].any(0))
        assert (field.first(position), field.last(position)) == (seen[0], seen[-1])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"size": 0}, "size: must be ≥ 1, got 0"),
        ({"size": [2]}, "size: must give one value for each of 2 axes, got [2]"),
        ({"size": 70_000}, "size: must be ≤ 65536, got 70000"),
        ({"size": 4099}, "size: must come to at most 1,024 with the upsamplings before it, got 4099"),
        ({}, "size: must be given, got nothing"),
        ({"output_size": 7}, 'output_size: unknown key "output_size"; did you mean "size"?'),
    ],
    ids=str,
)
def test_faults(arguments: dict[str, Any], expected: str) -> None:
    for kind in ("adaptive_avg_pool", "adaptive_max_pool"):
        found = told({kind: arguments}, "flatten", "classifier")
        assert f"model.layers[0].{kind}.{expected}" in found


def test_a_flat_input_has_no_axes_to_pool() -> None:
    [line] = told("flatten", {"adaptive_avg_pool": {"size": 1}}, "classifier")
    assert line == "model.layers[1].adaptive_avg_pool: must have an input of one or two spatial axes, got 192"
