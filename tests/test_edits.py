"""Edits of layer lists: against plain operations on Python lists, and every fault, word for word."""

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.edits import edited, leaves, marked, variant
from runner.errors import ConfigError, shown

LENET: list[Any] = [
    {"conv": {"filters": 6, "kernel_size": 5}},
    "relu",
    {"conv": {"filters": 16}},
    {"residual": {"layers": [{"conv": {"filters": 16}}, "relu"], "shortcut": [{"projection": {"filters": 16}}]}},
    {"branches": {"paths": [["tanh"], [{"conv": {"filters": 4}}, "elu"]], "merge": "concat"}},
    "flatten",
    "classifier",
]

PLACES = ["layers[7]", "layers[0].relu", "layers[0].conv.filters", "0_relu", "layers[0", "layers..0", "1_"]
PLACES += [f"layers.{'9' * 5000}"]  # more digits than Python reads


def layers(edits: list[Any], base: list[Any] = LENET) -> list[Any]:
    return edited({"layers": base}, edits, "BASE")["layers"]  # type: ignore[no-any-return]


def faults(edits: Any, base: Any = LENET) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        edited({"layers": base}, edits, "BASE")
    return [str(fault) for fault in caught.value.faults]


@given(st.integers(1, 12), st.integers(0, 10**9), st.integers(0, 6))
def test_edits_are_what_list_operations_on_the_base_give(count: int, seed: int, edits: int) -> None:
    draw = random.Random(seed)
    base = [f"layer_{index}" for index in range(count)]
    given_edits: list[dict[str, Any]] = []
    before: dict[int, list[str]] = {}
    after: dict[int, list[str]] = {}
    instead: dict[int, list[str]] = {}
    for number in range(edits):
        at, new = draw.randrange(count), [f"new_{number}_{part}" for part in range(draw.randrange(3))]
        name = draw.choice([f"layers[{at}]", f"layers.{at}", f"layer_{at}", f"{at}_layer_{at}", f"model.layers[{at}]"])
        action = draw.choice(["before", "after", "replace", "delete"])
        if action in ("replace", "delete"):
            if at in instead:
                continue
            instead[at] = new if action == "replace" else []
            given_edits.append({action: name, "with": new} if action == "replace" else {action: name})
        else:
            {"before": before, "after": after}[action].setdefault(at, []).extend(new)
            given_edits.append({action: name, "insert": new[0] if len(new) == 1 else new})
    expected: list[str] = []
    for index, layer in enumerate(base):
        expected += [*before.get(index, []), *instead.get(index, [layer]), *after.get(index, [])]
    assert layers(given_edits, base) == expected
    assert base == [f"layer_{index}" for index in range(count)]


@given(st.lists(st.integers(0, 6), unique=True), st.integers(0, 6))
def test_the_order_of_edits_at_different_layers_does_not_matter(deleted: list[int], at: int) -> None:
    edits: list[Any] = [{"delete": f"layers[{index}]"} for index in deleted if index != at]
    edits.append({"after": f"layers[{at}]", "insert": ["gelu", "dropout"]})
    assert layers(edits) == layers(edits[::-1])


def test_layers_inside_layers_are_edited_at_their_own_place() -> None:
    found = layers(
        [
            {"after": "layers[3].residual.layers[0]", "insert": "batch_norm"},
            {"delete": "3_residual.layers.1_relu"},
            {"replace": "projection", "with": []},
            {"before": "layers.4.paths.1.1", "insert": ["silu"]},
            {"replace": "layers[4].branches.paths[0][0].tanh", "with": {"conv": {"filters": 2}}},
        ]
    )
    assert found[3:5] == [
        {"residual": {"layers": [{"conv": {"filters": 16}}, "batch_norm"], "shortcut": []}},
        {
            "branches": {
                "paths": [[{"conv": {"filters": 2}}], [{"conv": {"filters": 4}}, "silu", "elu"]],
                "merge": "concat",
            }
        },
    ]


def test_every_names_all_layers_of_a_kind_and_change_sets_some_arguments() -> None:
    found = layers(
        [{"change": "every conv", "with": {"use_bias": False}}, {"after": "every conv", "insert": "batch_norm"}]
    )
    assert found[:2] == [{"conv": {"filters": 6, "kernel_size": 5, "use_bias": False}}, "batch_norm"]
    assert str(found).count("batch_norm") == str(found).count("'use_bias': False") == 4
    assert layers([{"change": "flatten", "with": {"a": 1}}], ["flatten"]) == [{"flatten": {"a": 1}}]
    twice = [{"change": "flatten", "with": {"a": 1}}, {"change": "flatten", "with": {"b": 2}}]
    assert layers(twice, [{"flatten": None}]) == [{"flatten": {"a": 1, "b": 2}}]


def test_blocks_of_the_base_are_edited_in_their_declaration() -> None:
    model = {"blocks": {"unit": {"layers": ["relu", "dropout"]}}, "layers": ["unit", "classifier"]}
    found = edited(model, [{"delete": "blocks.unit.layers[1]"}, {"after": "unit", "insert": "unit"}], "BASE")
    assert found == {"blocks": {"unit": {"layers": ["relu"]}}, "layers": ["unit", "unit", "classifier"]}


