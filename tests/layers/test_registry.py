"""The kinds that YAML can name, the forms of an entry, and what holds for every kind alike."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from alone import KEY, drawn, evaluated_shape, normal, told
from layer_kinds import REQUIRED, SHAPES, TOKENS
from pydantic import TypeAdapter

from runner.errors import shown
from runner.layers import KINDS, LayerList, flattened
from runner.layers.base import Layer, Precision, Shape
from runner.layers.conv import Conv
from runner.layers.listed import Repeat
from runner.layers.passes import Pass
from runner.records import frozen

EVERYDAY = {
    *("conv", "max_pool", "avg_pool", "sum_pool", "global_avg_pool", "global_max_pool", "relu", "tanh", "sigmoid"),
    *("leaky_relu", "elu", "gelu", "silu", "softmax", "dense", "classifier", "flatten", "dropout", "batch_norm"),
    *("layer_norm", "local_response_norm", "repeat", "prelu", "hard_swish", "mish"),
    *("group_norm", "instance_norm", "spatial_dropout", "stochastic_depth"),
    *("adaptive_avg_pool", "adaptive_max_pool", "conv_transpose"),
}


def entries(*layers: Any) -> tuple[Layer, ...]:
    parsed: tuple[Layer, ...] = TypeAdapter(LayerList).validate_python(frozen(list(layers)))
    return parsed


def one(kind: str, precision: Precision = "float32") -> tuple[Layer, Shape]:
    """A layer of this kind, and a shape that it takes."""
    [layer] = entries({kind: REQUIRED.get(kind, {})})
    return layer.bind(10, 7, precision), SHAPES.get(kind, (6, 5, 4))


def batch(kind: str, shape: Shape, dtype: Any = jnp.float32) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((2, *shape), jnp.int32 if kind in TOKENS else dtype)


def test_every_everyday_layer_is_there() -> None:
    assert set(KINDS) >= EVERYDAY


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_inferred_is_what_happens(kind: str) -> None:
    layer, shape = one(kind)
    taken = batch(kind, shape).dtype
    assert evaluated_shape(layer, shape, taken, gives=jnp.float32) == layer.output_shape(shape)
    params, statistics = jax.eval_shape(lambda: drawn(layer, shape))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == layer.parameter_count(shape)
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves((params, statistics)))
    after = jax.eval_shape(
        lambda p, s, x: layer.apply(p, s, x, Pass(training=True, key=KEY))[1], params, statistics, batch(kind, shape)
    )
    assert jax.tree.structure({name: after[name] for name in statistics}) == jax.tree.structure(statistics)


@pytest.mark.parametrize("kind", KINDS)
def test_bfloat16_computes_in_bfloat16_and_measures_in_float32(kind: str) -> None:
    layer, shape = one(kind, "bfloat16")
    params, statistics = jax.eval_shape(lambda: drawn(layer, shape))
    y, after = jax.eval_shape(
        lambda p, s, x: layer.apply(p, s, x, Pass(training=True, key=KEY)),
        params,
        statistics,
        batch(kind, shape, jnp.bfloat16),
    )
    assert y.dtype == jnp.bfloat16
    assert all(leaf.dtype == jnp.float32 for name in statistics for leaf in jax.tree.leaves(after[name]))


@pytest.mark.parametrize("kind", ["conv", "conv_transpose", "dense", "batch_norm", "max_pool", "repeat"])
def test_a_map_over_parameters_is_a_loop_over_them(kind: str) -> None:
    layer, shape = one(kind)
    x = normal(2, *shape)
    members = [jax.tree.map(lambda leaf, by=by: leaf + by, drawn(layer, shape)) for by in (0.0, 0.1)]

    def run(member: Any) -> Any:
        return layer.apply(*member, x, Pass(training=True, key=KEY))

    mapped = jax.vmap(run, axis_size=2)(jax.tree.map(lambda *leaves: jnp.stack(leaves), *members))
    for index, member in enumerate(members):
        alone = run(member)
        jax.tree.map(
            lambda a, b, index=index: np.testing.assert_allclose(a[index], b, rtol=1e-4, atol=1e-5), mapped, alone
        )


@pytest.mark.parametrize("kind", KINDS)
def test_a_record_says_what_it_is(kind: str) -> None:
    layer = KINDS[kind]
    assert layer.__doc__
    assert all(field.description for field in layer.model_fields.values()), kind
    assert hash(one(kind)[0]) == hash(one(kind)[0])


# The forms of an entry


def test_a_word_a_key_and_a_record_are_one_layer() -> None:
    relu = KINDS["relu"]()
    assert entries("relu", {"relu": None}, {"relu": {}}, relu) == (relu,) * 4


def test_lists_within_the_list_stand_for_their_entries() -> None:
    assert [layer.kind for layer in entries("relu", [["tanh"], "elu", []], [])] == ["relu", "tanh", "elu"]
    assert flattened("relu") == "relu"
    [repeat] = entries({"repeat": {"times": 1, "layers": [["relu", ["tanh"]]]}})
    assert isinstance(repeat, Repeat)
    assert [layer.kind for layer in repeat.layers] == ["relu", "tanh"]


def test_lists_become_tuples_so_that_a_layer_can_key_a_program() -> None:
    [conv] = entries({"conv": {"filters": 1, "kernel_size": [3, 5], "padding": [[0, 1], [2, 3]]}})
    assert conv == Conv(filters=1, kernel_size=(3, 5), padding=((0, 1), (2, 3)))
    assert {conv: 1}[Conv(filters=1, kernel_size=(3, 5), padding=((0, 1), (2, 3)))] == 1


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("cnov", 'unknown layer "cnov"; did you mean "conv"?'),
        ({"maxpool": {"size": 2}}, 'unknown layer "maxpool"; did you mean "max_pool"?'),
        ("xyzzy", 'unknown layer "xyzzy"'),
        (3, "must be a kind of layer or a mapping from one to its arguments, got 3"),
        (None, "must be a kind of layer or a mapping from one to its arguments, got null"),
        ({1: 2}, "must be a kind of layer or a mapping from one to its arguments, got {1: 2}"),
        (
            {"relu": {}, "tanh": {}},
            "must have one key, the kind of layer (in an override, [{tanh: …}] replaces a layer, and a mapping adds to "
            "it), got {relu: {}, tanh: {}}",
        ),
        (
            {"conv": None, "filters": 6},
            "must have one key, the kind of layer, with its arguments inside it (conv: {filters: 6}), "
            "got {conv: null, filters: 6}",
        ),
        ({}, "must have one key, the kind of layer, got {}"),
    ],
    ids=str,
)
def test_faults_of_an_entry(entry: Any, expected: str) -> None:
    assert told("relu", entry, "flatten", "classifier") == [f"model.layers[1]: {expected}"]


# For an entry without a mapping, the form that is shown in its place.
FORMS = {
    "max_pool": (2, "{size: 2}"),
    "conv": ([3, 5], "{filters: 16, kernel_size: [3, 5]}"),
    "conv_transpose": ([3, 5], "{filters: 16, kernel_size: [3, 5]}"),
    "adaptive_avg_pool": (3, "{size: 3}"),
    "adaptive_max_pool": ([3, 2], "{size: [3, 2]}"),
    "dropout": (0.5, "{rate: 0.5}"),
    "dense": (84, "{units: 84}"),
    "classifier": (10, "{classes: 10}"),
    "embedding": (64, "{dim: 64}"),
    "pad_channels": (8, "{channels: 8}"),
    "repeat": (3, "{times: 3, layers: [relu]}"),
    "residual": (["tanh"], "{layers: [tanh]}"),
    "dense_connection": (["tanh"], "{layers: [tanh]}"),
    "auxiliary": ("x", "{layers: [flatten, classifier]}"),
    "branches": ([["tanh"], []], "{paths: [[tanh], []]}"),
    "partial_conv": (5, "{connections: [[0, 1]], kernel_size: 5}"),
}


@pytest.mark.parametrize("kind", FORMS)
def test_the_form_of_arguments_is_shown_and_is_valid(kind: str) -> None:
    got, form = FORMS[kind]
    [line] = [line for line in told({kind: got}) if f".{kind}: " in line]
    assert line == f"model.layers[0].{kind}: must be a mapping such as {form}, got {shown(got)}"
    entries({kind: yaml.safe_load(form)})


def test_every_kind_that_needs_arguments_shows_a_form() -> None:
    needy = [kind for kind, layer in KINDS.items() if any(field.is_required() for field in layer.model_fields.values())]
    assert set(needy) <= set(FORMS) | {"avg_pool", "sum_pool", "subsampling"}  # which are like max_pool


def test_every_fault_is_told_at_once() -> None:
    lines = told({"conv": {"filters": 0, "kernel_size": 0}}, "rellu", {"dropout": {"rate": 2}})
    assert lines == [
        "model.layers[0].conv.filters: must be ≥ 1, got 0",
        "model.layers[0].conv.kernel_size: must be ≥ 1, got 0",
        'model.layers[1]: unknown layer "rellu"; did you mean "relu"?',
        "model.layers[2].dropout.rate: must be < 1, got 2",
    ]


def test_what_only_follows_from_a_window_that_does_not_fit_is_not_told() -> None:
    pool: dict[str, Any] = {"max_pool": {"size": 3}}
    assert told(pool, pool, pool, "flatten", "classifier") == [
        "model.layers[1].max_pool.size: must fit the 2×2×3 input, got 3×3"
    ]
    # But one that the image itself has no room for is wrong in any case.
    assert told(pool, pool, {"max_pool": {"size": 9}}, "flatten", "classifier") == [
        "model.layers[1].max_pool.size: must fit the 2×2×3 input, got 3×3",
        "model.layers[2].max_pool.size: must fit the 2×2×3 input, got 9×9",
    ]


def test_the_declared_layer_without_an_application_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"Layer\.apply"):
        Layer().apply({}, {}, jnp.zeros(1), Pass(training=True, key=KEY))
