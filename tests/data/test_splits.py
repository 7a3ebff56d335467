"""The parts of a data set by the names that people give them, and the layouts that can be read in two ways."""

import csv
import io
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import on_disk, png

from runner.data import Dataset, Folder, Text, load
from runner.data.splits import NAMES, part_of
from runner.errors import DataError

ALIASES = [(name, part) for part, names in NAMES.items() for name in names]


def images(*places: str, count: int = 10) -> dict[str, bytes]:
    return {f"{place}/{index}.png": png(index) for place in places for index in range(count)}


def read(root: Path, **changes: object) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    return load(Folder.model_validate({"source": "folder", "root": str(root), **changes}), report=told.append), told


def sizes(dataset: Dataset) -> tuple[int, int, int]:
    return len(dataset.train), len(dataset.val), len(dataset.test)


@given(alias=st.sampled_from(ALIASES), flips=st.lists(st.booleans(), min_size=10, max_size=10))
def test_part_names_ignore_case(alias: tuple[str, str], flips: list[bool]) -> None:
    name, part = alias
    spelt = "".join(sign.upper() if flip else sign for sign, flip in zip(name, flips, strict=False))
    assert part_of(spelt) == part


@given(name=st.text())
def test_other_names_are_no_parts(name: str) -> None:
    assert (part_of(name) is not None) == (name.casefold() in dict(ALIASES))


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("val", ["valid", "Validation", "dev"])
@pytest.mark.parametrize("test", ["Test", "testing", "eval"])
def test_folders_of_usual_names_are_the_parts(tmp_path: Path, train: str, val: str, test: str) -> None:
    files = images(f"{train}/cat", f"{train}/dog") | images(f"{val}/cat", f"{val}/dog", count=3)
    dataset, told = read(on_disk(tmp_path / "a", files | images(f"{test}/cat", f"{test}/dog", count=4)))
    assert dataset.classes == ("cat", "dog")
    assert sizes(dataset) == (20, 6, 8)
    assert all(line.startswith("decoded") for line in told)


def refusal(root: Path, **changes: object) -> str:
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    return str(caught.value).replace(str(root), "ROOT")


RULE = "must hold folders of parts, including train, or of classes (data.class_names allows such class names)"


@pytest.mark.parametrize(
    ("places", "line"),
    [
        (
            ["train/cat", "train/dog", "Training/cat", "Training/dog"],
            "ROOT: must have one train part, got Training and train",
        ),
        (["train/cat", "train/dog", "val/cat", "dev/cat"], "ROOT: must have one val part, got dev and val"),
        (["car", "plane", "train"], f"ROOT: {RULE}, got train beside car, plane"),
        (["train/cat", "train/dog", "cat", "dog"], f"ROOT: {RULE}, got train beside cat, dog"),
        (["cat", "dog", "test"], f"ROOT: {RULE}, got test beside cat, dog"),
        (["test/cat", "test/dog"], f"ROOT: {RULE}, got test"),
        (["test/cat", "test/dog", "validation/cat"], f"ROOT: {RULE}, got test, validation"),
        (
            ["cat/train", "cat/test", "dog/train"],
            "ROOT/cat: must be a class without part folders: train, val and test belong above classes, got test, train",
        ),
    ],
)
def test_ambiguous_layouts_are_refused(tmp_path: Path, places: list[str], line: str) -> None:
    assert refusal(on_disk(tmp_path / "a", images(*places))) == line


def test_class_names_allow_a_class_named_train(tmp_path: Path) -> None:
    root = on_disk(tmp_path / "a", images("car", "plane", "train"))
    dataset, _ = read(root, class_names=("train", "car", "plane"))
    assert dataset.classes == ("train", "car", "plane")
    assert sum(sizes(dataset)) == 30


def test_ignored_files_are_reported(tmp_path: Path) -> None:
    files = images("train/cat", "train/dog", "extra/cat") | {"train/stray.png": png(1), "docs/a.md": b"", "b.md": b""}
    root = on_disk(tmp_path / "a", files)
    dataset, told = read(root)
    assert sum(sizes(dataset)) == 20
    assert told[:2] == [
        "ignored beside train: docs, extra",
        f"ignored beside the class folders of {root}/train: stray.png",
    ]


