"""Texts from tables and class folders: what becomes of them, that nothing leaks, and every way in which they break."""

import csv
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from stores import STORES, on_disk, zipped

from runner.data import Dataset, Text, load
from runner.data.vocabulary import SPECIAL, token_text
from runner.errors import DataError

Texts = list[tuple[str, str]]
COMMON = ["red", "green", "blue", "tall", "short"]


def texts(count: int = 40, seed: int = 0) -> Texts:
    """Sentences of random words, each with a word of its own, of two classes."""
    draw = random.Random(seed)
    return [(f"{' '.join(draw.choices(COMMON, k=4))} own{seed}x{i}", ("neg", "pos")[i % 2]) for i in range(count)]


def table(rows: Texts, header: tuple[str, ...] = ("text", "label")) -> str:
    stream = io.StringIO()
    csv.writer(stream).writerows([header, *rows])
    return stream.getvalue()


def in_folders(rows: Texts, prefix: str = "") -> dict[str, str]:
    return {f"{prefix}{label}/{index:03}.txt": text for index, (text, label) in enumerate(rows)}


def read(root: Path, **changes: Any) -> Dataset:
    return load(Text(source="text", root=str(root), **{"length": 6, **changes}))


def spelt_out(dataset: Dataset) -> dict[str, list[tuple[str, str]]]:
    """What each part holds, in words again."""
    return {
        name: [
            (token_text(row, dataset.vocabulary), dataset.classes[label])
            for row, label in zip(part.inputs, part.labels, strict=True)
        ]
        for name, part in (("train", dataset.train), ("val", dataset.val), ("test", dataset.test))
    }


