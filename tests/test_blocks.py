"""Blocks: what they expand to, how their parameters reach their layers, and every fault of them on one line."""

from typing import Any

import pytest
from block_configurations import CONV, END, config, faults, rows, same_layers
from configurations import parse
from hypothesis import given
from hypothesis import strategies as st

from runner.describe import bound
from runner.errors import ConfigError
from runner.layers.base import Layer

# What a block stands for


def test_a_block_is_its_layers_with_their_values_in_place() -> None:
    same_layers(
        [{"b": {"filters": 4}}, {"b": {"filters": 6, "stride": 2, "activation": "tanh"}}],
        [
            {"conv": {"filters": 4, "kernel_size": 3, "padding": 1}},
            "relu",
            {"conv": {"filters": 6, "kernel_size": 3, "padding": 1, "stride": 2}},
            "tanh",
        ],
        {"b": CONV},
    )


def test_a_block_without_parameters_is_a_word() -> None:
    for use in ("act", {"act": None}, {"act": {}}):
        same_layers([use], ["relu", "tanh"], {"act": {"layers": ["relu", "tanh"]}})


@pytest.mark.parametrize(
    ("value", "layer"),
    [
        ("relu", "relu"),
        ({"leaky_relu": {"negative_slope": 0.3}}, {"leaky_relu": {"negative_slope": 0.3}}),
        (["relu", {"max_pool": {"size": 2}}], ["relu", {"max_pool": {"size": 2}}]),
        ([], []),
        ("inner", {"conv": {"filters": 1, "kernel_size": 1}}),
        ({"inner": {"filters": 9}}, {"conv": {"filters": 9, "kernel_size": 1}}),
        (["inner", {"inner": {"filters": 2}}], [{"conv": {"filters": n, "kernel_size": 1}} for n in (1, 2)]),
        ({"when": {"given": True, "layers": ["inner"]}}, {"conv": {"filters": 1, "kernel_size": 1}}),
    ],
    ids=str,
)
def test_a_parameter_may_be_layers(value: Any, layer: Any) -> None:
    blocks = {
        "outer": {"params": {"body": None}, "layers": ["tanh", "$body"]},
        "inner": {"params": {"filters": 1}, "layers": [{"conv": {"filters": "$filters", "kernel_size": 1}}]},
    }
    same_layers([{"outer": {"body": value}}], ["tanh", layer], blocks)


@pytest.mark.parametrize(
    "value", [5, [3, 5], [[1, 0], [2, 2]], "same", 0.25, True, {"normal": {"stddev": 0.1}}], ids=str
)
def test_a_parameter_is_passed_on_as_it_is(value: Any) -> None:
    name = {bool: "use_bias", float: "rate", dict: "kernel_init"}.get(type(value), "padding")
    layer: dict[str, Any] = {"dropout": {}} if name == "rate" else {"conv": {"filters": 2, "kernel_size": 2}}
    [(kind, arguments)] = layer.items()
    block = {"params": {"x": None}, "layers": [{kind: {**arguments, name: "$x"}}]}
    found = parse(config([{"b": {"x": value}}], {"b": block})).model.layers[0]
    written = parse(config([{kind: {**arguments, name: value}}])).model.layers[0]
    assert found.model_dump()["layers"] == (written.model_dump(),)


def test_a_null_in_a_use_is_passed_on_where_there_is_a_default() -> None:
    block = {"params": {"stride": 3}, "layers": [{"max_pool": {"size": 2, "stride": "$stride"}}]}
    assert rows([{"b": {}}], {"b": block}) == [("max_pool", (3, 3, 1))]
    assert rows([{"b": {"stride": None}}], {"b": block}) == [("max_pool", (4, 4, 1))]


def test_arithmetic_wherever_a_value_stands() -> None:
    block = {
        "params": {"width": 2, "pair": [1, 3]},
        "layers": [
            {
                "conv": {
                    "filters": "$width * (1 + $pair[1])",
                    "kernel_size": ["$pair[0]", "$pair[1]"],
                    "padding": "same",
                }
            },
            {
                "repeat": {
                    "times": "$width - 1",
                    "layers": [{"conv": {"filters": "-2 + 2 * $width // 1", "kernel_size": 1}}],
                }
            },
        ],
    }
    assert rows(["b", {"b": {"width": 3}}], {"b": block}) == [
        *[("conv", (8, 8, 8)), ("conv", (8, 8, 2))],
        *[("conv", (8, 8, 12)), ("conv", (8, 8, 4)), ("conv", (8, 8, 4))],
    ]


def test_defaults_may_refer_to_the_parameters_before_them() -> None:
    block = {
        "params": {"inner": None, "outer": "$inner * 4", "sum": "$inner + $outer"},
        "layers": [{"conv": {"filters": "$sum", "kernel_size": 1}}],
    }
    assert rows([{"b": {"inner": 2}}, {"b": {"inner": 2, "outer": 3}}], {"b": block}) == [
        ("conv", (8, 8, 10)),
        ("conv", (8, 8, 5)),
    ]


def test_a_model_has_parameters_of_its_own() -> None:
    params = {"times": [1, 2], "width": 3, "wide": "$width * $times[1]"}
    layers = [{"conv": {"filters": "$wide", "kernel_size": 1}}, {"b": {"filters": "$width"}}]
    assert rows(layers, {"b": CONV}, params) == [("conv", (8, 8, 6)), ("conv", (8, 8, 3)), ("relu", (8, 8, 3))]


def test_a_block_sees_its_own_parameters_alone() -> None:
    assert faults(["b"], {"b": {"layers": [{"conv": {"filters": "$width", "kernel_size": 1}}]}}, {"width": 3}) == [
        'model.blocks.b.layers[0].conv.filters (used at model.layers[0].b): unknown parameter "width"'
    ]


