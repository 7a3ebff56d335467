"""The zoo: every model file against the numbers that the field has published of its architecture.

Parameters are those of torchvision's models where it has them (ResNets of CIFAR: Idelbayev's count of He's), else the
paper's; multiply-adds (10⁹, convolutions and dense layers) torchvision's; receptive fields those of Araujo, Norris &
Sim 2019, doi:10.23915/distill.00021.
"""

import difflib
import functools
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configurations import begun, composed, experiment, group, here, option

import runner as package
from runner import compiling, composition, data, launchable, train
from runner.describe import as_json, bound
from runner.experiment import Experiment
from runner.layers.base import Row, Shape
from runner.layers.passes import Pass
from runner.network import Network

PARAMETERS = {
    "lenet1": 2_578,
    "lenet4": 52_698,
    "lenet5": 61_706,
    "lenet5_1998": 60_000 + 84 * 10 + 10,
    "lenet5_bn": 61_728,
    "lenet_harley": 63_802,
    "lecun1989": 9_760,
    "alexnet": 61_100_840,
    "alexnet_2012": 60_965_224,
    "alexnet_slim": 50_303_912,
    "zfnet": 62_357_608,
    "vgg11": 132_863_336,
    "vgg13": 133_047_848,
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg11_bn": 132_868_840,
    "vgg13_bn": 133_053_736,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "googlenet": 6_624_904,
    "googlenet_aux": 13_004_888,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet50_slim": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    "resnet20_cifar": 269_722,
    "resnet32_cifar": 464_154,
    "resnet44_cifar": 658_586,
    "resnet56_cifar": 853_018,
    "resnet110_cifar": 1_727_962,
    "densenet121": 7_978_856,
    "densenet161": 28_681_000,
    "densenet169": 14_149_480,
    "densenet201": 20_013_928,
    "squeezenet1_0": 1_248_424,
    "mobilenet_v1": 4_231_976,
    "mobilenet_v2": 3_504_872,
    "allcnn_c": 1_369_738,
    "cnn_3x": 357_034,
    "vgg6_cifar": 551_466,
    "cifar10_fast": 1_971_616,
}
BILLIONS = {
    "alexnet": 0.714,
    "vgg11": 7.609,
    "vgg13": 11.308,
    "vgg16": 15.47,
    "vgg19": 19.632,
    "googlenet": 1.498,
    "resnet18": 1.814,
    "resnet34": 3.664,
    "resnet50": 4.089,
    "resnet101": 7.801,
    "resnet152": 11.514,
    "densenet121": 2.834,
    "densenet161": 7.728,
    "densenet169": 3.36,
    "densenet201": 4.291,
    "squeezenet1_0": 0.819,
    "mobilenet_v1": 0.569,
    "mobilenet_v2": 0.301,
}
# Receptive field, effective stride and effective padding of the last feature map.
FIELDS = {
    "alexnet_slim": (195, 32, 64),
    "vgg16": (212, 32, 90),
    "mobilenet_v1": (315, 32, 126),
    "resnet50_slim": (483, 32, 239),
}
SIZES = {"resnet50": 427, "alexnet": 195, "alexnet_2012": 195}
SMALL_PHOTOGRAPHS = {"allcnn_c", "cnn_3x", "cifar10_fast"}
ELSEWHERE = {"textcnn"}  # on texts: its own test
ZOO = sorted(set(group("model")) - ELSEWHERE)


def data_of(name: str) -> str:
    if name in SMALL_PHOTOGRAPHS or name.endswith("_cifar"):
        return "cifar10"
    return "mnist" if name.startswith(("lenet", "lecun")) else "imagenet"


@functools.cache
def of(name: str) -> Experiment:
    return experiment(f"model={name}", f"data={data_of(name)}")


@functools.cache
def network(name: str) -> Network:
    return bound(of(name))


def last(name: str, kind: str) -> list[Row]:
    return [row for row in network(name).rows if row.kind == kind]


def field(row: Row) -> tuple[int, int, int]:
    """Receptive field, stride and padding, which are the same along both axes."""
    [field] = set(row.output.fields)
    return field.size, field.stride, field.padding


def test_every_model_has_its_numbers() -> None:
    assert set(PARAMETERS) == set(ZOO)


@pytest.mark.parametrize("name", ZOO)
def test_parameters(name: str) -> None:
    assert network(name).totals.parameters == PARAMETERS[name]
    assert f"{PARAMETERS[name]:,}" in text(name)  # as its heading says