def refusal(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    return str(caught.value).replace(str(root), "ROOT").splitlines()


# What becomes of them


def test_a_table_becomes_tokens(tmp_path: Path) -> None:
    rows = texts()
    dataset = read(on_disk(tmp_path, {"reviews.csv": table(rows)}) / "reviews.csv")
    assert dataset.shape == (6, 1)
    assert dataset.classes == ("neg", "pos")
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (29, 3, 8)
    assert all(part.inputs.dtype == np.int32 for part in (dataset.train, dataset.val, dataset.test))
    assert set(spelt_out(dataset)["train"]) < set(rows)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("around", ["", "reviews/"])
def test_class_folders_become_classes(tmp_path: Path, store: str, around: str) -> None:
    rows = texts()
    files = in_folders(rows, around) | {f"{around}README.md": "beside the classes"}
    dataset = read(STORES[store](tmp_path, files))
    assert dataset.classes == ("neg", "pos")
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (29, 3, 8)
    assert set(spelt_out(dataset)["train"]) < set(rows)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("form", ["tables", "folders"])
def test_existing_parts_are_used(tmp_path: Path, store: str, form: str) -> None:
    parts = {"train": texts(20), "val": texts(6, seed=1), "test": texts(8, seed=2)}
    files: dict[str, Any] = {}
    for name, rows in parts.items():
        files |= {f"{name}.csv": table(rows)} if form == "tables" else in_folders(rows, f"{name}/")
    dataset = read(STORES[store](tmp_path, files))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (20, 6, 8)
    assert sorted(spelt_out(dataset)["train"]) == sorted(parts["train"])


def test_a_table_and_folders_of_the_same_texts_are_the_same_data(tmp_path: Path) -> None:
    rows = sorted(texts(), key=lambda row: row[1])  # as folders have them: class by class
    first = read(on_disk(tmp_path, {"a.csv": table(rows)}) / "a.csv")
    assert first.digest == read(on_disk(tmp_path / "b", in_folders(rows))).digest
    assert first.digest == read(zipped(tmp_path, in_folders(rows))).digest
    renamed = [(text.replace("red", "crimson"), label) for text, label in rows]
    other = read(on_disk(tmp_path, {"c.csv": table(renamed)}) / "c.csv")
    assert other.digest != first.digest


def test_the_vocabulary_contains_training_words_only(tmp_path: Path) -> None:
    # Every text has a word of its own, so that one that leaks can be seen.
    root = on_disk(tmp_path, {"reviews.csv": table(texts(200))}) / "reviews.csv"
    for changes in ({}, {"split_seed": 1}, {"limit": 30}):
        dataset = read(root, **changes)
        own = {word for word in dataset.vocabulary if word.startswith("own")}
        assert own == {text.split()[-1] for text, _ in spelt_out(dataset)["train"]}
        assert len(own) == len(dataset.train)
        for part in ("val", "test"):
            assert all(text.split()[-1] == "<unknown>" for text, _ in spelt_out(dataset)[part])


def test_new_words_of_the_test_set_are_unknown(tmp_path: Path) -> None:
    files = {"train.csv": table(texts(20)), "test.csv": table([("unheard of red", "pos"), ("blue", "neg")])}
    dataset = read(on_disk(tmp_path, files))
    assert [text for text, _ in spelt_out(dataset)["test"]] == ["<unknown> <unknown> red", "blue"]


def test_words_are_counted_cut_and_limited(tmp_path: Path) -> None:
    root = on_disk(tmp_path, {"a.csv": table(texts())}) / "a.csv"
    whole = read(root)
    assert whole.vocabulary[:2] == SPECIAL
    assert len(whole.vocabulary) == 2 + 5 + len(whole.train)
    frequent = read(root, min_count=2).vocabulary
    assert set(frequent) == {*SPECIAL, *COMMON}
    assert read(root, vocabulary=4).vocabulary == frequent[:4]
    assert read(root, length=2).shape == (2, 1)
    # More than there are: the table has rows that no word uses.
    assert read(root, vocabulary=1000).vocabulary == whole.vocabulary


def test_the_split_is_stratified_and_seeded(tmp_path: Path) -> None:
    rows = [(f"word{i} red", "rare" if i % 10 == 0 else "common") for i in range(100)]
    root = on_disk(tmp_path, {"a.csv": table(rows)}) / "a.csv"
    dataset = read(root)
    assert [np.bincount(part.labels).tolist() for part in (dataset.train, dataset.val, dataset.test)] == [
        [65, 7],
        [7, 1],
        [18, 2],
    ]
    assert read(root).digest == dataset.digest != read(root, split_seed=1).digest


# Tables as people write them


def test_quotes_line_breaks_and_columns_of_a_table(tmp_path: Path) -> None:
    content = '\ufeffid,sentiment , review\r\n1,neg,"red, ""tall""\r\nand blue"\r\n\r\n2, pos ,green\r\n' + "".join(
        f"{i},{('neg', 'pos')[i % 2]},blue\r\n" for i in range(10)
    )
    root = on_disk(tmp_path, {"a.CSV": content}) / "a.CSV"
    dataset = read(root, text_column="review", label_column="sentiment", length=9)
    assert dataset.classes == ("neg", "pos")
    rows = [row for part in spelt_out(dataset).values() for row in part]
    assert len(rows) == 12
    parts = Text(source="text", root=str(root), text_column="review", label_column="sentiment").read(print)
    assert parts.train.inputs[np.array([0, 1])].tolist() == ['red, "tall"\r\nand blue', "green"]
    assert parts.train.labels[:2].tolist() == [0, 1]


def test_a_text_may_exceed_the_default_field_size(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    rows = [("red " * 50_000, label) for label in ("neg", "pos")] + texts()
    assert len(read(on_disk(tmp_path, {"a.csv": table(rows)}) / "a.csv").train) == 31
    assert csv.field_size_limit() == limit


# What is wrong


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        ("", ["ROOT: must have a column text in its header, got no header"]),
        ("review,label\nred,neg\n", ["ROOT: must have a column text in its header, got review, label"]),
        ("text,class\nred,neg\n", ["ROOT: must have a column label in its header, got text, class"]),
        ("text,label\n", ["ROOT: must hold texts, got only a header"]),
        (
            "text,label\nred,neg\nblue,neg\n",
            ['ROOT: must have training examples of at least two classes, got only "neg"'],
        ),
        ("text,label\nred,neg\nblue, sky,pos\n", ["ROOT, line 3: must have 2 fields, as the header has, got 3"]),
        ('text,label\n"red\nblue",neg\ntall\n', ["ROOT, line 4: must have 2 fields, as the header has, got 1"]),
        (
            'text,label\n"red\nblue",neg\n  ,pos\nred,\n',
            ["ROOT, line 4: must have a text, got nothing", "ROOT, line 5: must have a label, got nothing"],
        ),
        (
            'text,label\nred,neg\n"blue" sky,pos\n',
            ["ROOT, line 3: must be a row of a .csv, got a broken one (',' expected after '\"')"],
        ),
        (
            'text,label\nred,neg\n"blue,pos\n',
            ["ROOT, line 3: must be a row of a .csv, got a broken one (unexpected end of data)"],
        ),
        (b"text,label\nred,neg\ncaf\xe9,pos\n", ["ROOT, line 3: must be UTF-8, got the byte e9"]),
        (b"PK\x03\x04\xff", ["ROOT, line 1: must be UTF-8, got the byte ff"]),
    ],
)
def test_a_broken_table_is_named_with_its_line(tmp_path: Path, content: str | bytes, lines: list[str]) -> None:
    assert refusal(on_disk(tmp_path, {"a.csv": content}) / "a.csv") == lines