def test_a_list_in_place_of_a_layer_counts_as_its_layers() -> None:
    assert layers([{"delete": "layers[2]"}], ["relu", ["tanh", "elu"], "classifier"]) == ["relu", "tanh", "classifier"]


def test_a_variant_merges_mappings_and_applies_its_edits() -> None:
    base = {"name": "one", "input": {"height": 8, "width": 8}, "layers": ["relu"]}
    own = {"name": "two", "input": {"width": 4}, "edit": [{"after": "relu", "insert": "flatten"}]}
    assert variant(base, own, "one") == {
        "name": "two",
        "input": {"height": 8, "width": 4},
        "layers": ["relu", "flatten"],
    }


def test_marks_follow_their_values() -> None:
    found = edited(marked({"layers": LENET}), marked([{"before": "layers[0]", "insert": "gelu"}], ("new",)), "BASE")
    origins = {path: leaf.origin for path, leaf in leaves(found)}
    assert origins["layers", 0] == ("new", 0, "insert")
    assert origins["layers", 1, "conv", "filters"] == ("layers", 0, "conv", "filters")


@pytest.mark.parametrize(
    ("edits", "expected"),
    [
        ([{"after": "cnov", "insert": []}], ['model.edit[0].after: unknown layer "cnov"; did you mean "conv"? (BASE)']),
        (
            [{"delete": "conv"}],
            [
                'model.edit[0].delete: must name one layer of BASE (or "every conv"), got conv at layers[0], '
                "layers[2], layers[3].residual.layers[0], layers[4].branches.paths[1][0]"
            ],
        ),
        (
            [{"delete": name} for name in PLACES],
            [
                f"model.edit[{number}].delete: must name a layer that BASE writes (layers[0] to layers[6], and those "
                f"in them), got {shown(name)}"
                for number, name in enumerate(PLACES)
            ],
        ),
        (
            [
                {"replace": "layers[3]", "with": "relu"},
                {"delete": "layers[3].residual.layers[1]"},
                {"delete": "layers.3"},
            ],
            [
                "model.edit[2].delete: must not edit what model.edit[0].replace replaces, deletes or changes, got "
                "layers[3] of BASE",
                "model.edit[1].delete: must not edit what model.edit[0].replace replaces, deletes or changes, got "
                "layers[3] of BASE",
            ],
        ),
        (
            [
                {"change": "layers[0]", "with": {"filters": 1}},
                {"change": "0_conv", "with": {"filters": 2, "stride": 2}},
            ],
            [
                "model.edit[1].change: must not edit what model.edit[0].change replaces, deletes or changes, got "
                "layers[0].conv.filters of BASE"
            ],
        ),
        (
            [
                {"change": "layers[3]", "with": {"layers": []}},
                {"after": "layers[3].residual.layers[0]", "insert": "relu"},
            ],
            [
                "model.edit[1].after: must not edit what model.edit[0].change replaces, deletes or changes, got "
                "layers[3].residual.layers of BASE"
            ],
        ),
        ([{"change": "relu", "with": 3}], ["model.edit[0].with: must be a mapping of arguments, got 3"]),
        ({"after": "relu"}, ["model.edit: must be a list of edits, got {after: relu}"]),
        (
            [{"after": 3, "insert": "relu"}, {"delete": "flatten", "with": "relu"}, "relu"],
            [
                f"model.edit[{number}]: must be {{after: LAYER, insert: LAYERS}}, {{before: LAYER, insert: LAYERS}}, "
                f"{{replace: LAYER, with: LAYERS}}, {{change: LAYER, with: ARGUMENTS}} or {{delete: LAYER}}, got {got}"
                for number, got in enumerate(["{after: 3, insert: relu}", "{delete: flatten, with: relu}", "relu"])
            ],
        ),
    ],
)
def test_faults_name_the_edit_and_the_base(edits: Any, expected: list[str]) -> None:
    assert faults(edits) == expected


def test_a_model_without_layers_has_nothing_to_edit() -> None:
    assert faults([], None) == [
        "model.edit: must have a base with layers, which defaults names before _self_, got no layers"
    ]


def test_what_is_no_layer_has_no_name() -> None:
    base = [{1: {"layers": ["relu"]}}, None, "flatten", {"conv": {}, "relu": {}}]
    assert layers([{"delete": "flatten"}], base) == [base[0], None, base[3]]
    assert layers([{"before": "flatten", "insert": [None]}], base) == [base[0], None, None, "flatten", base[3]]
    assert faults([{"delete": "layers[0]"}], base) == [
        "model.edit[0].delete: must name a layer that BASE writes (layers[0] to layers[3], and those in them), got "
        "layers[0]"
    ]


def test_edits_cannot_make_a_list_without_end() -> None:
    many = [{"after": "every relu", "insert": ["relu"] * 1000}] * 20
    assert faults(many, ["relu"] * 20)[-1] == (
        "model.edit[0]: must insert at most 10,000 layers with all before it, got more"
    )
