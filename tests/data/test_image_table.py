"""Tables that name images: every form, layout and mistake; the data equal those of the same images in class folders."""

import csv
import io
import json
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import STORES, encoded, on_disk, zipped

from runner.data import Dataset, Folder, ImageTable, load
from runner.data.tables import SUFFIXES, read_table
from runner.errors import DataError
from runner.inspecting import read as examined

COUNT = 30


def picture(index: int) -> bytes:
    return encoded(np.random.default_rng(index).integers(0, 256, (6, 5, 3), np.uint8))


IMAGES = {f"img/{index}.png": picture(index) for index in range(COUNT)}
ROWS = [{"file": path, "label": ("cat", "dog")[index % 2]} for index, path in enumerate(IMAGES)]


def table(rows: Sequence[Mapping[str, object]], suffix: str = ".csv") -> str:
    if suffix in (".jsonl", ".ndjson"):
        return "".join(json.dumps(row) + "\n" for row in rows)
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]), delimiter="\t" if suffix == ".tsv" else ",")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def read(root: Path, told: list[str] | None = None, **changes: Any) -> Dataset:
    report = (lambda line: None) if told is None else told.append
    return load(ImageTable.model_validate({"source": "table", "root": str(root), **changes}), report=report)


def refusal(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    return str(caught.value).replace(str(root), "ROOT").splitlines()


def labelled(dataset: Dataset) -> dict[str, str]:
    parts = (dataset.train, dataset.val, dataset.test)
    return {file: dataset.classes[label] for part in parts for file, label in zip(part.files, part.labels, strict=True)}


def test_the_data_are_those_of_the_same_images_in_class_folders(tmp_path: Path) -> None:
    rows = sorted(ROWS, key=lambda row: (row["label"], row["file"]))
    found = read(on_disk(tmp_path / "a", IMAGES | {"labels.csv": table(rows)}) / "labels.csv")
    folders = {f"{row['label']}/{Path(row['file']).name}": IMAGES[row["file"]] for row in rows}
    expected = load(Folder(source="folder", root=str(on_disk(tmp_path / "b", folders))))
    assert found.digest == expected.digest
    assert labelled(found) == {row["file"]: row["label"] for row in ROWS}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("store", STORES)
def test_every_form_of_table_is_read_alone_and_beside_its_images(tmp_path: Path, suffix: str, store: str) -> None:
    root = STORES[store](tmp_path, {f"all/{path}": content for path, content in IMAGES.items()})
    (tmp_path / f"labels{suffix}").write_text(table([row | {"n": 1} for row in ROWS], suffix))
    images = root if store == "zip" else root / "all"
    prefix = "all/" if store == "zip" else ""
    rows = [row | {"file": prefix + row["file"]} for row in ROWS]
    (tmp_path / f"labels{suffix}").write_text(table(rows, suffix))
    assert len(labelled(read(tmp_path / f"labels{suffix}", images=str(images)))) == COUNT
    inside = STORES[store](
        tmp_path / suffix if store == "disk" else tmp_path, IMAGES | {f"my{suffix}": table(ROWS, suffix)}
    )
    assert labelled(read(inside)) == {row["file"]: row["label"] for row in ROWS}


@pytest.mark.parametrize("store", STORES)
def test_tables_named_after_parts_and_a_column_of_parts_divide_alike(tmp_path: Path, store: str) -> None:
    parts = [("train", "Validation", "TEST", "train", "training")[index // 2 % 5] for index in range(COUNT)]
    files = {"train.csv": table([row for row, part in zip(ROWS, parts, strict=True) if part.startswith("train")])}
    files["dev.tsv"] = table([row for row, part in zip(ROWS, parts, strict=True) if part == "Validation"], ".tsv")
    files["test.jsonl"] = table([row for row, part in zip(ROWS, parts, strict=True) if part == "TEST"], ".jsonl")
    (tmp_path / "column").mkdir()
    by_table = read(STORES[store](tmp_path, IMAGES | files))
    rows = [row | {"split": part} for row, part in zip(ROWS, parts, strict=True)]
    by_column = read(
        STORES[store](
            tmp_path / "column",
            IMAGES | {"a/b.csv": table(rows), **{"a/" + path: content for path, content in IMAGES.items()}},
        )
    )
    assert by_table.digest == by_column.digest
    assert [len(part) for part in (by_table.train, by_table.val, by_table.test)] == [18, 6, 6]


def test_columns_are_found_by_usual_names_and_told(tmp_path: Path) -> None:
    rows = [{"id": 1, "Image": row["file"], "Class": row["label"], "subset": "train"} for row in ROWS]
    told: list[str] = []
    root = on_disk(tmp_path, IMAGES | {"labels.csv": table(rows)}) / "labels.csv"
    read(root, told)
    assert told[0] == f"{root}: images by the column Image, classes by Class, sets by subset"
    named = {"path_column": "Image", "label_column": "id"}
    assert refusal(root, **named)[0].endswith('must have training examples of at least two classes, got only "1"')


def test_signs_paths_and_line_ends_as_other_programs_write_them(tmp_path: Path) -> None:
    name = "Schröder.png"
    files = {f"img/{unicodedata.normalize('NFD', name)}": picture(99), **IMAGES}
    rows = [row | {"file": row["file"].replace("/", "\\")} for row in ROWS]
    rows[0] = rows[0] | {"file": str(tmp_path / "files" / ROWS[0]["file"])}
    rows[1] = rows[1] | {"file": f"./{ROWS[1]['file']}"}
    rows.append({"file": f"img/{unicodedata.normalize('NFC', name)}", "label": " dog "})
    content = "\ufeff\r\n" + table(rows).replace(",", ";")
    found = labelled(read(on_disk(tmp_path / "files", files | {"a.csv": content}) / "a.csv"))
    assert len(found) == COUNT + 1
    assert found[f"img/{unicodedata.normalize('NFD', name)}"] == "dog"


def test_classes_are_numbers_that_rise_texts_that_are_sorted_or_as_declared(tmp_path: Path) -> None:
    root = on_disk(
        tmp_path,
        IMAGES | {"a.jsonl": table([row | {"label": 2 + 8 * (i % 3)} for i, row in enumerate(ROWS)], ".jsonl")},
    )
    assert read(root).classes == ("2", "10", "18")
    root = on_disk(tmp_path / "b", IMAGES | {"a.csv": table(ROWS)})
    assert read(root).classes == ("cat", "dog")
    assert read(root, class_names=("dog", "cat")).classes == ("dog", "cat")


def test_what_is_not_on_the_disk_is_skipped_if_asked_for(tmp_path: Path) -> None:
    bad = {"file": "img/none.png", "label": "cat"}, {"file": "img/bad.png", "label": "dog"}
    for number, store in enumerate(STORES.values()):
        (tmp_path / str(number)).mkdir()
        root = store(tmp_path / str(number), IMAGES | {"img/bad.png": b"x", "labels.csv": table([*ROWS, *bad])})
        found = read(root, on_bad_file="skip")
        assert [path for path, _ in found.left_out.bad] == ["img/none.png", "img/bad.png"]
        assert len(labelled(found)) == COUNT
        told = examined(ImageTable(source="table", root=str(root), on_bad_file="skip"))
        assert told.kinds is not None
        assert told.kinds.formats == {"PNG": COUNT}


# What is wrong


ONE_TABLE = "must hold one table (.csv, .tsv, .jsonl, .ndjson), or tables named train, val and test"


def changed(**changes: object) -> list[dict[str, object]]:
    return [*ROWS[:3], ROWS[3] | changes, *ROWS[4:]]


@pytest.mark.parametrize(
    ("rows", "settings", "lines"),
    [
        (
            ROWS,
            {"label_column": "lable"},
            ['ROOT: must have a column lable in its header, got file, label; did you mean "label"?'],
        ),
        (
            [{"a": "1", "label": "2"}],
            {},
            [
                "data.path_column: must name a column of ROOT, as none is called path, file, file_name, filename, ..., "
                "got a, label"
            ],
        ),
        (changed(label=" "), {}, ["ROOT, line 5: must have a label, got nothing"]),
        (changed(file=""), {}, ["ROOT, line 5: must have a file, got nothing"]),
        (changed(file="../x.png"), {}, ["ROOT, line 5: must name an image below FOLDER, got ../x.png"]),
        (changed(file="/etc/x.png"), {}, ["ROOT, line 5: must name an image below FOLDER, got /etc/x.png"]),
        (changed(file="img/\0.png"), {}, [r"ROOT, line 5: must name an image below FOLDER, got 'img/\x00.png'"]),
        (
            changed(file=f"img/{'x' * 300}.png"),
            {},
            [f"ROOT, line 5: must name an image below FOLDER, got img/{'x' * 53}..."],
        ),
        (changed(file="img/x.png"), {}, ["ROOT, line 5: must name an image that exists in FOLDER, got img/x.png"]),
        (
            changed(file="img/0.png"),
            {},
            ["ROOT, line 5: must name another image than labels.csv, line 2, got img/0.png"],
        ),
        (
            [row | {"split": "tets"} if row is ROWS[3] else row | {"split": "train"} for row in ROWS],
            {},
            ["ROOT, line 5: must have a split of train, val or test, got tets"],
        ),
        ([row | {"split": "val"} for row in ROWS], {}, ["ROOT: must have rows whose split is train, got val"]),
        (
            [row | {"part": "train"} for row in ROWS[:-1]] + [{"file": "img/29.png", "label": "cow", "part": "val"}],
            {"split_column": "part"},
            ["ROOT, line 31: must have a label of a training example, got cow"],
        ),
        (ROWS, {"images": "nowhere"}, ["data.images: must be a folder or a .zip that exists, got nowhere"]),
    ],
)  # fmt: skip
def test_a_wrong_table_is_refused_in_a_line(
    tmp_path: Path, rows: list[dict[str, object]], settings: dict[str, str], lines: list[str]
) -> None:
    root = on_disk(tmp_path, IMAGES | {"labels.csv": table(rows)}) / "labels.csv"
    assert [line.replace(str(tmp_path), "FOLDER") for line in refusal(root, **settings)] == lines


def test_half_a_character_is_no_path(tmp_path: Path) -> None:
    rows = table(ROWS, ".jsonl") + '{"file": "\\ud800.png", "label": "cat"}\n'
    expected = r"ROOT/a.jsonl, line 31: must name an image below ROOT, got '\ud800.png'"
    assert refusal(on_disk(tmp_path, IMAGES | {"a.jsonl": rows}), on_bad_file="skip") == [expected]


def test_many_missing_files_are_counted(tmp_path: Path) -> None:
    rows = [*ROWS, *({"file": f"img/none{index}.png", "label": "cat"} for index in range(25))]
    lines = refusal(zipped(tmp_path, IMAGES | {"a.csv": table(rows)}))
    assert len(lines) == 11
    assert lines[-1] == "a.csv: must name an image that exists in ROOT, got 25 with this fault, the first 10 above"


@pytest.mark.parametrize(
    ("files", "settings", "line"),
    [
        ({}, {}, f"ROOT: {ONE_TABLE}, got none"),
        (
            {"a.csv": "", "b/c.tsv": ""},
            {},
            f"ROOT: {ONE_TABLE}, got a.csv, b/c.tsv",
        ),
        ({"train.csv": "", "train.tsv": ""}, {}, "ROOT: must have one train part, got train.csv and train.tsv"),
        ({"a.csv": "file,label\n"}, {}, "ROOT/a.csv: must hold rows, got only a header"),
        ({"a.jsonl": '{"file": 1}\n[1]\n'}, {}, "ROOT/a.jsonl, line 2: must be a JSON object, got [1]"),
        (
            {"train.csv": table(ROWS), "test.csv": table(ROWS)},
            {"split_column": "split"},
            "data.split_column: must be null for tables of the parts (train.csv, test.csv), got split",
        ),
    ],
)  # fmt: skip
def test_a_folder_without_a_clear_table_is_refused(
    tmp_path: Path, files: dict[str, str], settings: dict[str, str], line: str
) -> None:
    assert refusal(on_disk(tmp_path / "a", files | {"x/1.png": picture(1)}), **settings) == [line]


def test_missing_roots_of_tables_are_refused() -> None:
    rule = "data.root: must be a table (.csv, .tsv, .jsonl), or a folder or a .zip that holds one, got null"
    with pytest.raises(DataError) as caught:
        load(ImageTable(source="table"))
    assert str(caught.value) == rule
    assert refusal(Path("nowhere.csv")) == ["data.root: must be a table that exists, got ROOT"]


def test_keys_of_json_lines_may_come_later_or_lack() -> None:
    found = read_table(b'{"a": 1}\n\n{"b": "x", "a": null}\n{"b": true}', "t.jsonl", lambda header: header)
    assert found.columns == {"a": ["1", "", ""], "b": ["", "x", "true"]}
    assert found.lines == [1, 3, 4]