def test_only_the_first_of_many_faults_are_reported(tmp_path: Path) -> None:
    lines = refusal(on_disk(tmp_path, {"a.csv": "text,label\n" + ",neg\n" * 100}) / "a.csv")
    assert lines == [f"ROOT, line {line}: must have a text, got nothing" for line in range(2, 12)]


def test_a_label_without_training_examples_is_refused(tmp_path: Path) -> None:
    files = {"train.csv": table(texts(20)), "test.csv": table([("red", "pos"), ("blue", "meh")])}
    assert refusal(on_disk(tmp_path, files)) == ["ROOT/test.csv, line 3: must have a label of train.csv, got meh"]


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"neg/900.txt": ""}, "ROOT/neg/900.txt: must hold a text, got nothing"),
        ({"neg/900.txt": " \n"}, "ROOT/neg/900.txt: must hold a text, got nothing"),
        ({"neg/900.txt": b"red\ncaf\xe9"}, "ROOT/neg/900.txt, line 2: must be UTF-8, got the byte e9"),
        ({"neg/900.jpg": b"\xff\xd8"}, "ROOT/neg/900.jpg: must be a text (.txt), got another kind of file"),
    ],
)
def test_a_broken_file_is_refused(tmp_path: Path, store: str, changes: dict[str, Any], line: str) -> None:
    assert refusal(STORES[store](tmp_path, in_folders(texts(10)) | changes)) == [line]


def test_folders_of_another_layout_are_refused(tmp_path: Path) -> None:
    train = in_folders(texts(10), "train/")
    [line] = refusal(zipped(tmp_path, {"neg/1.txt": "red"}))
    assert line == "ROOT: must hold at least two class folders of texts, got neg"
    [line] = refusal(zipped(tmp_path, train | {"test/pos/1.txt": "red"}))
    assert line == "ROOT/test: must have the class folders of train, got no neg"


@pytest.mark.parametrize(("root", "got"), [(None, "null"), ("nowhere.csv", "nowhere.csv")])
def test_missing_roots_are_refused(root: str | None, got: str) -> None:
    with pytest.raises(DataError, match=rf"^data\.root: must be .* got {got}$"):
        load(Text(source="text", root=root))


def test_class_names_must_be_those_of_the_texts(tmp_path: Path) -> None:
    root = on_disk(tmp_path, {"a.csv": table(texts())}) / "a.csv"
    backward = read(root, class_names=("pos", "neg"))
    assert backward.classes == ("pos", "neg")
    assert set(spelt_out(backward)["train"]) < set(texts())
    [line] = refusal(root, class_names=("bad", "good"))
    assert line == (
        "data.class_names: must hold the 2 classes of the files, in the order of their labels, "
        "got no neg, pos and unknown bad, good"
    )
    [line] = refusal(root, classes=3)
    assert line == "data.classes: must be 2, as many as the data have, got 3"


def test_texts_without_words_are_refused(tmp_path: Path) -> None:
    root = on_disk(tmp_path, {"a.csv": table(texts())}) / "a.csv"
    [line] = refusal(root, min_count=1000)
    assert line == "data.min_count: must leave words of the training texts, got 1000"


@pytest.mark.parametrize(
    ("field", "value"), [("mean", (0.5,)), ("std", (0.5,)), ("image", {"height": 1, "width": 1, "channels": 1})]
)
def test_texts_have_no_pixels(field: str, value: Any) -> None:
    with pytest.raises(ValidationError, match=f"must leave {field} null for texts, got "):
        Text(source="text", **{field: value})


def test_declarations_are_known_before_the_texts_are_read() -> None:
    assert Text(source="text").shape == (64, 1)
    assert Text(source="text").undeclared == "classes"
    assert Text(source="text", classes=2).undeclared == "vocabulary"
    declared = Text(source="text", classes=2, vocabulary=100)
    assert (declared.undeclared, declared.vocabulary_size) == (None, 100)
    with pytest.raises(ValidationError, match="greater than or equal to 3"):
        Text(source="text", vocabulary=2)
