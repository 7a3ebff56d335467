"""Convolutions with a table of connections against ordinary ones with zeros in their kernel, and the paper's counts."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import check_gradients, drawn, normal, output, told

from runner.layers.conv import Conv
from runner.layers.partial import PartialConv, PositionBias

# Table I of LeCun, Bottou, Bengio & Haffner 1998, column by column.
TABLE: Any = (
    *((first, (first + 1) % 6, (first + 2) % 6) for first in range(6)),
    *((first, (first + 1) % 6, (first + 2) % 6, (first + 3) % 6) for first in range(6)),
    *((0, 1, 3, 4), (1, 2, 4, 5), (0, 2, 3, 5), (0, 1, 2, 3, 4, 5)),
)


def test_the_published_count_of_lenet5() -> None:
    layer = PartialConv(connections=TABLE, kernel_size=5)
    assert layer.parameter_count((14, 14, 6)) == 1_516
    assert layer.output_shape((14, 14, 6)) == (10, 10, 16)
    assert layer.multiply_adds((14, 14, 6)) == 1_500 * 10 * 10


@pytest.mark.parametrize("table", [((0, 2), (1,), (2, 0, 1)), ((1,),) * 4], ids=str)
def test_what_a_filter_does_not_see_has_weight_zero(table: Any) -> None:
    layer = PartialConv(connections=table, kernel_size=(3, 2), stride=2, padding=1)
    params, _ = drawn(layer, (6, 5, 3))
    kernel = np.zeros((3, 2, 3, len(table)), np.float32)
    pairs = [(seen, number) for number, channels in enumerate(table) for seen in channels]
    for position, (seen, number) in enumerate(pairs):
        kernel[:, :, seen, number] = params["kernel"][:, :, 0, position]
    whole = Conv(filters=len(table), kernel_size=(3, 2), stride=2, padding=1)
    x = normal(2, 6, 5, 3)
    expected = output(whole, x, {"kernel": jnp.asarray(kernel), "bias": params["bias"]}, {})
    np.testing.assert_allclose(output(layer, x, params, {}), expected, rtol=1e-6)


def test_one_axis() -> None:
    layer = PartialConv(connections=((0,), (0, 1)), kernel_size=3)
    assert output(layer, normal(2, 9, 2)).shape == (2, 7, 2)


def test_outputs_begin_with_the_variance_of_the_input() -> None:
    layer = PartialConv(connections=TABLE, kernel_size=5)
    y = output(layer, normal(64, 14, 14, 6))
    assert float(jnp.std(y)) == pytest.approx(1.0, rel=0.2)


@pytest.mark.slow
def test_gradients() -> None:
    layer = PartialConv(connections=((0,), (0, 1)), kernel_size=2)
    params, _ = drawn(layer, (3, 3, 2))
    check_gradients(lambda params, x: output(layer, x, params, {}), params, normal(2, 3, 3, 2))


def test_a_bias_of_every_position() -> None:
    layer = PositionBias()
    bias = normal(4, 3, 2)
    x = normal(5, 4, 3, 2, seed=1)
    np.testing.assert_array_equal(output(layer, x, {"bias": bias}, {}), np.asarray(x) + np.asarray(bias)[None])
    assert layer.parameter_count((8, 8, 12)) == 768
    assert not jax.tree.leaves(jax.tree.map(lambda parameter: parameter.decays or None, layer.parameters((2, 2, 1))))


@pytest.mark.parametrize(
    ("layer", "expected"),
    [
        (
            {"partial_conv": {"kernel_size": 3, "connections": [[0], [1, 3]]}},
            "partial_conv.connections[1]: must name channels of the input, 0 … 2, each once, got [1, 3]",
        ),
        (
            {"partial_conv": {"kernel_size": 3, "connections": [[0, 0]]}},
            "partial_conv.connections[0]: must name channels of the input, 0 … 2, each once, got [0, 0]",
        ),
        (
            {"partial_conv": {"kernel_size": 3, "connections": [[]]}},
            "partial_conv.connections[0]: must have at least 1 entry, got []",
        ),
        (
            {"partial_conv": {"kernel_size": 3, "connections": []}},
            "partial_conv.connections: must have at least 1 entry, got []",
        ),
        (
            {"partial_conv": {"kernel_size": 9, "connections": [[0]]}},
            "partial_conv.kernel_size: must fit the 8×8×3 input, got 9×9",
        ),
    ],
)
def test_faults(layer: Any, expected: str) -> None:
    assert told(layer, "flatten", "classifier") == [f"model.layers[0].{expected}"]