@pytest.mark.parametrize("name", BILLIONS)
def test_multiply_adds(name: str) -> None:
    assert network(name).totals.multiply_adds / 1e9 == pytest.approx(BILLIONS[name], rel=0.01)


# Receptive fields


@pytest.mark.parametrize("name", FIELDS)
def test_fields_of_the_published_table(name: str) -> None:
    maps = [row for row in network(name).rows if len(row.output.shape) == 3]
    assert field(maps[-1]) == FIELDS[name]


@pytest.mark.parametrize("name", SIZES)
def test_receptive_fields(name: str) -> None:
    maps = [row for row in network(name).rows if len(row.output.shape) == 3]
    assert field(maps[-1])[:2] == (SIZES[name], 32)


def test_every_layer_of_alexnet() -> None:
    convs, pools = last("alexnet_slim", "conv"), last("alexnet_slim", "max_pool")
    assert [field(row)[0] for row in convs] == [11, 51, 99, 131, 163]
    assert [field(row)[0] for row in pools] == [19, 67, 195]
    assert [field(row)[1] for row in (*convs, *pools)] == [4, 8, 16, 16, 16, 8, 16, 32]


# What the papers' tables say of single layers


def test_the_layers_of_lenet5_1998() -> None:
    counted = [row.parameters for row in network("lenet5_1998").rows if row.parameters]
    assert counted == [156, 12, 1_516, 32, 48_120, 10_164, 850]
    assert sum(counted[:-1]) == 60_000


def test_the_layers_of_lecun1989() -> None:
    counted = [row.parameters for row in network("lecun1989").rows if row.parameters]
    assert (sum(counted[:2]), sum(counted[2:4]), *counted[4:]) == (1_068, 2_592, 5_790, 310)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alexnet", [27, 13, 6]),
        ("alexnet_2012", [27, 13, 6]),
        ("zfnet", [55, 13, 6]),
        ("vgg19", [112, 56, 28, 14, 7]),
        ("squeezenet1_0", [54, 27, 13]),
        ("resnet50", [56]),
        ("densenet121", [56]),
    ],
)
def test_sizes_after_pooling(name: str, expected: list[int]) -> None:
    assert [row.output.shape[0] for row in last(name, "max_pool")] == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("googlenet", (7, 7, 1024)),
        ("resnet152", (7, 7, 2048)),
        ("densenet201", (7, 7, 1920)),
        ("mobilenet_v2", (7, 7, 1280)),
        ("squeezenet1_0", (13, 13, 1000)),
        ("resnet110_cifar", (8, 8, 64)),
        ("allcnn_c", (8, 8, 10)),
    ],
)
def test_the_last_feature_map(name: str, expected: Shape) -> None:
    assert [row.output.shape for row in network(name).rows if len(row.output.shape) == 3][-1] == expected


def test_channels_of_the_inception_modules() -> None:
    merged = [row.output.shape[-1] for row in last("googlenet", "branches")]
    assert merged == [256, 480, 512, 512, 512, 528, 832, 832, 1024]


def test_side_heads_work_in_training_alone() -> None:
    plain, aux = network("googlenet").totals, network("googlenet_aux").totals
    assert aux.receptive_field == plain.receptive_field
    weights = [layer for layer in jax.tree.leaves(of("googlenet_aux").model) if layer == 0.3]
    assert len(weights) == 2


# Shapes as JAX has them

DEEP = {"densenet161", "densenet169", "densenet201", "resnet101", "resnet152", "resnet110_cifar"}  # seconds each


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in DEEP else name for name in ZOO])
def test_shapes_as_jax_finds_them(name: str) -> None:
    net, key = network(name), jax.random.key(0)
    params, statistics = jax.eval_shape(lambda: net.init(key))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == PARAMETERS[name]
    x = jax.ShapeDtypeStruct((2, *net.input_shape), jnp.float32)
    for training in (True, False):
        logits, after = jax.eval_shape(
            lambda p, s, x, training=training: net.apply(p, s, x, Pass(training=training, key=key)),
            params,
            statistics,
            x,
        )
        assert logits.shape == (2, net.classes)
        assert jax.tree.structure(statistics).num_leaves <= len(jax.tree.leaves(after))


# The files


@functools.cache
def text(name: str) -> str:
    return (composition.shipped() / "model" / f"{name}.yaml").read_text()


