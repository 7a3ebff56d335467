"""Dotted paths of a network's parameters, and which of them a name stands for."""

import re
from collections import Counter
from typing import Any

import jax
import pytest
from configurations import composed, experiment, parse

from runner.errors import ConfigError
from runner.layers import places
from runner.layers.passes import Located
from runner.model import Model
from runner.network import Network
from runner.records import frozen

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
    net = experiment("model=resnet50", "data=imagenet").model.bind((64, 64, 3), 1000)
    params, statistics = jax.eval_shape(lambda: net.init(jax.random.key(0)))
    of_parameters, of_statistics = net.shapes()
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


LOCATED = [
    Located("layers[0].repeat", "0_repeat"),
    Located("layers[0].repeat.layers[1].conv", "0_repeat.layers.3_conv"),
    Located("layers[3].conv", "3_conv"),
    Located("layers[3].bottleneck", "3_bottleneck"),
    Located("layers[3].bottleneck.layers[0].conv", "3_bottleneck.layers.0_conv"),
    Located("layers[3].residual", "3_residual"),
    Located("layers[3].residual.layers[1].conv", "3_residual.layers.1_conv"),
    Located("layers[3].residual.shortcut[1].conv", "3_residual.shortcut.1_conv"),
    Located("layers[8].branches", "8_branches"),
    Located("layers[8].branches.paths[0][1].conv", "8_branches.0.1_conv"),
    Located("layers[8].branches.paths[1][0].conv", "8_branches.1.0_conv"),
    Located("layers[30].conv", "30_conv"),
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
    assert places.chosen(places.resolved([name], LOCATED), path) is meant


def test_a_place_where_nothing_stands_is_left_as_it_is() -> None:
    for name in ("layers[9]", "layers[3", "layers[3]conv", "layers[3]]", "layers", "model.layers", "conv", "3_conv"):
        assert places.resolved([name], LOCATED) == (name,)


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("3_conv.kernel", "layers[3].conv.kernel"),
        ("30_conv", "layers[30].conv"),
        ("0_repeat.layers.3_conv.bias", "layers[0].repeat.layers[1].conv.bias"),
        ("8_branches.1.0_conv.kernel", "layers[8].branches.paths[1][0].conv.kernel"),
        ("features.0.weight", "features.0.weight"),
    ],
)
def test_a_layer_is_printed_by_its_place(path: str, place: str) -> None:
    assert places.place_of(path, LOCATED) == place


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        *((name, ["3_conv"]) for name in ("layers.3", "layers[3]", "layers[3].conv", "model.layers.3.conv", "3_conv")),
        ("layers.0.layers.1", ["0_repeat.layers.1_relu", "0_repeat.layers.3_relu"]),
        ("relu", ["relu"]),
    ],
)
def test_a_verb_reads_any_spelling_of_any_layer(name: str, paths: list[str]) -> None:
    entries = [{"repeat": {"times": 2, "layers": [CONV, "relu"]}}, "relu", "relu", CONV]
    net = Model.model_validate(frozen({"name": "net", "layers": entries})).bind((8, 8, 1), 10)
    assert list(places.meant([name], "layer", net.located())) == paths


