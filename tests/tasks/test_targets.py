"""Labels and numbers that YAML makes of classes and images, and those that files have."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from configurations import composed, experiment, report
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pyarrow import parquet

from runner import data
from runner.data import Dataset
from runner.data.targets import strata
from runner.errors import ConvrunnerError

EVEN = {"0", "2", "4", "6", "8"}


def digits(targets: str, task: str, *others: str) -> Dataset:
    """The digits with these targets."""
    return data.load(experiment(f"task={task}", f"data.targets={targets}", *others).source)


def test_a_label_holds_of_its_classes() -> None:
    plain = data.load(experiment().source)
    found = digits("{is_even: [0, 2, 4, 6, 8], above_4: [5, 6, 7, 8, 9]}", "multi_label", "data.val_fraction=0.2")
    assert (found.classes, found.form) == (("is_even", "above_4"), "labels")
    known = {image.tobytes(): int(label) for image, label in zip(plain.train.inputs, plain.train.labels, strict=True)}
    seen = 0
    for image, labels in zip(found.train.inputs, found.train.labels, strict=True):
        if (digit := known.get(image.tobytes())) is not None:
            assert labels.tolist() == [digit % 2 == 0, digit > 4]
            seen += 1
    assert seen > 500


def test_classes_go_by_their_names(tmp_path: Path) -> None:
    for name in ("cat", "dog", "oak"):
        (tmp_path / name).mkdir()
        for index in range(8):
            Image.fromarray(np.full((6, 6, 3), 10 * index + len(name), np.uint8)).save(tmp_path / name / f"{index}.png")
    source = experiment(
        "data=folder", f"data.root={tmp_path}", "task=multi_label", "data.targets={animal: [cat, dog], plant: [oak]}"
    ).source
    found = data.load(source)
    for labels, file in zip(found.train.labels, found.train.files, strict=True):
        assert labels.tolist() == ([0, 1] if file.startswith("oak") else [1, 0])


def test_ink_is_the_mean_of_the_pixels_and_angles_turn_as_pillow_does() -> None:
    plain = digits("{ink: ink}", "regression")
    np.testing.assert_allclose(plain.train.labels[:, 0], plain.train.inputs.mean(axis=(1, 2, 3)) / 255, rtol=1e-6)
    turned = digits("{angle: {rotation: 30}}", "regression")
    # Held out by tenths of the angles, so that the sets have other members: the images themselves tell which is which.
    upright = {bytes(image): image for image in data.load(experiment().source).train.inputs}
    originals = np.stack(list(upright.values()))
    matched = 0
    for image, (angle,) in zip(turned.train.inputs[:40], turned.train.labels[:40], strict=True):
        assert -30 <= angle <= 30
        candidates = [
            np.asarray(Image.fromarray(own[..., 0]).rotate(float(angle), Image.Resampling.BILINEAR))
            for own in originals
        ]
        matched += any(np.array_equal(image[..., 0], own) for own in candidates)
    assert matched > 20


def test_the_same_configuration_draws_the_same_angles() -> None:
    one, again = (digits("{angle: {rotation: 45}}", "regression") for _ in range(2))
    other = digits("{angle: {rotation: 45}}", "regression", "data.split_seed=1")
    assert one.digest == again.digest != other.digest
    assert abs(float(one.train.labels.mean())) < 3
    assert 24 < float(one.train.labels.std()) < 28  # 90 / √12 = 26


@given(st.integers(10, 300), st.integers(1, 4), st.integers(0, 99))
@settings(max_examples=50, deadline=None)
def test_strata_are_combinations_of_labels_and_tenths_of_numbers(count: int, width: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, 2, (count, width)).astype(np.float32)
    found = strata(labels)
    for one in np.unique(found):
        assert len(np.unique(labels[found == one], axis=0)) == 1
    assert len(np.unique(found)) == len(np.unique(labels, axis=0))
    numbers = draw.normal(size=(count, width)).astype(np.float32)
    tenths = strata(numbers)
    assert np.ptp(np.bincount(tenths, minlength=10)) <= 1
    assert (np.diff(tenths[numbers[:, 0].argsort()]) >= 0).all()


TABLE = "file,patient,age,ill,smokes,weight\n" + "".join(
    f"{index}.png,{index // 2},{20 + index},{['yes', 'no'][index % 2]},{index % 3 == 0},{index / 7:.3f}\n"
    for index in range(30)
)


def test_columns_of_a_table_are_targets(tmp_path: Path) -> None:
    for index in range(30):
        Image.fromarray(np.full((6, 6), 8 * index, np.uint8)).save(tmp_path / f"{index}.png")
    (tmp_path / "own.csv").write_text(TABLE)
    root = ("data=table", f"data.root={tmp_path / 'own.csv'}")
    found = data.load(
        experiment(*root, "task=regression", "data.targets=[age, weight]", "data.group_by=patient").source
    )
    assert found.classes == ("age", "weight")
    for part in (found.train, found.val, found.test):
        assert len(part)
        for image, (age, weight) in zip(part.inputs, part.labels, strict=True):
            index = image[0, 0, 0] // 8
            assert (age, weight) == (20 + index, pytest.approx(index / 7, abs=1e-3))
    labelled = data.load(experiment(*root, "task=multi_label", "data.targets=[ill, smokes]").source)
    for image, labels in zip(labelled.test.inputs, labelled.test.labels, strict=True):
        index = int(image[0, 0, 0]) // 8
        assert labels.tolist() == [index % 2 == 0, index % 3 == 0]
    alone = data.load(experiment(*root, "task=regression", "data.label_column=age").source)
    assert (alone.classes, alone.train.labels.shape) == (("age",), (len(alone.train), 1))
    with pytest.raises(ConvrunnerError, match=r"own\.csv, line 2: must have a number in file, got 0\.png"):
        data.load(experiment(*root, "task=regression", "data.targets=[file]", "data.path_column=file").source)
    with pytest.raises(ConvrunnerError, match=r'must have a column wait in its header.*did you mean "weight"'):
        data.load(experiment(*root, "task=regression", "data.targets=[wait]").source)


def test_columns_of_parquet_files_are_targets(tmp_path: Path) -> None:
    images = []
    for index in range(30):
        Image.fromarray(np.full((6, 6), 8 * index, np.uint8)).save(stream := io.BytesIO(), "PNG")
        images.append(stream.getvalue())
    columns: dict[str, list[Any]] = {
        "image": images,
        "age": list(range(20, 50)),
        "ill": [index % 2 == 0 for index in range(30)],
        "label": ["1"] * 20 + ["oak"] * 10,
    }
    for shard, rows in (("train-00000-of-00002", slice(0, 14)), ("train-00001-of-00002", slice(14, 30))):
        parquet.write_table(
            pyarrow.table({name: values[rows] for name, values in columns.items()}), tmp_path / f"{shard}.parquet"
        )
    root = ("data=parquet", f"data.root={tmp_path}")
    told: list[str] = []
    found = data.load(experiment(*root, "task=regression", "data.targets=[ill, age]").source, report=told.append)
    assert told[0] == f"{tmp_path}: images in the column image, targets in ill, age"
    assert found.classes == ("ill", "age")
    for part in (found.train, found.val, found.test):
        for image, labels in zip(part.inputs, part.labels, strict=True):
            index = int(image[0, 0, 0]) // 8
            assert labels.tolist() == [index % 2 == 0, 20 + index]
    alone = data.load(experiment(*root, "task=regression", "data.label_column=age").source)
    assert (alone.classes, alone.train.labels.shape) == (("age",), (len(alone.train), 1))
    place = f"{tmp_path}/train-00001-of-00002.parquet, row"
    with pytest.raises(ConvrunnerError, match=f"{place} 6: must have a number in label, got oak"):
        data.load(experiment(*root, "task=multi_label", "data.targets=[ill, label]").source)
    parquet.write_table(
        pyarrow.table({"image": images[:2], "age": [1, None], "ill": [True, False]}),
        tmp_path / "train-00001-of-00002.parquet",
    )
    with pytest.raises(ConvrunnerError, match=f"{place} 1: must have a age, got null"):
        data.load(experiment(*root, "task=regression", "data.targets=[age]").source)


def test_columns_of_a_table_of_texts_are_targets(tmp_path: Path) -> None:
    rows = "".join(f"word {index},{index / 8},{index % 2},{index % 3 == 0}\n" for index in range(30))
    (tmp_path / "own.csv").write_text(f"text,price,new,good\n{rows}")
    root = ("model=textcnn", "data=text", f"data.root={tmp_path / 'own.csv'}")
    found = data.load(experiment(*root, "task=regression", "data.label_column=price").source)
    assert found.classes == ("price",)
    known = {f"{index}": index / 8 for index in range(30)}
    for tokens, (price,) in zip(found.train.inputs, found.train.labels, strict=True):
        assert price == known[found.vocabulary[tokens[1, 0]]]
    labelled = data.load(experiment(*root, "task=multi_label", "data.targets=[new, good]").source)
    for tokens, labels in zip(labelled.train.inputs, labelled.train.labels, strict=True):
        index = int(labelled.vocabulary[tokens[1, 0]])
        assert labels.tolist() == [index % 2, index % 3 == 0]
    with pytest.raises(ConvrunnerError, match=r"own\.csv, line 2: must have a number in text, got word 0"):
        data.load(experiment(*root, "task=regression", "data.targets=[text]").source)


def arrays(folder: Path, labels: Any) -> str:
    """A file of 40 images with these labels."""
    images = np.random.default_rng(0).integers(0, 256, (len(labels), 6, 6, 1), np.uint8)
    np.savez(folder / "own.npz", x_train=images, y_train=labels)
    return f"data.root={folder / 'own.npz'}"


def test_columns_of_a_file_are_targets(tmp_path: Path) -> None:
    draw = np.random.default_rng(0)
    labels = draw.integers(0, 2, (40, 3))
    root = arrays(tmp_path, labels)
    found = data.load(experiment("data=arrays", root, "task=multi_label").source)
    assert (found.classes, found.train.labels.dtype) == (("target_0", "target_1", "target_2"), np.float32)
    named = data.load(experiment("data=arrays", root, "task=multi_label", "data.targets=[a, b, c]").source)
    assert named.classes == ("a", "b", "c")
    np.testing.assert_array_equal(named.test.labels, found.test.labels)
    root = arrays(tmp_path, draw.normal(size=40))
    found = data.load(experiment("data=arrays", root, "task=regression").source)
    assert (found.classes, found.train.labels.shape[1]) == (("target_0",), 1)


WRONG = [
    (
        ("task=multi_label", "data.targets={is_ten: [10]}"),
        "data.targets.is_ten: must name classes of the data (0, 1, 2, 3, 4, 5, 6, 7, 8, 9), got 10",
    ),
    (
        ("task=multi_label",),
        "data.targets: must say what is learnt of data with classes, such as {first_two: [0, 1]}, got null",
    ),
    (
        ("task=regression", "data.targets=[a, b]"),
        "data.targets: must say what is learnt of data with classes, such as {ink: ink}, got [a, b]",
    ),
]


@pytest.mark.parametrize(("overrides", "expected"), WRONG, ids=range(len(WRONG)))
def test_what_the_data_do_not_have_is_one_line(overrides: tuple[str, ...], expected: str) -> None:
    with pytest.raises(ConvrunnerError) as caught:
        data.load(experiment(*overrides).source)
    assert [str(fault).split("; ")[0] for fault in caught.value.faults] == [expected]


@pytest.mark.parametrize(
    ("labels", "task", "expected"),
    [
        (np.full((40, 2), 0.5), "multi_label", r"must hold a 0 or a 1 for each .*, got 0.5 \(example 0, column 0, cou"),
        (np.array([*[0.5] * 39, -1e19]), "regression", r"at most ±1e\+18, got -1e\+19 \(example 39, column 0, counted"),
        (np.full(40, np.nan), "regression", "must be finite, got NaN or infinite values"),
        (np.zeros((40, 2, 2)), "regression", "must hold 40 rows of numbers, one for each input"),
    ],
)
def test_labels_of_another_form_are_one_line(tmp_path: Path, labels: Any, task: str, expected: str) -> None:
    root = arrays(tmp_path, labels)
    with pytest.raises(ConvrunnerError, match=expected):
        data.load(experiment("data=arrays", root, f"task={task}").source)


TOGETHER = [
    (
        ("loss=huber",),
        "loss.name: must be one of softmax_cross_entropy, softmax_focal_loss, l2_loss, multiclass_hinge_loss for task "
        "classification, got huber_loss",
    ),
    (("data.targets=[a]",), "data.targets: must be null for task classification, got [a]"),
    (("train.metrics=[mae]",), "train.metrics: must contain mae only for task regression, got classification"),
    (
        ("train.monitor.metric=val/mae",),
        "train.monitor.metric: must be val/loss or one of val/accuracy, which are measured, got val/mae",
    ),
    (("task=multi_label", "data.targets={a: ink}"), "data.targets.a: must be a list of classes for this task, got ink"),
    (("task=regression", "data.targets={a: [1]}"), "data.targets.a: must be ink or a rotation for this task, got [1]"),
    (
        ("task=regression", "data.targets={a: {rotation: 9}, b: {rotation: 5}}"),
        "data.targets: must turn images once, got [a, b]",
    ),
    (
        ("task=regression", "data.targets={a: ink}", "train.sampling=balanced"),
        "train.sampling: must be all for task regression, got balanced",
    ),
    (
        ("task=regression", "data.targets={a: ink}", "train.until_accuracy=0.9"),
        "train.until_accuracy: must be null for task regression, got 0.9",
    ),
    (
        ("task=regression", "data.targets={a: ink}", "loss.class_weights=balanced"),
        "loss.class_weights: must be none for task regression, got balanced",
    ),
    (
        ("task=multi_label", "data.targets={a: [1]}", "model.layers=[flatten, classifier, sigmoid]"),
        "model.layers[2]: must not be sigmoid under loss sigmoid_binary_cross_entropy, which applies it itself",
    ),
]


@pytest.mark.parametrize(("overrides", "expected"), TOGETHER, ids=range(len(TOGETHER)))
def test_what_does_not_suit_the_task_is_one_line(overrides: tuple[str, ...], expected: str) -> None:
    assert report(composed(*overrides)) == [expected]
