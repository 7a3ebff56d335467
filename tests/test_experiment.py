"""The experiment against what users get wrong: one line for every fault, and never anything but those lines."""

import itertools
from typing import Any

import jax
import pytest
from configurations import composed, configured, experiment, group, option, parse, report, tiny, with_value

from runner import describe
from runner.errors import ConfigError
from runner.experiment import Experiment, Program, parameters


def test_the_example_of_the_design() -> None:
    layers: list[Any] = [
        {"conv": {"filters": 6, "kernel_size": 5}},
        "relu",
        {"max_pool": {"size": 2}},
        {"conv": {"filters": 16, "kernel_size": 4, "stride": 0}},
        "relu",
        {"cnov": {"filters": 16, "kernel_size": 1}},
        "relu",
        {"max_pool": {"size": 2}},
        "flatten",
        "classifier",
    ]
    config = with_value(composed(), "model.layers", layers)
    config["model"]["input"] = {"height": 12, "width": 12}
    assert report(config) == [
        "model.layers[3].conv.stride: must be ≥ 1, got 0",
        'model.layers[5]: unknown layer "cnov"; did you mean "conv"?',
        "model.layers[7].max_pool.size: must fit the 1×1×16 input, got 2×2",
    ]


FIVE = [
    ("seed", -1, "seed: must be ≥ 0, got -1"),
    ("model.layers[3].conv.stride", 0, "model.layers[3].conv.stride: must be ≥ 1, got 0"),
    ("data.val_fraction", 2, "data.val_fraction: must be < 1, got 2"),
    ("loss.label_smoothing", "a", "loss.label_smoothing: must be a number, got a"),
    ("train.accumulate", 5, "train.accumulate: must divide train.batch_size (32), got 5"),
]


def test_five_places_wrong_are_five_lines_in_the_order_of_the_file() -> None:
    config = composed()
    for path, value, _ in reversed(FIVE):
        config = with_value(config, path, value)
    assert report(config) == [line for _, _, line in FIVE]


def test_what_does_not_fit_together_is_said_before_anything_is_compiled() -> None:
    softmax = composed()
    softmax["model"]["layers"].append("softmax")
    assert report(softmax) == [
        "model.layers[12]: must not be softmax under loss softmax_cross_entropy, which applies it itself"
    ]
    softmax["loss"] = {"name": "l2_loss"}
    assert parse(softmax).loss.name == "l2_loss"

    signals = composed("data=arrays", "data.axes=lc", "augment=crop_flip", "model.input=null")
    signals["data"] |= {"signal": {"length": 16, "channels": 1}, "classes": 2}
    signals["model"]["layers"] = ["flatten", "classifier"]
    assert report(signals) == ["augment: must be empty for data that are not images, got augmentations"]
    signals["augment"], signals["model"]["input"] = {}, {"height": 8, "width": 8}
    assert report(signals) == ["model.input: must be null for data of one axis (16×1), got a size"]


def test_one_number_cannot_ask_for_all_memory() -> None:
    config = with_value(composed("augment=crop_flip"), "augment.random_crop.padding", 10**9)
    config["train"]["evaluation_batch_size"] = 10**9
    assert report(config) == ["train.evaluation_batch_size: must be ≤ 65536, got 1000000000"]
    del config["train"]["evaluation_batch_size"]
    rule = "must be at most 32, the smaller side of the image"
    assert report(config) == [f"augment.random_crop.padding: {rule}, got 1000000000"]


def test_a_list_within_a_layer_list_stands_for_its_entries() -> None:
    config = with_value(composed(), "model.layers[1]", ["tanh", {"conv": {"filters": 0, "kernel_size": 1}}])
    assert report(config) == ["model.layers[2].conv.filters: must be ≥ 1, got 0"]
    config["model"]["layers"][1][1] = {"dropout": {"rate": 0.1}}
    assert [layer.kind for layer in parse(config).model.layers[:4]] == ["conv", "tanh", "dropout", "max_pool"]


def test_what_is_no_text_is_said_so() -> None:
    assert report(with_value(composed(), "model.name", "\udcff")) == [r"model.name: must be Unicode text, got '\udcff'"]
    assert report(with_value(composed(), "model.layers[1]", "\udcff")) == [
        r"model.layers[1]: must be Unicode text, got '\udcff'"
    ]
    config = composed()
    config["train"]["\udcff"] = config["\udcff"] = 1
    assert report(config) == [
        r"train: must have keys of Unicode text, got '\udcff'",
        r"configuration: must have keys of Unicode text, got '\udcff'",
    ]


def test_a_key_that_would_break_the_line_is_written_out() -> None:
    [line] = report(composed() | {"a\nb": 1})
    assert line.startswith(r'a\nb: unknown key "a\nb"')
    [line] = report(composed() | {"": 1})
    assert line.startswith("'': unknown key \"\"; must be one of augment, data")


@pytest.mark.parametrize("depth", [1000, 5000])
@pytest.mark.parametrize("wrap", [lambda inner: [inner], lambda inner: {"repeat": {"times": 1, "layers": [inner]}}])
def test_what_is_nested_beyond_reading_is_refused(depth: int, wrap: Any) -> None:
    entry: Any = "relu"
    for _ in range(depth):
        entry = wrap(entry)
    config = composed()
    config["model"]["layers"] = [entry, "flatten", "classifier"]
    assert report(config) == ["configuration: must be less deeply nested"]


# What an experiment comes to


OPTIONS = [
    f"{name}={option}"
    for name in ("model", "augment", "loss", "optimizer", "schedule", "tracking", "debug")
    for option in group(name)
]


