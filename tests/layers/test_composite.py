"""Layers that hold layers: a repetition is what writing its layers out would be, with parameters of their own."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, normal, told

from runner.layers.base import Layer, Shape
from runner.layers.passes import Pass
from runner.model import Model
from runner.network import Network
from runner.records import frozen

BODY: list[Any] = [{"conv": {"filters": 3, "kernel_size": 3, "padding": 1}}, "batch_norm", "relu", {"dropout": {}}]


def network(*layers: Any, shape: Shape = (6, 6, 3)) -> Network:
    return Model.model_validate(frozen({"name": "composite", "layers": list(layers)})).bind(shape, 10)


def same(found: Any, expected: Any) -> None:
    """Equal in every array, whatever the names under which they are held."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_array_equal(a, b)


def named(tree: Any, name: str) -> list[jax.Array]:
    return [leaf for path, leaf in jax.tree.leaves_with_path(tree) if name in jax.tree_util.keystr(path)]


def test_a_repetition_is_its_layers_written_out() -> None:
    repeated, written = network({"repeat": {"times": 3, "layers": BODY}}), network(*BODY * 3)
    params, statistics = written.init(KEY)
    own_params, own_statistics = repeated.init(KEY)
    assert list(own_params) == list(own_statistics) == ["0_repeat"]
    same((own_params, own_statistics), (params, statistics))
    x = normal(2, 6, 6, 3)
    expected, after = written.apply(params, statistics, x, Pass(training=False, key=KEY))
    found, own_after = repeated.apply(own_params, own_statistics, x, Pass(training=False, key=KEY))
    same((found, own_after), (expected, after))


@pytest.mark.slow
def test_every_copy_has_parameters_statistics_and_a_key_of_its_own() -> None:
    net = network({"repeat": {"times": 2, "layers": BODY}}, shape=(4, 4, 3))
    params, statistics = net.init(KEY)
    first, second = named(params, "kernel")
    assert not np.array_equal(first, second)
    _, after = net.apply(params, statistics, normal(2, 4, 4, 3), Pass(training=True, key=KEY))
    first, second = named(after, "mean")
    assert not np.array_equal(first, second)

    dropouts = network({"repeat": {"times": 2, "layers": [{"dropout": {"rate": 0.5}}]}})
    kept, _ = dropouts.apply({}, {}, jnp.ones((1, 40, 40, 1)), Pass(training=True, key=KEY))
    assert float(jnp.mean(kept > 0)) == pytest.approx(0.25, abs=0.06)  # one mask twice would keep a half


def test_counts_are_those_of_every_copy() -> None:
    [repeat] = network({"repeat": {"times": 3, "layers": BODY}}).layers
    conv = 3 * 3 * 3 * 3 + 3
    assert repeat.parameter_count((6, 6, 3)) == 3 * (conv + 6)
    assert repeat.multiply_adds((6, 6, 3)) == 3 * 36 * 81
    halving = network({"repeat": {"times": 3, "layers": [{"max_pool": {"size": 2}}]}})
    assert halving.layers[0].output_shape((16, 24, 5)) == (2, 3, 5)


def test_rows_are_those_of_every_copy_under_one_path() -> None:
    twice = {"repeat": {"times": 2, "layers": [{"conv": {"filters": 4, "kernel_size": 3}}, "relu"]}}
    rows = network(twice, shape=(9, 9, 1)).rows
    path = "model.layers[0].repeat.layers"
    assert [row.path for row in rows] == [f"{path}[0].conv", f"{path}[1].relu"] * 2
    assert [row.output.shape for row in rows] == [(7, 7, 4), (7, 7, 4), (5, 5, 4), (5, 5, 4)]
    assert [row.parameters for row in rows] == [3 * 3 * 1 * 4 + 4, 0, 3 * 3 * 4 * 4 + 4, 0]
    assert [row.output.fields[0].size for row in rows] == [3, 3, 5, 5]


def test_repetitions_nest_and_hold_a_classifier() -> None:
    inner = {"repeat": {"times": 2, "layers": [{"conv": {"filters": 2, "kernel_size": 1}}]}}
    net = network(
        {"repeat": {"times": 2, "layers": [inner, "relu"]}},
        "flatten",
        {"repeat": {"times": 1, "layers": ["classifier"]}},
        shape=(2, 2, 1),
    )
    assert [row.kind for row in net.rows] == ["conv", "conv", "relu"] * 2 + ["flatten", "classifier"]
    assert net.rows[0].path == "model.layers[0].repeat.layers[0].repeat.layers[0].conv"
    params, statistics = net.init(KEY)
    assert net.apply(params, statistics, normal(3, 2, 2, 1), Pass(training=True, key=KEY))[0].shape == (3, 10)


def test_traced_fields_within_are_arguments_of_the_program() -> None:
    traces = []

    @jax.jit
    def run(layer: Layer) -> jax.Array:
        traces.append(layer.kind)
        return layer.apply({}, {}, jnp.ones((1, 20, 20, 1)), Pass(training=True, key=KEY))[0]

    for rate in (0.2, 0.4):
        run(network({"repeat": {"times": 2, "layers": [{"dropout": {"rate": rate}}]}}).layers[0])
    assert traces == ["repeat"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"times": -1, "layers": ["relu"]}, ["repeat.times: must be ≥ 0, got -1"]),
        ({"times": 2}, ["repeat.layers: must be given, got nothing"]),
        ({"times": 2, "layers": "relu"}, ["repeat.layers: must be a list, got relu"]),
        (
            {"times": 2, "layers": ["relu", "cnov"]},
            ['repeat.layers[1]: unknown layer "cnov"; did you mean "conv"?'],
        ),
        (  # what is wrong in every copy is told once
            {"times": 3, "layers": [{"conv": {"filters": 5, "kernel_size": 1, "groups": 2}}]},
            ["repeat.layers[0].conv.groups: must divide the input's channels, 3, got 2"],
        ),
        (  # the third copy is the first that does not fit, and the fourth only follows from it
            {"times": 4, "layers": [{"max_pool": {"size": 3, "stride": 2}}]},
            ["repeat.layers[0].max_pool.size: must fit the 1×1×3 input, got 3×3"],
        ),
    ],
)
def test_faults(arguments: dict[str, Any], expected: list[str]) -> None:
    assert told({"repeat": arguments}, "flatten", "classifier") == [f"model.layers[0].{line}" for line in expected]
