"""What is wrong in one place is said in one line, with its path, the rule and the value; here stand those lines."""

import math
import random
from typing import Any

import pytest
from configurations import composed, report, with_value, without

from runner.errors import shown
from runner.faults import dotted

# One place wrong: the default configuration with a value at a path, and the one line that says so.
SOURCES = "digits, idx, cifar, folder, table, parquet, webdataset, arrays, text, photograph, waves, written"

WRONG: list[tuple[str, Any, str]] = [
    ("seed", -1, "seed: must be ≥ 0, got -1"),
    ("train.device_count", 0, "train.device_count: must be a whole number from 1 on, or all, got 0"),
    ("train.device_count", "two", "train.device_count: must be a whole number from 1 on, or all, got two"),
    ("seed", 4294967296, "seed: must be ≤ 4294967295, got 4294967296"),
    ("seed", 1.5, "seed: must be a whole number, got 1.5"),
    ("seed", "zero", "seed: must be a whole number, got zero"),
    ("seed", True, "seed: must be a whole number, got true"),
    ("seed", None, "seed: must be a whole number, got null"),
    ("seed", [1], "seed: must be a whole number, got [1]"),
    ("model", 3, "model: must be a mapping, got 3"),
    ("model", None, "model: must be a mapping, got null"),
    ("model.name", "", "model.name: must not be empty, got ''"),
    ("model.name", 3, "model.name: must be a word, got 3"),
    ("model.nam", "x", 'model.nam: unknown key "nam"; did you mean "name"?'),
    ("model.input", 3, "model.input: must be a mapping such as {height: 3, width: 3}, got 3"),
    ("data.image", 64, "data.image: must be a mapping such as {height: 64, width: 64, channels: 3}, got 64"),
    ("model.input.height", 0, "model.input.height: must be ≥ 1, got 0"),
    ("model.input.fit", "stretch", "model.input.fit: must be one of resize, pad, crop, got stretch"),
    ("model.input.depth", 3, 'model.input.depth: unknown key "depth"; did you mean "width"?'),
    ("model.input.fit", "crop", "model.input: must be at most 8×8, the size of the images, for fit=crop, got 32×32"),
    ("model.layers", [], "model.layers: must have at least 1 entry, got []"),
    ("model.layers", 3, "model.layers: must be a list, got 3"),
    ("model.layers", "relu", "model.layers: must be a list, got relu"),
    ("model.layers", {"a": 1}, "model.layers: must be a list, got {a: 1}"),
    ("model.layers[0].conv.filters", 0, "model.layers[0].conv.filters: must be ≥ 1, got 0"),
    ("model.layers[0].conv.filters", "six", "model.layers[0].conv.filters: must be a whole number, got six"),
    ("model.layers[0].conv.kernel_size", 0, "model.layers[0].conv.kernel_size: must be ≥ 1, got 0"),
    (
        "model.layers[0].conv.kernel_size",
        [5, 5, 5],
        "model.layers[0].conv.kernel_size: must be a whole number ≥ 1, or one for each axis as in [3, 3], "
        "got [5, 5, 5]",
    ),
    ("model.layers[0].conv.kernel_size", 40, "model.layers[0].conv.kernel_size: must fit the 32×32×1 input, got 40×40"),
    ("model.layers[0].conv.stride", 0, "model.layers[0].conv.stride: must be ≥ 1, got 0"),
    (
        "model.layers[0].conv.padding",
        "sme",
        "model.layers[0].conv.padding: must be valid, same, full, causal, pixels, [h, w] or "
        "[[top, bottom], [left, right]], got sme",
    ),
    (
        "model.layers[0].conv.padding",
        -1,
        "model.layers[0].conv.padding: must be valid, same, full, causal, pixels, [h, w] or "
        "[[top, bottom], [left, right]], got -1",
    ),
    (
        "model.layers[0].conv.padding",
        "causal",
        "model.layers[0].conv.padding: must not be causal over two axes, got causal",
    ),
    (
        "model.layers[0].conv.padding_mode",
        "mirror",
        "model.layers[0].conv.padding_mode: must be one of zeros, reflect, replicate, circular, got mirror",
    ),
    ("model.layers[0].conv.groups", 4, "model.layers[0].conv.groups: must divide the input's channels, 1, got 4"),
    ("model.layers[0].conv.use_bias", 1, "model.layers[0].conv.use_bias: must be true or false, got 1"),
    (
        "model.layers[0].conv.kernal_size",
        5,
        'model.layers[0].conv.kernal_size: unknown key "kernal_size"; did you mean "kernel_size"?',
    ),
    (
        "model.layers[0].conv.kernel_init",
        "he_norml",
        'model.layers[0].conv.kernel_init: unknown initialiser "he_norml"; did you mean "he_normal"?',
    ),
    ("model.layers[0].conv", 7, "model.layers[0].conv: must be a mapping such as {filters: 7, kernel_size: 3}, got 7"),
    ("model.layers[3]", "cnov", 'model.layers[3]: unknown layer "cnov"; did you mean "conv"?'),
    ("model.layers[3]", 7, "model.layers[3]: must be a kind of layer or a mapping from one to its arguments, got 7"),
    ("model.layers[3]", {}, "model.layers[3]: must have one key, the kind of layer, got {}"),
    (
        "model.layers[3]",
        {"relu": None, "tanh": None},
        "model.layers[3]: must have one key, the kind of layer (in an override, [{tanh: …}] replaces a layer, and a "
        "mapping adds to it), got {relu: null, tanh: null}",
    ),
    ("model.layers[3]", {"dropout": {"rate": 1.0}}, "model.layers[3].dropout.rate: must be < 1, got 1.0"),
    (
        "model.layers[3]",
        {"dropout": {"rate": math.nan}},
        "model.layers[3].dropout.rate: must be a finite number, got nan",
    ),
    ("model.layers[3]", {"max_pool": {"size": 2, "stride": 0}}, "model.layers[3].max_pool.stride: must be ≥ 1, got 0"),
    (
        "model.layers[3]",
        {"repeat": {"times": -1, "layers": ["relu"]}},
        "model.layers[3].repeat.times: must be ≥ 0, got -1",
    ),
    (
        "model.layers[3]",
        {"repeat": {"times": 2, "layers": ["rlu"]}},
        'model.layers[3].repeat.layers[0]: unknown layer "rlu"; did you mean "relu"?',
    ),
    ("model.layers[3]", {"repeat": {"times": 2}}, "model.layers[3].repeat.layers: must be given, got nothing"),
    ("model.layers[3]", "flatten", "model.layers[5].max_pool: must have an input of one or two spatial axes, got 1176"),
    ("model.layers[6]", "relu", "model.layers[7].dense: must have a flat input (put flatten before it), got 5×5×16"),
    (
        "model.layers[11]",
        "relu",
        "model.layers[11]: must give one output for each of 10 classes (end with classifier), got 84",
    ),
    (
        "model.layers[11]",
        "softmax",
        "model.layers[11]: must give one output for each of 10 classes (end with classifier), got 84",
    ),
    ("model.layers[7].dense.units", 0, "model.layers[7].dense.units: must be ≥ 1, got 0"),
    ("model.layers[7].dense", {}, "model.layers[7].dense.units: must be given, got nothing"),
    (
        "data",
        "mnist",
        f"data: must be a mapping with a source ({SOURCES}), got mnist",
    ),
    (
        "data",
        None,
        f"data: must be a mapping with a source ({SOURCES}), got null",
    ),
    ("data.source", "digit", 'data: unknown data source "digit"; did you mean "digits"?'),
    (
        "data.source",
        None,
        f"data: must be a mapping with a source ({SOURCES}), got {{source: null, name: digits}}",
    ),
    (
        "data.source",
        3,
        f"data: must be a mapping with a source ({SOURCES}), got {{source: 3, name: digits}}",
    ),
    ("data.val_fraction", 0, "data.val_fraction: must be > 0, got 0"),
    ("data.val_fraction", 1.0, "data.val_fraction: must be < 1, got 1.0"),
    ("data.limit", 0, "data.limit: must be ≥ 1, got 0"),
    ("data.root", "", "data.root: must not be empty, got ''"),
    ("data.rot", "x", 'data.rot: unknown key "rot"; did you mean "root"?'),
    ("data.mean", [0.1, 0.2], "data: must have as many values of mean as channels (1), got [0.1, 0.2]"),
    ("data.std", [0.0], "data.std[0]: must be > 0, got 0.0"),
    ("data.std", 0.5, "data.std: must be a list, got 0.5"),
    ("data.class_names", ["a", "b"], "data: must have as many class_names as classes (10), got 2"),
    ("augment", 3, "augment: must be a mapping, got 3"),
    ("augment.flip", {}, 'augment.flip: unknown key "flip"; did you mean "horizontal_flip"?'),
    ("augment.horizontal_flip", {"probability": 2}, "augment.horizontal_flip.probability: must be ≤ 1, got 2"),
    ("augment.mixup", {"alpha": 0}, "augment.mixup.alpha: must be > 0, got 0"),
    ("augment.mixup", {}, "augment.mixup.alpha: must be given, got nothing"),
    ("augment.random_crop", {"padding": 1.5}, "augment.random_crop.padding: must be a whole number, got 1.5"),
    ("loss", "hinge", "loss: must be a mapping, got hinge"),
    (
        "loss.name",
        "hinge",
        "loss.name: must be one of softmax_cross_entropy, softmax_focal_loss, l2_loss, multiclass_hinge_loss, "
        "sigmoid_binary_cross_entropy, sigmoid_focal_loss, huber_loss, got hinge",
    ),
    (
        "loss.name",
        None,
        "loss.name: must be one of softmax_cross_entropy, softmax_focal_loss, l2_loss, multiclass_hinge_loss, "
        "sigmoid_binary_cross_entropy, sigmoid_focal_loss, huber_loss, got null",
    ),
    ("loss", {}, "loss.name: must be given, got nothing"),
    ("task", "regression", "task: must be a mapping, got regression"),
    ("task.name", "ranking", "task.name: must be one of classification, multi_label, regression, got ranking"),
    ("task.threshold", 0.5, 'task.threshold: unknown key "threshold"; must be one of name'),
    (
        "data.targets",
        {"tilt": {"rotation": 200}},
        "data.targets: must make tilt of a list of classes, ink, or {rotation: DEGREES} above 0 and up to 180, got "
        "{rotation: 200}",
    ),
    ("loss.label_smoothing", 1.5, "loss.label_smoothing: must be ≤ 1, got 1.5"),
    ("loss.label_smoothing", "a", "loss.label_smoothing: must be a number, got a"),
    ("loss.label_smoothing", math.inf, "loss.label_smoothing: must be a finite number, got inf"),
    ("optimizer.name", "adm", 'optimizer.name: unknown optimizer "adm"; did you mean "adam"?'),
    ("optimizer.name", 3, "optimizer.name: must be a word, got 3"),
    (
        "optimizer.name",
        "sophia",
        "optimizer.name: must be another optimiser, as this one needs an estimate of the Hessian, got sophia",
    ),
    ("optimizer.learning_rate", -1, "optimizer.learning_rate: must be ≥ 0, got -1"),
    ("optimizer.learning_rate", "fast", "optimizer.learning_rate: must be a number, got fast"),
    ("optimizer.learning_rate", math.nan, "optimizer.learning_rate: must be a finite number, got nan"),
    (
        "optimizer.momentum",
        0.9,
        'optimizer.momentum: unknown adam argument "momentum"; must be one of b1, b2, bias_scale, eps, eps_root, '
        "learning_rate, mu_dtype, name, nesterov, weight_decay, weight_decay_mask",
    ),
    ("optimizer.b1", 1.0, "optimizer.b1: must be ≥ 0 and < 1, got 1.0"),
    ("optimizer.b1", "x", "optimizer.b1: must be a number, got x"),
    ("optimizer.weight_decay", -1, "optimizer.weight_decay: must be ≥ 0, got -1"),
    ("optimizer.weight_decay_mask", "bias", "optimizer.weight_decay_mask: must be one of weights, all, got bias"),
    ("optimizer", {"name": "adam"}, "optimizer.learning_rate: must be given, got nothing"),
    ("schedule.name", "cosine", 'schedule.name: unknown schedule "cosine"; did you mean "cosine_decay_schedule"?'),
    ("schedule.alpha", "x", "schedule.alpha: must be a number, got x"),
    ("schedule.warmup_epochs", -1, "schedule.warmup_epochs: must be ≥ 0, got -1"),
    ("schedule.warmup_steps", 1.5, "schedule.warmup_steps: must be a whole number, got 1.5"),
    ("schedule.boundaries_in", "days", "schedule.boundaries_in: must be one of steps, epochs, got days"),
    (
        "schedule",
        {"name": "warmup_cosine_decay_schedule"},
        "schedule.warmup_epochs: must be given for warmup_cosine_decay_schedule (or warmup_steps), got null",
    ),
    ("train.epochs", 0, "train.epochs: must be ≥ 1, got 0"),
    ("train.epochs", 1.5, "train.epochs: must be a whole number, got 1.5"),
    ("train.epochs", True, "train.epochs: must be a whole number, got true"),
    ("train.epochs", "5", "train.epochs: must be a whole number, got 5"),
    ("train.steps", 0, "train.steps: must be ≥ 1, got 0"),
    ("train.batch_size", 0, "train.batch_size: must be ≥ 1, got 0"),
    ("train.accumulate", 0, "train.accumulate: must be ≥ 1, got 0"),
    ("train.accumulate", 5, "train.accumulate: must divide train.batch_size (32), got 5"),
    ("train.clip", 1.0, "train.clip: must be a mapping such as {value: 1.0}, got 1.0"),
    ("train.clip.norm", 0, "train.clip.norm: must be > 0, got 0"),
    ("train.clip.value", -1, "train.clip.value: must be > 0, got -1"),
    ("train.ema_decay", 1.0, "train.ema_decay: must be < 1, got 1.0"),
    ("train.precision", "float16", "train.precision: must be one of float32, bfloat16, got float16"),
    ("train.device", "cuda", "train.device: must be one of auto, cpu, gpu, tpu, got cuda"),
    ("train.early_stopping", 3, "train.early_stopping: must be a mapping such as {patience: 3}, got 3"),
    ("train.early_stopping.patience", 0, "train.early_stopping.patience: must be ≥ 1, got 0"),
    (
        "train.early_stopping.metric",
        "val/loss",
        "train.early_stopping.metric: must be given as train.monitor.metric, got val/loss",
    ),
    (
        "train.monitor.metric",
        "test/loss",
        'train.monitor.metric: unknown metric "test/loss"; did you mean "val/loss"?',
    ),
    (
        "train.monitor.direction",
        "up",
        "train.monitor.direction: must be one of maximize, minimize, got up",
    ),
    ("train.early_stopping.min_delta", -1, "train.early_stopping.min_delta: must be ≥ 0, got -1"),
    ("train.keep", "all", "train.keep: must be one of last, best, got all"),
    ("train.until_accuracy", 0, "train.until_accuracy: must be > 0, got 0"),
    ("train.until_accuracy", 1.5, "train.until_accuracy: must be ≤ 1, got 1.5"),
    ("train.evaluation_batch_size", 0, "train.evaluation_batch_size: must be ≥ 1, got 0"),
    ("train.debug_nans", "yes", "train.debug_nans: must be true or false, got yes"),
    ("train.epoch", 3, 'train.epoch: unknown key "epoch"; did you mean "epochs"?'),
    (
        "tracking.uri",
        "mlruns",
        "tracking.uri: must be a database such as sqlite:///outputs/mlflow.db or a server such as "
        "http://localhost:5000, got mlruns",
    ),
    ("tracking.enabled", "no", "tracking.enabled: must be true or false, got no"),
    ("tracking.experiment", "", "tracking.experiment: must not be empty, got ''"),
    ("tracking.tags", ["a"], "tracking.tags: must be a mapping, got [a]"),
    ("tracking.tags.a", [1], "tracking.tags: must map names to texts, got {a: [1]}"),
    ("tracking.run_name", 3, "tracking.run_name: must be a word, got 3"),
    ("describe.format", "xml", "describe.format: must be one of table, json, html, got xml"),
    ("ui.port", 0, "ui.port: must be ≥ 1, got 0"),
    ("ui.port", 70000, "ui.port: must be ≤ 65535, got 70000"),
    ("ui.host", 1, "ui.host: must be a word, got 1"),
    ("sedd", 1, 'sedd: unknown key "sedd"; did you mean "seed"?'),
]

