"""Dotted paths of a network's parameters, and which of them a name stands for."""

from typing import Any

import jax
import pytest
from configurations import experiment

from runner.layers import places

TREE: dict[str, Any] = {
    "0_conv": {"kernel": 1, "bias": 2},
    "3_bottleneck": {
        "layers": {"0_residual": {"layers": {"10_conv": {"kernel": 3}}, "shortcut": {"0_conv": {"kernel": 4}}}}
    },
    "5_batch_norm": {"scale": 5},
}
PATHS = [
    "0_conv.kernel",
    "0_conv.bias",
    "3_bottleneck.layers.0_residual.layers.10_conv.kernel",
    "3_bottleneck.layers.0_residual.shortcut.0_conv.kernel",
    "5_batch_norm.scale",
]


def test_paths_are_in_the_order_of_the_tree() -> None:
    assert list(places.dotted(TREE)) == PATHS
    assert places.nested(places.dotted(TREE)) == TREE


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("0_conv", [0, 1]),
        ("0_conv.bias", [1]),
        ("conv", [0, 1, 2, 3]),
        ("bottleneck", [2, 3]),
        ("3_bottleneck", [2, 3]),
        ("3_bottleneck.layers.0_residual.shortcut", [3]),
        ("residual", [2, 3]),
        ("batch_norm", [4]),
        # Neither the beginning of a word, nor what is no layer.
        *(("0_con", []), ("3", []), ("layers", []), ("kernel", []), ("10_conv", []), ("norm", [])),
    ],
)
def test_a_name_stands_for_a_kind_or_for_the_beginning_of_a_path(name: str, meant: list[int]) -> None:
    assert [index for index, path in enumerate(PATHS) if places.stands_for(name, path)] == meant


def test_a_tree_in_two_is_the_tree_again() -> None:
    rest, taken = places.split(TREE, ("5_batch_norm", "bottleneck"))
    assert list(places.dotted(taken)) == PATHS[2:]
    assert list(places.dotted(rest)) == PATHS[:2]
    assert places.merged(rest, taken) == TREE
    assert places.split(TREE, ()) == (TREE, {})
    assert places.merged({"a": {"b": 1, "c": 2}}, {"a": {"c": 3}}) == {"a": {"b": 1, "c": 3}}


def test_paths_of_a_model_are_those_of_its_parameters() -> None:
    net = experiment("model=resnet50", "data=imagenet").model.bind(1000)
    params, statistics = jax.eval_shape(lambda: net.init(jax.random.key(0), (64, 64, 3)))
    of_parameters, of_statistics = net.paths((64, 64, 3))
    assert set(of_parameters) == set(places.dotted(params))
    assert set(of_statistics) == set(places.dotted(statistics))
    # In the order of the layers, where a pytree sorts `10_…` before `2_…`.
    firsts = [int(path.split("_")[0]) for path in of_parameters]
    assert firsts == sorted(firsts)


def test_an_unknown_name_is_told_the_nearest() -> None:
    faults = places.unknown_names(["conv", "bottelneck", "1_conv"], PATHS, "train.freeze")
    assert [str(fault) for fault in faults] == [
        'train.freeze[1]: unknown layer "bottelneck"; did you mean "bottleneck"?',
        'train.freeze[2]: unknown layer "1_conv"; did you mean "0_conv"?',
    ]


@pytest.mark.parametrize(
    ("name", "path", "meant"),
    [
        ("layers[3]", "3_conv.kernel", True),
        ("layers.3", "3_conv.kernel", True),
        ("layers[3].conv", "3_conv.kernel", True),
        ("model.layers[3].conv", "3_conv.bias", True),
        ("layers[3].dense", "3_conv.kernel", False),
        ("layers[3]", "30_conv.kernel", False),
        ("layers[3]", "0_repeat.layers.3_conv.kernel", False),
        ("layers[3].bottleneck", "3_bottleneck.layers.0_conv.kernel", True),
        ("layers[3].bottleneck.layers[0]", "3_bottleneck.layers.0_conv.kernel", True),
        ("layers.3.layers.0.conv", "3_bottleneck.layers.0_conv.kernel", True),
        ("layers[3].residual.shortcut[1].conv", "3_residual.shortcut.1_conv.kernel", True),
        ("layers[3].residual.shortcut[1].conv", "3_residual.layers.1_conv.kernel", False),
        ("layers[8].branches.paths[1][0].conv", "8_branches.1.0_conv.kernel", True),
        ("layers[8].branches.paths[1]", "8_branches.1.0_conv.kernel", True),
        ("layers[8].branches.paths[1]", "8_branches.0.1_conv.kernel", False),
    ],
)
def test_a_place_in_the_yaml_names_a_layer(name: str, path: str, meant: bool) -> None:
    assert places.stands_for(name, path) is meant