@pytest.mark.parametrize("name", group("model"))
def test_a_model_is_a_page_that_says_where_it_is_from_and_how_to_train_it(name: str) -> None:
    lines = text(name).splitlines()
    heading = "\n".join(line for line in lines if line.startswith("#"))
    assert len(lines) <= 60
    assert max(map(len, lines)) <= 140
    assert f"model={name}" in heading
    assert "python -m runner" in heading
    assert "Source:" in heading or name == "cnn_3x"
    assert option("model", name)["name"] == name


@pytest.mark.parametrize("name", group("block"))
def test_a_block_is_half_a_page_that_shows_its_use(name: str) -> None:
    lines = (composition.shipped() / "block" / f"{name}.yaml").read_text().splitlines()
    assert len(lines) <= 30
    heading = "\n".join(line for line in lines if line.startswith("#"))
    assert f"- {name}: {{" in heading
    assert "Source:" in heading


@pytest.mark.parametrize(
    ("variant", "base"),
    [("resnet152", "resnet50"), ("resnet34", "resnet18"), ("vgg19_bn", "vgg19"), ("densenet201", "densenet121")],
)
def test_a_variant_differs_in_a_few_numbers(variant: str, base: str) -> None:
    said = {key: value for key, value in option("model", variant).items() if key != "defaults"}
    assert set(said) == {"name", "params"}
    differing = [line for line in difflib.ndiff(yaml_of(base), yaml_of(variant)) if line[0] in "+-"]
    assert len(differing) <= 16, differing


def yaml_of(name: str) -> list[str]:
    return launchable.as_yaml(composed(f"model={name}")["model"]).splitlines()


# What describing costs


def test_describing_draws_no_parameter(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: Any) -> None:
        raise AssertionError("describe drew parameters")

    monkeypatch.setattr("runner.network.draw", draw)
    before = len(jax.live_arrays())
    assert json.loads(as_json(experiment("model=resnet152", "data=imagenet")))["totals"]["parameters"] == 60_192_808
    assert len(jax.live_arrays()) == before


def test_describing_takes_work_in_proportion_to_the_layers() -> None:
    """Function calls of this project for a row, three times as many rows apart: seconds would depend on the machine."""
    room = str(Path(package.__file__).parent)

    def calls_per_row(name: str) -> float:
        found, count = experiment(f"model={name}", "data=imagenet"), 0

        def called(frame: FrameType, event: str, argument: object) -> None:
            nonlocal count
            count += event == "call" and frame.f_code.co_filename.startswith(room)

        sys.setprofile(called)
        try:
            said = as_json(found)
        finally:
            sys.setprofile(None)
        return count / len(json.loads(said)["layers"])

    small, large = calls_per_row("resnet50"), calls_per_row("resnet152")
    assert 0 < large < 1.2 * small


# Training

TINY_INPUTS = {"alexnet": 63, "alexnet_2012": 67, "alexnet_slim": 67, "zfnet": 63, "googlenet_aux": 80}


@pytest.mark.slow
@pytest.mark.parametrize("name", ZOO)
def test_one_training_step_on_tiny_inputs(name: str) -> None:
    sizes = {model: TINY_INPUTS.get(model, 32) for model in ZOO if data_of(model) == "imagenet"}
    shrunk = [f"model.input.{side}={sizes[name]}" for side in ("height", "width") if name in sizes]
    found = experiment(f"model={name}", "data=digits", "data.limit=20", "optimizer=sgd", "train.batch_size=2", *shrunk)
    dataset = data.load(found.data)
    training = begun(found, dataset)
    before = jax.tree.map(np.asarray, training.state.params)
    order = training.plan.order(1)
    feed = train.Feed(jnp.asarray(dataset.train.inputs), jnp.asarray(dataset.train.labels), order)
    state, sums = compiling.compiled(training.plan.program, here()).advance(
        compiling.leaves(training.plan.program), training.state, feed, np.float32([1e-3]), np.int32(0), np.int32(1)
    )
    assert np.isfinite(float(sums.images.loss))
    assert int(sums.bad_step) == -1
    moved = jax.tree.map(lambda new, old: bool((np.asarray(new) != old).any()), state.params, before)
    # A ReLU may let nothing through to a filter or two, but no more than that.
    assert np.mean(jax.tree.leaves(moved)) > 0.9