NAMES = [f"{path}={shown(value, 20)}" for path, value, _ in WRONG]


@pytest.mark.parametrize(("path", "value", "line"), WRONG, ids=NAMES)
def test_one_wrong_value_is_one_line(path: str, value: Any, line: str) -> None:
    assert report(with_value(composed(), path, value)) == [line]


@pytest.mark.parametrize(
    ("options", "path", "value", "line"),
    [
        (
            ("optimizer=momentum",),
            "optimizer.momentum",
            1.5,
            "optimizer.momentum: must be ≥ 0 and < 1, got 1.5",
        ),
        (
            ("schedule=exponential",),
            "schedule.transition_epochs",
            0,
            "schedule.transition_epochs: must be a number of epochs > 0, got 0",
        ),
        (("augment=cutout",), "augment.cutout.size", 0, "augment.cutout.size: must be > 0, got 0"),
        (("data=arrays",), "data.axes", "wh", "data.axes: must be one of hwc, lc, got wh"),
        (
            ("data=arrays",),
            "data.signal",
            {"length": 3, "channels": 1},
            "data: must leave signal null for axes=hwc, got {length: 3, channels: 1}",
        ),
        (("data=mnist",), "data.train_images", None, "data.train_images: must be a mapping, got null"),
        (
            ("data=mnist",),
            "data.train_images.checksum",
            "md5",
            "data.train_images.checksum: must match ^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$, got md5",
        ),
        (("data=mnist",), "data.image.height", 0, "data.image.height: must be ≥ 1, got 0"),
        (("data=cifar100",), "data.labels", "both", "data.labels: must be one of fine, coarse, got both"),
    ],
)
def test_one_wrong_value_in_another_option_is_one_line(
    options: tuple[str, ...], path: str, value: Any, line: str
) -> None:
    assert report(with_value(composed(*options), path, value)) == [line]