def test_blocks_in_blocks_and_in_every_composite() -> None:
    blocks = {
        "b": CONV,
        "pair": {"params": {"w": None}, "layers": [{"b": {"filters": "$w"}}, {"b": {"filters": "$w * 2"}}]},
    }
    written = [
        {"conv": {"filters": 2, "kernel_size": 3, "padding": 1}},
        "relu",
        {"conv": {"filters": 4, "kernel_size": 3, "padding": 1}},
        "relu",
    ]
    pair = {"pair": {"w": 2}}
    for wrap in (
        lambda inner: [{"repeat": {"times": 2, "layers": inner}}],
        lambda inner: [{"residual": {"layers": inner, "shortcut": inner}}],
        lambda inner: [{"branches": {"paths": [inner, [], inner]}}],
        lambda inner: [{"dense_connection": {"layers": [{"dense_connection": {"layers": inner}}]}}],
        lambda inner: [{"auxiliary": {"layers": [*inner, "flatten", "classifier"]}}],
        lambda inner: [[inner, []]],
    ):
        same_layers(wrap([pair]), wrap(written), blocks)


def test_a_block_can_end_a_side_head() -> None:
    blocks = {"head": {"layers": ["flatten", "classifier"]}}
    same_layers([{"auxiliary": {"layers": ["head"]}}], [{"auxiliary": {"layers": END}}], blocks)
    assert faults([{"auxiliary": {"layers": ["head"]}}], {"head": {"layers": ["flatten"]}}) == [
        "model.layers[0].auxiliary.layers: must end with classifier, got flatten"
    ]


def test_a_block_may_stand_in_an_argument_of_itself() -> None:
    level = {
        "params": {"width": None, "inner": []},
        "layers": [{"conv": {"filters": "$width", "kernel_size": 1}}, "$inner", "relu"],
    }
    use = {"level": {"width": 2, "inner": [{"level": {"width": 3, "inner": [{"level": {"width": 4}}]}}]}}
    widths = [shape[-1] for kind, shape in rows([use], {"level": level}) if kind == "conv"]
    assert widths == [2, 3, 4]


def test_when_chooses_one_of_two_lists() -> None:
    block = {
        "params": {"flag": False},
        "layers": [{"when": {"given": "$flag", "layers": ["tanh", "tanh"], "otherwise": ["elu"]}}, "relu"],
    }
    assert [kind for kind, _ in rows(["b", {"b": {"flag": True}}], {"b": block})] == [
        "elu",
        "relu",
        "tanh",
        "tanh",
        "relu",
    ]
    nothing = {"when": {"given": False, "layers": ["tanh"]}}
    assert rows([nothing, {"residual": {"layers": ["relu"], "shortcut": [nothing]}}]) == rows(
        [{"residual": {"layers": ["relu"]}}]
    )


def test_layers_after_a_when_keep_their_places() -> None:
    layers = [{"when": {"given": True, "layers": ["relu", "relu"]}}, {"conv": {"filters": 0, "kernel_size": 1}}]
    assert faults(layers) == ["model.layers[1].conv.filters: must be ≥ 1, got 0"]
    found = bound(parse(config([layers[0], "tanh"]))).rows
    assert [row.path for row in found[:3]] == [
        "model.layers[0].when.layers[0].relu",
        "model.layers[0].when.layers[1].relu",
        "model.layers[1].tanh",
    ]


def test_a_layer_is_called_by_its_blocks() -> None:
    found = bound(parse(config([{"b": {"filters": 4}}], {"b": CONV}))).rows
    assert found[0].path == "model.layers[0].b.layers[0].conv"


# Whatever is written, the answer is a model or a report

NAMES = st.sampled_from(["a", "b", "c", "conv", "relu", "x", "when"])
TEXTS = st.sampled_from(["relu", "$x", "$y", "$x * 2", "$x[0]", "1 // $x", "$", "a", "b", "same"]) | st.text(max_size=4)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 6) | st.floats(allow_nan=False, width=16) | TEXTS,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES | TEXTS, below, max_size=2),
    max_leaves=6,
)
LISTS = st.deferred(lambda: st.lists(ENTRIES, max_size=3))
ENTRIES: Any = st.deferred(
    lambda: (
        VALUES
        | NAMES
        | st.builds(
            lambda name, given: {name: given}, NAMES, st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2)
        )
        | st.builds(
            lambda given, one, two: {"when": {"given": given, "layers": one, "otherwise": two}}, VALUES, LISTS, LISTS
        )
        | st.builds(lambda layers, way: {"residual": {"layers": layers, "shortcut": way}}, LISTS, LISTS)
        | st.builds(lambda paths: {"branches": {"paths": paths}}, st.lists(LISTS, max_size=3))
        | st.builds(lambda filters: {"conv": {"filters": filters, "kernel_size": 1}}, VALUES)
    )
)
BLOCKS = st.dictionaries(
    NAMES,
    st.builds(
        lambda params, layers: {"params": params, "layers": layers},
        st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2) | VALUES,
        LISTS,
    )
    | VALUES,
    max_size=4,
)


@given(LISTS, BLOCKS, st.dictionaries(st.sampled_from("xy"), VALUES, max_size=2) | VALUES)
def test_any_blocks_make_a_model_or_a_report(layers: list[Any], blocks: Any, params: Any) -> None:
    try:
        found, told = parse(config(layers, blocks, params)).model.layers, ()
    except ConfigError as error:
        found, told = (), error.faults
    assert bool(found) != bool(told)
    assert all(isinstance(layer, Layer) for layer in found)
    assert all("\n" not in str(fault) and fault.path for fault in told)