@pytest.mark.parametrize(
    ("name", "nearest"), [("layers[3].cnv", "layers[3].conv"), ("3_cnv", "3_conv"), ("bottelneck", "bottleneck")]
)
def test_a_verb_is_told_the_nearest_layer_as_it_spelt_it(name: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as caught:
        places.meant([name], "layer", LOCATED)
    assert str(caught.value) == f'layer[0]: unknown layer "{name}"; did you mean "{nearest}"?'


CONV: dict[str, Any] = {"conv": {"filters": 2, "kernel_size": 1}}
NET: list[Any] = [
    CONV,
    "relu",
    {"repeat": {"times": 2, "layers": [CONV, {"repeat": {"times": 3, "layers": ["relu", "batch_norm"]}}]}},
    {"branches": {"paths": [["batch_norm"], [CONV, CONV]]}},
    {"layers": {}},
    "flatten",
    "classifier",
]


def configured(*freeze: str, layers: list[Any] = NET) -> dict[str, Any]:
    config: dict[str, Any] = composed("data=mnist", "data.root=no/such/folder", "train.batch_size=2")
    config["model"].update({"layers": layers, "blocks": {"layers": {"layers": [CONV, "batch_norm"]}}})
    config["train"]["freeze"] = list(freeze)
    return config


@pytest.mark.parametrize(
    ("name", "paths"),
    [
        ("layers[2]", ["2_repeat"]),
        ("layers[2].repeat.layers[0]", ["2_repeat.layers.0_conv", "2_repeat.layers.2_conv"]),
        ("layers[2].layers[0].conv.bias", ["2_repeat.layers.0_conv.bias", "2_repeat.layers.2_conv.bias"]),
        (
            "layers.2.layers.1.layers.1.batch_norm",
            [f"2_repeat.layers.{one}_repeat.layers.{two}_batch_norm" for one in (1, 3) for two in (1, 3, 5)],
        ),
        ("layers[3].branches.paths[1]", ["3_branches.1.0_conv", "3_branches.1.1_conv"]),
        ("layers[4]", ["4_layers"]),  # a block of this name
        ("layers[4].layers", ["4_layers"]),
        ("layers[4].layers.layers[0]", ["4_layers.layers.0_conv"]),
        ("layers[4].layers[0]", ["4_layers.layers.0_conv"]),
    ],
)
def test_a_place_means_every_copy_of_a_repeated_layer(name: str, paths: list[str]) -> None:
    experiment = parse(configured(name))
    program = experiment.program(experiment.network((28, 28, 1), 10), mean=(0.0,), std=(1.0,))
    assert program.freeze == tuple(paths)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("layers[2].repeat.layers[2]", "layers[2].repeat.layers[0].conv"),  # the second copy has no place of its own
        ("layers[2].conv", "layers[2].repeat"),
        ("layers[2][0]", "layers[2].repeat"),
        ("layers[3].branches[1][0]", "layers[3].branches"),
        ("layers.3.branches.paths.1.0.dense", "layers[3].branches.paths[1][0].conv"),
        ("model.layers[0].cnv", "layers[0].conv"),
        ("layers[6]]", "layers[6].classifier"),
        ("layers[4].layer", "layers[4].layers"),
    ],
)
def test_an_unknown_place_is_told_the_nearest_place(name: str, meant: str) -> None:
    with pytest.raises(
        ConfigError, match="^" + re.escape(f'train.freeze[1]: unknown layer "{name}"; did you mean "{meant}"?')
    ):
        parse(configured("conv", name))


def test_what_could_have_been_meant_is_listed_once_for_all_names(monkeypatch: pytest.MonkeyPatch) -> None:
    listed: list[str] = []
    for own in ("_known", "_known_places"):
        function = getattr(places, own)
        monkeypatch.setattr(places, own, lambda *paths, own=own, known=function: listed.append(own) or known(*paths))
    names = [f"layers[{number}]" for number in range(40, 80)] + [f"{number}_relu" for number in range(40)]
    assert len(places.unknown_names(names, PATHS, "train.freeze", LOCATED)) == len(names)
    assert sorted(listed) == ["_known", "_known_places"]
    assert places.unknown_names(["conv"], PATHS, "train.freeze", LOCATED) == []
    assert len(listed) == 2


def test_every_layer_has_the_place_and_the_path_that_a_survey_gives_it() -> None:
    net = experiment("model=resnet50", "data=imagenet").model.bind((64, 64, 3), 1000)
    located = net.located()
    told = Counter(row.path for row in net.rows)
    assert told <= Counter(f"model.{place}" for place, _ in located)
    assert len({path for _, path in located}) == len(located) == sum(layer.layer_count() for layer in net.layers)
    learning = {path.rpartition(".")[0] for paths in net.shapes() for path in paths}
    assert learning <= {path for _, path in located}


def test_names_that_are_no_places_do_not_walk_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    net = Model.model_validate(frozen({"name": "net", "layers": [CONV, "relu"]})).bind((8, 8, 1), 10)
    monkeypatch.setattr(Network, "located", None)
    assert net.resolved(("conv", "0_conv")) == ("conv", "0_conv")
