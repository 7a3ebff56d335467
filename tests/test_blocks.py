"""Blocks: what they expand to, how their parameters reach their layers, and every fault of them on one line."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from configurations import composed, report
from hypothesis import given
from hypothesis import strategies as st

from runner import composition
from runner.describe import surveyed
from runner.errors import ConfigError
from runner.experiment import Experiment, parse
from runner.layers.base import Layer

END: list[Any] = ["flatten", "classifier"]
CONV: dict[str, Any] = {
    "params": {"filters": None, "stride": 1, "activation": "relu"},
    "layers": [
        {"conv": {"filters": "$filters", "kernel_size": 3, "stride": "$stride", "padding": 1}},
        "$activation",
    ],
}


def config(layers: list[Any], blocks: Any = None, params: Any = None) -> dict[str, Any]:
    """An experiment on the digits, 8×8×1, with a model of these layers and what ends it."""
    whole = composed()
    whole["model"] = {"name": "blocks", "layers": [*layers, *END], "blocks": blocks, "params": params}
    return whole


def faults(layers: list[Any], blocks: Any = None, params: Any = None) -> list[str]:
    return report(config(layers, blocks, params))


def rows(layers: list[Any], blocks: Any = None, params: Any = None) -> list[tuple[str, tuple[int, ...]]]:
    """Kind and output shape of every layer but those of the end."""
    found, _ = surveyed(parse(config(layers, blocks, params)))
    return [(row.kind, row.output.shape) for row in found[: -len(END)]]


def same_layers(used: list[Any], written: list[Any], blocks: Any = None, params: Any = None) -> None:
    """Holds a use of blocks against the same layers written out."""
    assert rows(used, blocks, params) == rows(written)


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
    found, _ = surveyed(parse(config([layers[0], "tanh"])))
    assert [row.path for row in found[:3]] == [
        "model.layers[0].when.layers[0].relu",
        "model.layers[0].when.layers[1].relu",
        "model.layers[1].tanh",
    ]


def test_a_layer_is_called_by_its_blocks() -> None:
    found, _ = surveyed(parse(config([{"b": {"filters": 4}}], {"b": CONV})))
    assert found[0].path == "model.layers[0].b.layers[0].conv"


# Faults

USED = "(used at model.layers[0].b)"
DECLARED = "(declared at model.blocks.b)"


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        ("b", [f"model.layers[0].b.filters: must be given {DECLARED}, got nothing"]),
        ({"b": {"filters": None}}, [f"model.layers[0].b.filters: must be given {DECLARED}, got nothing"]),
        (
            {"b": {"filers": 3}},
            [f'model.layers[0].b.filers: unknown parameter of b "filers"; did you mean "filters"? {DECLARED}'],
        ),
        ({"b": 3}, [f"model.layers[0].b: must name the parameters of b {DECLARED}, got 3"]),
        ({"b": [3]}, [f"model.layers[0].b: must name the parameters of b {DECLARED}, got [3]"]),
        ({"b": {"filters": "$w"}}, ['model.layers[0].b.filters: unknown parameter "w"; must be one of width']),
        ({"b": {"filters": "$widht"}}, ['model.layers[0].b.filters: unknown parameter "widht"; did you mean "width"?']),
        ({"b": {"filters": "$width // 0"}}, ["model.layers[0].b.filters: must not divide by zero, got $width // 0"]),
        (
            {"b": {"filters": "$width / 2"}},
            ["model.layers[0].b.filters: must be integers and $names joined by + - * //, got $width / 2"],
        ),
        (  # what the value is wrong for stands in the declaration
            {"b": {"filters": 0}},
            [f"model.blocks.b.layers[0].conv.filters {USED}: must be ≥ 1, got 0"],
        ),
        (
            {"b": {"filters": 3, "activation": "rellu"}},
            [f'model.blocks.b.layers[1] {USED}: unknown layer "rellu"; did you mean "relu"?'],
        ),
        (
            {"b": {"filters": 3, "activation": {"dropout": {"rate": 2}}}},
            [f"model.blocks.b.layers[1].dropout.rate {USED}: must be < 1, got 2"],
        ),
        (
            {"residual": {"layers": [{"b": {"filters": 3}}]}},
            ["model.layers[0].residual.layers: must end in the shape of its input, the shortcut, 8×8×1, got 8×8×3"],
        ),
        (
            {"when": {"layers": []}},
            ["model.layers[0].when: must have given, and layers or otherwise, got {layers: []}"],
        ),
        ({"when": None}, ["model.layers[0].when: must have given, and layers or otherwise, got null"]),
        ({"when": {"given": "$width"}}, ["model.layers[0].when.given: must be true or false, got 3"]),
        ({"when": {"given": "$off"}}, ['model.layers[0].when.given: unknown parameter "off"; must be one of width']),
    ],
    ids=str,
)
def test_faults_of_a_use(use: Any, expected: list[str]) -> None:
    assert faults([use], {"b": CONV}, {"width": 3}) == expected


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({"b": 3}, "model.blocks.b: must have a list of layers, got 3"),
        ({"b": {"params": {}}}, "model.blocks.b: must have a list of layers, got {params: {}}"),
        ({"b": {"layers": "relu"}}, "model.blocks.b: must have a list of layers, got {layers: relu}"),
        (
            {"b": {"layers": [], "parms": {}}},
            'model.blocks.b.parms: unknown key "parms"; did you mean "params"?',
        ),
        ({"b": {"layers": [], "params": [1]}}, "model.blocks.b.params: must map names to defaults, got [1]"),
        (
            {"b": {"layers": []}, "conv": {"layers": []}},
            "model.blocks.conv: must have a name of its own, got that of a kind of layer",
        ),
        (
            {"b": {"layers": []}, "when": {"layers": []}},
            "model.blocks.when: must have a name of its own, got that of a kind of layer",
        ),
        (["b"], "model.blocks: must map names to blocks, got [b]"),
    ],
    ids=str,
)
def test_faults_of_a_declaration(declared: Any, expected: str) -> None:
    told = faults(["b"] if isinstance(declared, dict) else ["relu"], declared)
    assert told == [expected]


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        (
            {"b": {"layers": ["b"]}},
            "model.blocks.b (used at model.layers[0].b.layers[0].b): must not use itself, got b → b",
        ),
        (
            {"b": {"layers": ["c"]}, "c": {"layers": [{"residual": {"layers": ["b"]}}]}},
            "model.blocks.b (used at model.layers[0].b.layers[0].c.layers[0].residual.layers[0].b): "
            "must not use itself, got b → c → b",
        ),
        (
            {"b": {"params": {"x": [{"b": {}}]}, "layers": ["$x"]}},
            "model.blocks.b (used at model.blocks.b.params.x[0].b): must not use itself, got b → b",
        ),
        (
            {"b": {"params": {"x": "$y"}, "layers": ["$x"]}},
            'model.blocks.b.params.x: unknown parameter "y"',
        ),
        (
            {"b": {"layers": [{"when": {"given": 1, "layers": []}}]}},
            f"model.blocks.b.layers[0].when.given {USED}: must be true or false, got 1",
        ),
        (
            {"b": {"layers": ["relu", {"when": {"given": True, "layers": ["relu", "relo"]}}, "relu"]}},
            f'model.blocks.b.layers[1].when.layers[1] {USED}: unknown layer "relo"; did you mean "relu"?',
        ),
        (
            {"b": {"layers": [{"branches": {"paths": [[], [{"conv": {"filters": 1}}]]}}]}},
            f"model.blocks.b.layers[0].branches.paths[1][0].conv.kernel_size {USED}: must be given, got nothing",
        ),
    ],
    ids=str,
)
def test_faults_within_a_block(blocks: Any, expected: str) -> None:
    assert faults(["b"], blocks) == [expected]


def test_faults_of_parameters_of_the_model() -> None:
    assert faults(["relu"], None, [1]) == ["model.params: must map names to values, got [1]"]
    assert faults(["relu"], None, {"a": "$b", "b": 1}) == ['model.params.a: unknown parameter "b"']
    # What follows from a value that could not be found is not told.
    layers = [{"conv": {"filters": "$a", "kernel_size": ["$a", 3]}}, {"b": {"filters": "$a + 1"}}]
    assert faults(layers, {"b": CONV}, {"a": "1 // 0"}) == ["model.params.a: must not divide by zero, got 1 // 0"]


def test_what_is_wrong_at_every_use_is_told_once_for_each_entry() -> None:
    pair = {"params": {"n": None}, "layers": [{"b": {"filters": "$n"}}, {"b": {"filters": "$n"}}]}
    assert faults([{"pair": {"n": 0}}, {"pair": {"n": 0}}, {"b": {"filters": 0}}], {"b": CONV, "pair": pair}) == [
        f"model.blocks.b.layers[0].conv.filters (used at model.layers[{use}): must be ≥ 1, got 0"
        for use in ("0].pair.layers[0].b", "1].pair.layers[0].b", "2].b")
    ]


def test_five_places_wrong_are_five_lines() -> None:
    told = faults(
        [{"b": {"filters": 0}}, "b", {"b": {"filters": 3, "strid": 1}}, {"conv": {"filters": 1, "kernel_size": 99}}],
        {"b": CONV, "relu": {"layers": []}},
    )
    assert len(told) == 5, told


@pytest.mark.parametrize("doubling", ["blocks", "lists", "defaults"])
def test_what_grows_without_bound_is_refused_at_once(doubling: str) -> None:
    rounds = range(30)
    blocks: dict[str, Any] = {"b0": {"layers": ["relu"]}}
    params: dict[str, Any] = {"p0": ["relu"] * 2}
    if doubling == "blocks":
        blocks |= {f"b{n + 1}": {"layers": [f"b{n}", f"b{n}"]} for n in rounds}
    elif doubling == "lists":
        params |= {f"p{n + 1}": [f"$p{n}", f"$p{n}"] for n in rounds}
    else:
        defaults = {"d0": ["relu"]} | {f"d{n + 1}": [f"$d{n}", f"$d{n}"] for n in rounds}
        blocks["b30"] = {"params": defaults, "layers": ["$d30"]}
    [line] = faults([f"b{30 if doubling != 'lists' else 0}"], blocks, params)
    assert line.endswith("must come to at most 100,000 values with all before it")


def test_a_long_chain_of_blocks_is_refused() -> None:
    blocks: dict[str, Any] = {f"b{n}": {"layers": [f"b{n + 1}"]} for n in range(40)} | {"b40": {"layers": ["relu"]}}
    [line] = faults(["b0"], blocks)
    assert line.endswith("must be at most 32 blocks deep, got b32 in b31")


# The library


@pytest.fixture
def own(tmp_path: Path) -> Path:
    folder = tmp_path / "conf" / "block"
    folder.mkdir(parents=True)
    return folder


def described(*overrides: str) -> Experiment:
    """As from the command line in the current folder."""
    composed.__globals__["_composed"].cache_clear()
    return parse(composed(*overrides))


def test_a_use_is_changed_from_the_command_line() -> None:
    found = described(
        "model=resnet18", "data=cifar10", "model.layers.3.basic_stage.width=32", "model.params.times=[1,1,1,1]"
    )
    shapes = {row.output.shape[-1] for row in surveyed(found)[0] if "layers[3]" in row.path}
    assert shapes == {32}


def test_blocks_of_the_library_are_known_by_name_and_kept_with_the_configuration() -> None:
    whole = composed(
        "model.layers=[{bottleneck: {width: 4, shortcut: [{projection: {filters: 16}}]}}, flatten, classifier]"
    )
    assert set(whole["model"]["blocks"]) == {"bottleneck", "conv_bn_act", "projection"}
    # So that a run can be launched again from its config.yaml alone.
    assert parse(yaml.safe_load(composition.as_yaml(whole))) == parse(whole)
    assert "blocks" not in composed("model=lenet5")["model"]


def test_own_blocks_join_the_library_and_win(own: Path) -> None:
    (own / "fire.yaml").write_text("layers: [tanh, tanh]\n")
    (own / "mine.yaml").write_text("params: {n: 3}\nlayers: [{conv: {filters: $n, kernel_size: 1}}, fire]\n")
    found = described("model.input=null", "model.layers=[mine, flatten, classifier]")
    assert [row.kind for row in surveyed(found)[0]] == ["conv", "tanh", "tanh", "flatten", "classifier"]
    # A model's own come before both.
    found = described("model.input=null", "model.layers=[mine, flatten, classifier]", "+model.blocks.fire.layers=[elu]")
    assert [row.kind for row in surveyed(found)[0]] == ["conv", "elu", "flatten", "classifier"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("layers: [relu", "conf/block/mine.yaml:"),
        ("3", "model.blocks.mine: must have a list of layers, got 3"),
        ("", "must have a list of layers, got"),
        ("[relu]", "must have a list of layers, got [relu]"),
        ("params: {a: ???}\nlayers: []", "must"),
    ],
)
def test_a_file_that_is_no_block(own: Path, text: str, expected: str) -> None:
    (own / "mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        described("model.layers=[mine, flatten, classifier]")
    assert len(str(caught.value).splitlines()) == 1
    assert expected in str(caught.value)


def test_a_misspelt_block_is_told_the_nearest() -> None:
    assert faults(["own_blok"], {"own_block": {"layers": ["relu"]}}) == [
        'model.layers[0]: unknown layer "own_blok"; did you mean "own_block"?'
    ]
    whole = config([{"botleneck": {"width": 3}}, "rellu"])
    with pytest.raises(ConfigError) as caught:
        parse(whole, composition.block_library())
    assert str(caught.value).splitlines() == [
        'model.layers[0]: unknown layer "botleneck"; did you mean "bottleneck"?',
        'model.layers[1]: unknown layer "rellu"; did you mean "relu"?',
    ]


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