@pytest.mark.parametrize("data", group("data"))
def test_every_data_set_goes_with_the_default_model(data: str) -> None:
    found = experiment(f"data={data}", *({"waves": ["model.input=null"]}.get(data, [])))
    if data == "waves":  # signals have one axis, along which a kernel has one size
        assert found.data.shape == (128, 1)
    elif found.data.shape is not None and found.data.class_count is not None:
        assert "classifier" in describe.as_text(found)
    else:
        with pytest.raises(ConfigError, match=r"data\.(image|classes): must be given"):
            describe.as_text(found)


# What an option needs beside it, if it does not go with the digits.
BESIDE = {
    "model=textcnn": ("data=text", "data.classes=2", "data.vocabulary=1000"),
    **dict.fromkeys(("loss=sigmoid_cross_entropy", "loss=sigmoid_focal"), ("task=multi_label",)),
    "loss=huber": ("task=regression",),
}


@pytest.mark.parametrize("option", OPTIONS)
def test_every_shipped_option_composes_and_is_described(option: str) -> None:
    assert "\ntotal" in describe.as_text(experiment(option, *BESIDE.get(option, ())))


def test_every_option_goes_with_every_other() -> None:
    base, names = composed(), ("data", "augment", "loss", "optimizer", "schedule")
    # The default model is one of images, and signals are none; the default task has its own losses.
    others = {"waves", "sigmoid_cross_entropy", "sigmoid_focal", "huber"}
    files = {name: [option(name, stem) for stem in group(name) if stem not in others] for name in names}
    for first, second in itertools.combinations(names, 2):
        for one, other in itertools.product(files[first], files[second]):
            assert parse(base | {first: one, second: other}).model.name == "lenet5"


def test_a_default_experiment_is_hashable_and_equal_to_itself() -> None:
    assert experiment() == experiment()
    assert hash(experiment()) == hash(experiment())
    assert experiment() != experiment("seed=1")


def program(found: Experiment) -> Program:
    return found.program(found.network((8, 8, 1), 10), mean=(0.3,), std=(0.4,))


TRACED = (
    "seed=1",
    "optimizer.learning_rate=0.5",
    "optimizer.b1=0.5",
    "optimizer.weight_decay=0.2",
    "loss.label_smoothing=0.2",
    "model.layers.4.dropout.rate=0.9",
    "augment.affine.degrees=3.0",
    "train.clip.norm=3.0",
    "train.ema_decay=0.5",
)
STATIC = (
    "model.layers.0.conv.filters=5",
    "train.batch_size=16",
    "train.accumulate=2",
    "train.precision=bfloat16",
    "optimizer.name=lamb",
    "train.ema_decay=null",
    "optimizer.nesterov=true",
    "augment=none",
)
KNOBS = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, {max_pool: {size: 2}}, flatten, {dropout: {rate: 0.5}}, "
    "classifier]",
    "optimizer.weight_decay=0.1",
    "optimizer.name=adamw",
    "optimizer.b1=0.9",
    "loss.label_smoothing=0.1",
    "train.clip.norm=1.0",
    "train.ema_decay=0.9",
    "augment=affine",
)


def test_real_numbers_are_traced_and_structure_is_not() -> None:
    base = jax.tree.structure(program(tiny(*KNOBS)))
    for change in TRACED:
        assert jax.tree.structure(program(tiny(*KNOBS, change))) == base, change
    for change in STATIC:
        assert jax.tree.structure(program(tiny(*KNOBS, change))) != base, change


def test_a_model_that_does_not_fit_the_data_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        tiny().network((2, 2, 1), 10)
    assert str(caught.value) == "model.layers[0].conv.kernel_size: must fit the 2×2×1 input, got 3×3"


def test_parameters_are_every_value_outside_the_layers_by_its_dotted_path() -> None:
    asked = configured("data=mnist", "optimizer=momentum", "augment=affine", "model.input.height=28")
    found = parameters(asked.experiment) | parameters(asked.tracking, "tracking")
    assert not any(path.startswith("model.layers") for path in found)
    expected = {
        "seed": "0",
        "model.name": "lenet5",
        "model.input.height": "28",
        "data.image.channels": "1",
        "data.train_images.file": "train-images-idx3-ubyte.gz",
        "augment.affine.degrees": "10.0",
        "optimizer.momentum": "0.9",
        "optimizer.nesterov": "true",
        "train.epochs": "15",
        "tracking.experiment": "mnist",
    }
    assert expected.items() <= found.items()
    assert "null" not in found.values()


@pytest.mark.parametrize(
    ("choices", "expected"),
    [
        (("optimizer=adam",), {"b1": "0.9", "b2": "0.999", "eps": "1e-08", "nesterov": "false"}),
        (("optimizer=adam", "optimizer.b1=0.8"), {"b1": "0.8", "b2": "0.999"}),
        (("optimizer.name=adamw",), {"weight_decay": "0.0001"}),
        (("optimizer.name=adafactor",), {"dtype_momentum": "float32", "factored": "true"}),
    ],
)
def test_arguments_left_at_optax_s_defaults_are_parameters(choices: tuple[str, ...], expected: dict[str, str]) -> None:
    """As optax 0.2.8 documents them."""
    found = parameters(configured(*choices).experiment)
    assert {f"optimizer.{name}": text for name, text in expected.items()}.items() <= found.items()
    assert found["schedule.alpha"] == "0.0"
    assert "optimizer.mu_dtype" not in found
