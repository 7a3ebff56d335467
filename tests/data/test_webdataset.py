"""Shards of WebDataset: layouts, labels, faults, and what the cache keeps of them."""

import itertools
import json
import os
import shutil
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import composed, parse
from stores import encoded, on_disk
from tars import Files, tar

from runner.data import Dataset, Folder, WebDataset, load
from runner.errors import DataError
from runner.inspecting import read as examined

IMAGES = [encoded(np.random.default_rng(index).integers(0, 256, (6, 5, 3), np.uint8)) for index in range(40)]


def pairs(rows: range, prefix: str = "") -> Files:
    return [
        pair
        for row in rows
        for pair in ((f"{prefix}{row:03}.png", IMAGES[row]), (f"{prefix}{row:03}.cls", str(row % 2)))
    ]


def read(root: Path | str, told: list[str] | None = None, **changes: Any) -> Dataset:
    report = (lambda line: None) if told is None else told.append
    return load(WebDataset.model_validate({"source": "webdataset", "root": str(root), **changes}), report=report)


def refusal(root: Path, where: Path | str = "", **changes: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(where or root, **changes)
    return str(caught.value).replace(str(root), "ROOT").splitlines()


def sizes(dataset: Dataset) -> tuple[int, int, int]:
    return len(dataset.train), len(dataset.val), len(dataset.test)


def rows(dataset: Dataset) -> list[dict[bytes, str]]:
    return [
        {image.tobytes(): dataset.classes[label] for image, label in zip(part.inputs, part.labels, strict=True)}
        for part in (dataset.train, dataset.val, dataset.test)
    ]


# Layouts and labels


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_shards_of_webdataset_s_own_writer(tmp_path: Path) -> None:
    wds = pytest.importorskip("webdataset")
    with wds.ShardWriter(str(tmp_path / "pets-train-%06d.tar"), maxcount=9, verbose=0) as sink:
        for row in range(40):
            sink.write({"__key__": f"{row:05}", "png": IMAGES[row], "cls": row % 3, "json": {"row": row}})
    found = read(tmp_path)
    assert len(list(tmp_path.glob("*.tar"))) == 5
    assert found.classes == ("0", "1", "2")
    own = {image: label for part in rows(found) for image, label in part.items()}
    theirs = wds.WebDataset([str(path) for path in sorted(tmp_path.glob("*.tar"))], shardshuffle=False).decode("rgb8")
    expected = {sample["png"].tobytes(): str(sample["cls"]) for sample in theirs}
    assert own == expected
    assert len(own) == 40


@pytest.mark.parametrize(
    "names",
    [
        ("imagenet-train-000000", "imagenet-train-000001", "imagenet-validation-000000", "imagenet-test-000000"),
        ("imagenet1k-train-0000", "imagenet1k-train-0001", "imagenet1k-val-00", "imagenet1k-test-00"),
        ("d/train/00000", "d/train/00001", "d/val/00000", "d/test/00000"),
        ("train/train-0", "train/train-1", "valid/shard-0", "test/part-0"),
    ],
    ids=["webdataset", "timm", "folders", "both"],
)  # fmt: skip
def test_the_usual_layouts_have_the_images_of_folders(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, start in zip(names, (0, 10, 20, 30), strict=True):
        tar(tmp_path / f"{name}.tar", pairs(range(start, start + 10), "./deep/"))
    on_disk(tmp_path, {"README.md": "about the data", "train.idx": "an index"})
    told: list[str] = []
    found = read(tmp_path, told)
    assert told[0] == f"{tmp_path}: classes in .cls"
    assert sizes(found) == (20, 10, 10)
    folders = {
        f"{part}/{row % 2}/{row:02}.png": IMAGES[row]
        for part, own in (("train", range(20)), ("val", range(20, 30)), ("test", range(30, 40)))
        for row in own
    }
    expected = load(Folder(source="folder", root=str(on_disk(tmp_path / "folders", folders))))
    assert rows(found) == rows(expected)
    assert found.train.files[0] == f"{names[0]}.tar/deep/000.png"


def test_a_single_shard_and_patterns(tmp_path: Path) -> None:
    for number in range(11):
        tar(tmp_path / f"s-{number:06}.tar", pairs(range(number * 2, number * 2 + 2)))
    tar(tmp_path / "valid/0.tar", pairs(range(30, 40)))
    with pytest.raises(
        DataError, match=r"^data\.test_fraction: must leave training examples of every class, got 0\.2$"
    ):
        read(tmp_path / "s-000003.tar")
    assert sum(sizes(read(f"{tmp_path}/s-{{000000..000010}}.tar"))) == 22
    (tmp_path / "train").mkdir()
    for name in ("s-000001.tar", "s-000002.tar", "s-000003.tar"):
        shutil.move(tmp_path / name, tmp_path / "train" / name)
    found = read(f"{tmp_path}/{{train/s-00000{{1..3}},valid/0}}.tar")
    assert sizes(found) == (5, 10, 1)
    assert {path[:9] for path in found.val.files} == {"valid/0.t"}
    assert refusal(tmp_path, f"{tmp_path}/s-{{000009..000011}}.tar") == [
        "ROOT/s-000011.tar: must exist, as data.root names it, got 1 of 3 shards missing"
    ]
    assert refusal(tmp_path, f"{tmp_path}/s-{{0..99999999}}.tar")[0].startswith(
        "data.root: must name at most 100,000 shards"
    )


def test_a_pattern_on_a_command_line_needs_quotes_and_no_name(tmp_path: Path) -> None:
    for number in range(3):
        tar(tmp_path / f"{number}.tar", pairs(range(number * 10, number * 10 + 10)))
    one = parse(composed("data=webdataset", f'data.root="{tmp_path}/{{0..2}}.tar"')).source
    assert one.name == "webdataset"
    assert sum(sizes(load(one))) == 30
    assert parse(composed("data=webdataset", f"data.root={tmp_path}/2.tar")).source.name == "2"


def test_labels_of_every_kind(tmp_path: Path) -> None:
    notes = [
        json.dumps({"label": row % 2, "animal": ("cat", "dog")[row % 2], "who": row // 4, "age": row / 2})
        for row in range(40)
    ]
    own = [pair for row in range(40) for pair in (
        (f"{row:02}.JPG", IMAGES[row]), (f"{row:02}.json", notes[row]), (f"{row:02}.left.png", IMAGES[0]),
        (f"{row:02}.txt", ("cat", "dog")[row % 2] + "\n"), (f"{row:02}.Cls", f" {row % 2}\n"),
    )]  # fmt: skip
    path = tar(
        tmp_path / "a.tar", [("__notes__.json", "{}"), ("LICENCE", "free"), (".x.jpg", "no"), *own, ("._01.JPG", "no")]
    )
    (tmp_path / "names.txt").write_text("cat\n\ndog\n")
    numbers = read(path)
    assert numbers.classes == ("0", "1")
    for changes in (
        {"class_file": str(tmp_path / "names.txt")}, {"class_names": ("cat", "dog")}, {"label_column": "animal"},
        {"label_ending": ".txt"}, {"class_names": ("cat", "dog"), "label_ending": "json"},
    ):  # fmt: skip
        named = read(path, **changes)
        assert named.classes == ("cat", "dog")
        assert (named.train.labels == numbers.train.labels).all()
        assert (named.train.inputs == numbers.train.inputs).all()
    assert read(path, class_names=("dog", "cat"), label_column="animal").classes == ("dog", "cat")
    patients = [{int(file[6:8]) // 4 for file in part.files} for part in _parts(read(path, group_by="who"))]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 10
    assert len(np.unique(read(path, image_ending="left.png").train.inputs, axis=0)) == 1
    experiment = parse(
        composed(
            "data=webdataset",
            f"data.root={path}",
            "task=regression",
            "data.targets=[age]",
            "model.input=null",
            "data.limit=null",
        )
    )
    ages = load(experiment.source)
    assert [float(row[0]) for row in ages.train.labels] == [int(file[6:8]) / 2 for file in ages.train.files]


def _parts(dataset: Dataset) -> tuple[Any, Any, Any]:
    return dataset.train, dataset.val, dataset.test


# Faults


@pytest.mark.parametrize(
    ("more", "lines"),
    [
        ([("x.png", IMAGES[0])], ["ROOT/a.tar/x.png: must have a .cls beside it, got none"]),
        ([("x.png", IMAGES[0]), ("x.cls", " \n")], ["ROOT/a.tar/x.png: must have a .cls beside it, got none"]),
        ([("x.cls", "1")], ["ROOT/a.tar/x.cls: must stand beside an image of its name, got none"]),
        (
            [("x.png", IMAGES[0]), ("x.jpg", IMAGES[0]), ("x.cls", "1")],
            ["ROOT/a.tar/x.jpg: must be the only image of its example, or be chosen by data.image_ending, got x.png "
             "beside it"],
        ),
        ([("000.cls", "1")], ["ROOT/a.tar/000.cls: must be in the shard once, got two entries of this name"]),
        (
            [("x.png", IMAGES[0]), ("x.cls", "1" * (2**20 + 1))],
            ["ROOT/a.tar/x.cls: must have at most 1,048,576 bytes, got 1,048,577"],
        ),
        ([("x.png", IMAGES[0]), ("x.cls", b"\xff")], ["ROOT/a.tar/x.cls: must be UTF-8, got the byte ff"]),
        (
            [("x.png", b"none"), ("x.cls", "1")],
            [
                "ROOT/a.tar/x.png: must be a JPEG, PNG, GIF, TIFF, BMP or WebP image, got a file that starts with "
                "6e6f6e65",
                "data.on_bad_file: must be skip to train without the bad file, got error",
            ],
        ),
    ],
    ids=["no-label", "empty-label", "no-image", "two-images", "twice", "long-label", "no-text", "no-picture"],
)  # fmt: skip
def test_what_is_wrong_with_an_example(tmp_path: Path, more: Files, lines: list[str]) -> None:
    tar(tmp_path / "a.tar", [*pairs(range(20)), *more])
    assert refusal(tmp_path) == lines


def test_what_is_wrong_with_json_and_numbers(tmp_path: Path) -> None:
    own = [
        pair
        for row in range(20)
        for pair in ((f"{row:02}.png", IMAGES[row]), (f"{row:02}.json", f'{{"n": {row % 3}}}'))
    ]
    tar(tmp_path / "a.tar", [*own, ("x.png", IMAGES[0]), ("x.json", "[1"), ("y.png", IMAGES[1]), ("y.json", "{}")])
    assert refusal(tmp_path) == [
        f"data.label_column: must name the key of {tmp_path}/a.tar that has the classes, got n".replace(
            str(tmp_path), "ROOT"
        )
    ]
    assert refusal(tmp_path, label_column="n") == [
        "ROOT/a.tar/x.json: must be a JSON object, got a broken one (Expecting ',' delimiter: line 1 column 3 (c...",
        "ROOT/a.tar/y.png: must have a n in its .json, got none",
    ]
    tar(tmp_path / "a.tar", own)
    assert refusal(tmp_path, label_column="n", class_names=("a", "b"))[
        0
    ] == "ROOT/a.tar/02.png: must have a n from 0 to 1, got 2".replace("ROOT/", "")
    (tmp_path / "names").write_text("crane\nbird\ncrane\n")
    assert refusal(tmp_path, label_column="n", class_file=str(tmp_path / "names")) == [
        "ROOT/names: must name each class once, got crane more than once"
    ]
    assert refusal(tmp_path, label_column="n", class_file="none") == [
        "data.class_file: must be a file with a name on each line, got none"
    ]


def test_what_is_wrong_with_a_shard(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", pairs(range(20)), form=tarfile.USTAR_FORMAT)
    content = path.read_bytes()
    with tarfile.open(path) as archive:
        last = archive.getmembers()[-1].offset_data + 512
    size = len(content)
    for wrong, line in (
        (
            content[: last - 1024 - 100],
            f"ROOT/a.tar: must be a whole .tar, got {last - 1124:,} bytes, which end in the entry at byte "
            f"{last - 2048:,}",
        ),
        (
            content[:last],
            f"ROOT/a.tar: must end in a block of zeros, as a whole .tar does, got {last:,} bytes without one",
        ),
        (
            content[:last] + b"\1" * 512,
            f"ROOT/a.tar: must be a whole .tar, not compressed, got a header without numbers at byte {last:,}",
        ),
        (
            content[:200] + b"9" + content[201:],
            "ROOT/a.tar: must be a whole .tar, not compressed, got a header with a wrong checksum at byte 0",
        ),
        (content + content, f"ROOT/a.tar: must be one .tar, got more entries after its end at byte {last:,}"),
        (b"", "ROOT/a.tar: must end in a block of zeros, as a whole .tar does, got 0 bytes without one"),
        (
            bytes(size),
            "data.label_ending: must name the entries of ROOT/a.tar that have the classes, got an empty shard",
        ),
    ):
        path.write_bytes(wrong)
        assert refusal(tmp_path) == [line]
    path.unlink()
    rule = "data.root: must be a .tar shard, a folder of them, or a pattern such as train-{000000..000146}.tar"
    assert refusal(tmp_path) == [f"{rule}, got a folder without any"]
    assert refusal(tmp_path, "nowhere") == [f"{rule}, got nowhere"]
    for name in ("train-0.tar", "more-1.tar"):
        tar(tmp_path / name, pairs(range(4)))
    assert refusal(tmp_path) == [
        "ROOT: must hold files that are all named after train, val or test, train among them, got more-1.tar"
    ]
    (tmp_path / "more-1.tar").rename(tmp_path / "train-test-1.tar")
    assert refusal(tmp_path) == [
        "data.root: must have shards whose names have one of train, val and test, got train-test-1"
    ]


def test_links_and_sparse_files_are_refused(tmp_path: Path) -> None:
    path = tar(tmp_path / "a.tar", pairs(range(20)))
    with tarfile.open(path, "a") as archive:
        entry = tarfile.TarInfo("x.png")
        entry.type, entry.linkname = tarfile.LNKTYPE, "000.png"
        archive.addfile(entry)
        entry = tarfile.TarInfo("x.cls")
        archive.addfile(entry)
    assert "ROOT/a.tar/x.png: must be a file of its own, got a link to another entry" in refusal(tmp_path)


def test_bad_images_are_skipped_and_described(tmp_path: Path) -> None:
    bad: Files = [("x.png", b"none"), ("x.cls", "1"), ("y.png", IMAGES[0][:60]), ("y.cls", "0"), ("alone.gz", "?")]
    tar(tmp_path / "a.tar", [*pairs(range(20)), *bad])
    told: list[str] = []
    found = read(tmp_path, told, on_bad_file="skip")
    assert sum(sizes(found)) == 20
    assert "left out of the shards: 2 bad images and 1 file of other kinds (.gz 1)" in told
    kinds = examined(WebDataset(source="webdataset", root=str(tmp_path), on_bad_file="skip")).kinds
    assert kinds is not None
    assert kinds.formats == {"PNG": 20}


# The cache


def test_a_shard_is_listed_and_hashed_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, pread, count = time.time_ns, os.pread, itertools.count()
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)  # the shards are a minute old
    monkeypatch.setattr(os, "pread", lambda *arguments: (next(count), pread(*arguments))[1])
    for number in range(3):
        tar(tmp_path / f"{number}.tar", pairs(range(number * 10, number * 10 + 10)))
    first, reads = read(tmp_path, residence="stream"), next(count)
    assert first.statistics
    before = next(count)
    again = read(tmp_path, residence="stream")
    assert again.digest == first.digest
    # The first header of the first shard, and the size of the first image.
    assert next(count) - before < 8 < reads
    tar(tmp_path / "1.tar", pairs(range(30, 40)))
    with pytest.raises(DataError, match=r"1\.tar: must stay unchanged while it is read, got other content$"):
        np.asarray(first.train.inputs)
    other = read(tmp_path, residence="stream")
    assert other.digest != first.digest
    assert other.digest == read(tmp_path, residence="stream").digest
    assert rows(read(tmp_path, residence="host")) == rows(other)


@pytest.mark.slow  # 1,100 files
def test_many_shards_need_no_open_files(tmp_path: Path) -> None:
    for number in range(1100):
        tar(
            tmp_path / f"{number:05}.tar",
            pairs(range(number % 40, number % 40 + 1), f"{number}-"),
            form=tarfile.USTAR_FORMAT,
        )
    numbers = Path("/proc/self/fd")
    opened = len(list(numbers.iterdir())) if numbers.exists() else 0
    found = read(tmp_path, residence="stream", on_leakage="warn")
    assert sum(sizes(found)) == 1100
    assert found.train.inputs[:5].shape == (5, 6, 5, 3)
    assert not opened or len(list(numbers.iterdir())) <= opened + 2
