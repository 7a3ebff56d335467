"""Blocks that are declared or used wrongly: one line for each fault, with its place in the declaration and the use."""

from typing import Any

import pytest
from block_configurations import CONV, faults

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