@given(
    names=st.fixed_dictionaries(
        {"train": st.sampled_from(NAMES["train"])},
        optional={"val": st.sampled_from(NAMES["val"]), "test": st.sampled_from(NAMES["test"])},
    ),
    classes=st.sets(st.sampled_from(["cat", "dog", "été", "tRAIN set", "tests"]), min_size=2),
    around=st.sampled_from(["", "photos/", "photos/2024/"]),
    upper=st.booleans(),
)
def test_any_layout_gives_each_part_its_own_files(
    tmp_path_factory: pytest.TempPathFactory, names: dict[str, str], classes: set[str], around: str, upper: bool
) -> None:
    root = tmp_path_factory.mktemp("layout")
    values: dict[str, set[tuple[int, str]]] = {part: set() for part in names}
    for part, name in names.items():
        for label in sorted(classes):
            for index in range(3):
                value = 40 * list(NAMES).index(part) + 8 * sorted(classes).index(label) + index
                place = root / f"{around}{name.upper() if upper else name}/{label}/{index}.png"
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(png(value))
                values[part].add((value, label))
    tree = Folder(source="folder", root=str(root)).read(print)
    for part in NAMES:
        found = getattr(tree, part)
        assert (found is not None) == (part in names)
        if found is not None:
            pixels = found.inputs[np.arange(len(found.labels))][:, 0, 0, 0]
            assert {(int(v), tree.classes[k]) for v, k in zip(pixels, found.labels, strict=True)} == values[part]


# Texts


def table(count: int) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows([("text", "label"), *((f"word{i} red", "ab"[i % 2]) for i in range(count))])
    return stream.getvalue().encode()


def texts(*places: str, count: int = 10) -> dict[str, bytes]:
    return {f"{place}/{index}.txt": b"a word" for place in places for index in range(count)}


def read_texts(root: Path) -> tuple[Dataset, list[str]]:
    told: list[str] = []
    return load(Text(source="text", root=str(root)), report=told.append), told


@pytest.mark.parametrize("around", ["", "reviews/"])
def test_tables_of_usual_names_are_the_parts(tmp_path: Path, around: str) -> None:
    files = {"Training.csv": table(20), "validation.CSV": table(6), "eval.csv": table(8), "sample.csv": table(2)}
    root = on_disk(tmp_path / "a", {around + name: content for name, content in files.items()})
    dataset, told = read_texts(root)
    assert sizes(dataset) == (20, 6, 8)
    assert told == ["ignored beside Training.csv, validation.CSV, eval.csv: sample.csv"]


def test_folders_of_texts_use_the_same_part_names(tmp_path: Path) -> None:
    files = texts("Training/a", "Training/b") | texts("Valid/a", "Valid/b", count=3)
    assert sizes(read_texts(on_disk(tmp_path / "a", files))[0]) == (16, 6, 4)


@pytest.mark.parametrize(
    ("files", "line"),
    [
        (
            {"train.csv": table(9), "Training.csv": table(9)},
            "ROOT: must have one train part, got Training.csv and train.csv",
        ),
        (
            {"train.csv": table(9), "train/a/1.txt": b"red"},
            "ROOT: must hold tables of texts or folders of texts, got train.csv beside train",
        ),
        (
            {"Train.csv": table(9), "test.csv": b"text,label\nred,c\n"},
            "ROOT/test.csv, line 2: must have a label of Train.csv, got c",
        ),
    ],
)
def test_ambiguous_tables_are_refused(tmp_path: Path, files: dict[str, bytes], line: str) -> None:
    root = on_disk(tmp_path / "a", files)
    with pytest.raises(DataError) as caught:
        read_texts(root)
    assert str(caught.value).replace(str(root), "ROOT") == line


# Names that cannot be recorded


@pytest.mark.parametrize(
    ("name", "shown"), [(b"a\xff", r"'a\udcff'"), (b"a\nb", r"'a\nb'"), (b"\x1b[31m", r"'\x1b[31m'"), (b" ", "' '")]
)
def test_classes_whose_names_cannot_be_recorded_are_refused(tmp_path: Path, name: bytes, shown: str) -> None:
    root = on_disk(tmp_path / "a", images("cat"))
    (root / os.fsdecode(name)).mkdir()
    for index in range(10):
        (root / os.fsdecode(name) / f"{index}.png").write_bytes(png(index))
    rule = "must name its classes in UTF-8, on one line, without control characters"
    assert refusal(root) == f"data (folder): {rule}, got {shown}"


def test_files_may_have_any_name(tmp_path: Path) -> None:
    root = on_disk(tmp_path / "a", images("cat", "dog"))
    (root / "cat" / os.fsdecode(b"\xff\n.png")).write_bytes(png(7))
    (root / os.fsdecode(b"\xfe")).write_bytes(b"")
    dataset, told = read(root)
    assert sum(sizes(dataset)) == 21
    assert told[0] == rf"ignored beside the class folders of {root}: \udcfe"