@pytest.mark.parametrize("path", ["model", "data", "optimizer", "train"])
def test_a_part_without_defaults_must_be_given(path: str) -> None:
    assert report(without(composed(), path)) == [f"{path}: must be given, got nothing"]


def test_a_missing_argument_is_reported_at_its_path() -> None:
    lines = [
        "model.layers[0].conv.filters: must be given, got nothing",
        "model.layers[0].conv.kernel_size: must be given, got nothing",
    ]
    for entry in ("conv", {"conv": None}, {"conv": {}}):
        assert report(with_value(composed(), "model.layers[0]", entry)) == lines


# Faults of different parts, none of which hides or brings about another.
APART = [
    entry
    for entry in WRONG
    if entry[0].count(".") == 1
    and not entry[0].startswith("model")
    and entry[0] not in ("data.source", "loss.name", "optimizer.name", "schedule.name", "data.mean", "data.class_names")
    and not (entry[0] == "train.accumulate" and entry[1])
    and entry[0] not in ("augment.mixup", "augment.horizontal_flip", "augment.random_crop")
]


@pytest.mark.parametrize("seed", range(20))
def test_wrong_values_in_any_five_parts_are_five_lines(seed: int) -> None:
    entries = {path: (value, line) for path, value, line in random.Random(seed).sample(APART, len(APART))}
    chosen = dict(list(entries.items())[:5])
    config = composed()
    for path, (value, _) in chosen.items():
        config = with_value(config, path, value)
    assert sorted(report(config)) == sorted(line for _, line in chosen.values())


RAW = {"model": {"layers": ("conv", {"conv": {"stride": 0}})}, "data": {"source": "digits"}, 3: 1, "": {"a": 1}}


@pytest.mark.parametrize(
    ("location", "path"),
    [
        ((), ""),
        (("model",), "model"),
        (("model", "layers", 1, "conv", "stride"), "model.layers[1].conv.stride"),
        (("model", "layers", 0, "conv"), "model.layers[0].conv"),
        (("data", "Digits", "source"), "data.source"),  # the name of a union's member is none of the user's
        (("data", "mirrors"), "data.mirrors"),
        ((3,), "3"),
        (("", "a"), "''.a"),
    ],
)
def test_a_location_becomes_a_path(location: tuple[Any, ...], path: str) -> None:
    assert dotted(location, RAW) == path
