"""Parquet files with images: the layouts of Hugging Face's datasets, files of other programs, and what is wrong."""

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet
from stores import encoded, on_disk

from runner.data import Dataset, Folder, ImageParquet, ImageSize, image_cache, load
from runner.data.encoded_copy import copied
from runner.data.parquet import ParquetTree
from runner.errors import DataError
from runner.inspecting import read as examined

NAMES = ("dog", "cat")
IMAGES = [encoded(np.random.default_rng(index).integers(0, 256, (6, 5, 3), np.uint8)) for index in range(40)]


def written(
    path: Path, rows: range, *, names: tuple[str, ...] | None = NAMES, group: int = 4, **columns: list[Any]
) -> Path:
    """A file as `datasets` writes it: a struct of bytes and a path, and the features in the metadata."""
    images = [{"bytes": IMAGES[row], "path": None} for row in rows]
    values: dict[str, Any] = {"image": images, "label": [row % 2 for row in rows], **columns}
    kinds = {"image": pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])}
    table = pyarrow.table({name: pyarrow.array(value, kinds.get(name)) for name, value in values.items()})
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    noted = {"huggingface": json.dumps({"info": {"features": features}})} if names else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(table.replace_schema_metadata(noted), path, row_group_size=group)
    return path


def read(root: Path, told: list[str] | None = None, **changes: Any) -> Dataset:
    report = (lambda line: None) if told is None else told.append
    return load(ImageParquet.model_validate({"source": "parquet", "root": str(root), **changes}), report=report)


def refusal(root: Path, **changes: Any) -> list[str]:
    with pytest.raises(DataError) as caught:
        read(root, **changes)
    return str(caught.value).replace(str(root), "ROOT").splitlines()


def sizes(dataset: Dataset) -> tuple[int, int, int]:
    return len(dataset.train), len(dataset.val), len(dataset.test)


@pytest.mark.parametrize(
    "names",
    [
        ("d/train-00000-of-00002", "d/train-00001-of-00002", "d/validation-00000-of-00001", "d/test-00000-of-00001"),
        ("default/train/0000", "default/train/0001", "default/validation/0000", "default/test/0000"),
        ("train-00000-of-00002-0a1b", "train-00001-of-00002-2c3d", "val-00000-of-00001-4e", "test-00000-of-00001-5f"),
    ],
    ids=["shards", "folders", "digests"],
)  # fmt: skip
def test_the_layouts_of_datasets_are_read(tmp_path: Path, names: tuple[str, ...]) -> None:
    for name, start in zip(names, (0, 10, 20, 30), strict=True):
        written(tmp_path / f"{name}.parquet", range(start, start + 10))
    on_disk(tmp_path, {"README.md": "about the data"})
    told: list[str] = []
    found = read(tmp_path, told)
    assert told[0] == f"{tmp_path}: images in the column image, classes in label"
    assert found.classes == NAMES
    assert sizes(found) == (20, 10, 10)
    folders = {
        f"{part}/{NAMES[row % 2]}/{row:02}.png": IMAGES[row]
        for part, rows in (("train", range(20)), ("val", range(20, 30)), ("test", range(30, 40)))
        for row in rows
    }
    expected = load(Folder(source="folder", root=str(on_disk(tmp_path / "folders", folders)), class_names=NAMES))
    for part, other in ((found.train, expected.train), (found.val, expected.val), (found.test, expected.test)):
        rows = {image.tobytes(): label for image, label in zip(other.inputs, other.labels, strict=True)}
        assert {image.tobytes(): label for image, label in zip(part.inputs, part.labels, strict=True)} == rows
    assert read(tmp_path, class_names=("cat", "dog")).classes == ("cat", "dog")


def test_a_single_file_with_texts_as_classes_and_plain_bytes(tmp_path: Path) -> None:
    animals = pyarrow.array(["cat" if row % 3 else "dog" for row in range(40)]).dictionary_encode()
    columns = {"thumb": [b"x"] * 40, "img": IMAGES, "class": animals, "who": [row // 4 for row in range(40)]}
    parquet.write_table(pyarrow.table(columns), tmp_path / "pets.parquet", row_group_size=7)
    found = read(tmp_path / "pets.parquet", group_by="who")
    assert found.classes == ("cat", "dog")
    patients = [
        {int(file.rpartition("/")[2]) // 4 for file in part.files} for part in (found.train, found.val, found.test)
    ]
    assert sum(map(len, patients)) == len(set().union(*patients)) == 10
    for part in (found.train, found.val, found.test):
        rows = [int(file.rpartition("/")[2]) for file in part.files]
        assert [found.classes[label] for label in part.labels] == ["cat" if row % 3 else "dog" for row in rows]
        for row, image in zip(rows, part.inputs, strict=True):
            assert (np.asarray(Image.open(io.BytesIO(IMAGES[row]))) == image).all()


def test_bad_images_are_named_by_file_and_row_or_skipped(tmp_path: Path) -> None:
    images: list[dict[str, bytes | str | None] | None] = [{"bytes": IMAGES[row], "path": "a.png"} for row in range(20)]
    images[3], images[5], images[6] = {"bytes": b"", "path": ""}, {"bytes": None, "path": "b.png"}, None
    path = written(tmp_path / "a.parquet", range(20), image=images)
    rule = "must be a JPEG, PNG, GIF, TIFF, BMP or WebP image"
    assert refusal(path) == [
        f"ROOT/3: {rule}, got an empty file",
        "ROOT/5: must have the bytes of an image, got none",
        "ROOT/6: must have the bytes of an image, got none",
        "data.on_bad_file: must be skip to train without the 3 bad files, got error",
    ]
    found = read(path, on_bad_file="skip")
    assert sum(sizes(found)) == 17
    kinds = examined(ImageParquet(source="parquet", root=str(path), on_bad_file="skip")).kinds
    assert kinds is not None
    assert kinds.formats == {"PNG": 17}


def test_another_content_is_decoded_anew(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", range(20))
    first = read(path)
    written(path, range(20, 40))
    second = read(path)
    assert first.digest != second.digest
    assert read(written(path, range(20))).digest == first.digest


def streamed(root: Path, told: list[str] | None = None, **changes: Any) -> Dataset:
    return read(root, told, residence="stream", **changes)


def test_streamed_images_are_copied_to_the_cache_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in (0, 1):
        written(tmp_path / f"d/train-{number:05}-of-00002.parquet", range(number * 20, number * 20 + 20))
    told: list[str] = []
    found, host = streamed(tmp_path / "d", told), read(tmp_path / "d", residence="host")
    assert found.train.streamed
    assert told[-1] == "copied 40 of 40 images"
    for part in ("train", "val", "test"):
        one, other = getattr(found, part), getattr(host, part)
        assert one.files == other.files
        np.testing.assert_array_equal(one.inputs[:], other.inputs)
    [entry] = image_cache.entries()[-1:]
    assert (entry.shape, entry.about) == ((40,), str(tmp_path / "d"))
    monkeypatch.setattr(ParquetTree, "in_order", None)
    monkeypatch.setattr(ParquetTree, "read", None)
    del told[:]
    again = streamed(tmp_path / "d", told)
    np.testing.assert_array_equal(again.train.inputs[:], host.train.inputs)
    assert again.digest == found.digest
    assert not any("copied" in line for line in told)


def test_rows_without_images_are_skipped_in_a_copy_too(tmp_path: Path) -> None:
    images: list[dict[str, bytes | str | None] | None] = [{"bytes": IMAGES[row], "path": "a.png"} for row in range(20)]
    images[5], images[6] = {"bytes": None, "path": "b.png"}, None
    path = written(tmp_path / "a.parquet", range(20), image=images)
    found, host = streamed(path, on_bad_file="skip"), read(path, on_bad_file="skip")
    assert sizes(found) == sizes(host)
    np.testing.assert_array_equal(found.train.inputs[:], host.train.inputs)


def test_a_copy_without_room_or_with_damage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, told = written(tmp_path / "a.parquet", range(40)), list[str]()
    monkeypatch.setenv("CONVRUNNER_CACHE_SIZE", "2 kB")
    without, host = streamed(path, told), read(path)
    assert told[-1].startswith("the cache has no room for ")
    np.testing.assert_array_equal(without.train.inputs[:], host.train.inputs)
    monkeypatch.delenv("CONVRUNNER_CACHE_SIZE")
    assert streamed(path).digest == without.digest
    [entry] = [entry for entry in image_cache.entries() if entry.shape == (40,)]
    whole = entry.path.read_bytes()
    entry.path.write_bytes(whole[:50])
    found = streamed(path)
    np.testing.assert_array_equal(found.train.inputs[:], host.train.inputs)
    del found
    entry.path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    damaged = streamed(path)
    with pytest.raises(DataError) as caught:
        np.concatenate([part.inputs[:] for part in (damaged.train, damaged.val, damaged.test)])
    assert str(caught.value) == (
        f"{tmp_path}/a.parquet/0: must stay in the cache as it was copied ('runner cache clear=images' copies it again)"
        ", got other content"
    )


def test_a_broken_row_group_ends_the_copy(tmp_path: Path) -> None:
    path = written(tmp_path / "a.parquet", range(40), group=40)
    content = bytearray(path.read_bytes())
    content[200:1200] = bytes(1000)
    path.write_bytes(content)
    size = ImageSize(height=6, width=5, channels=3)
    with pytest.raises(DataError, match=r"a\.parquet: must be a whole Parquet file, got a broken one"):
        streamed(path, image=size, mean=(0.5,) * 3, std=(0.5,) * 3)
    assert not [entry for entry in image_cache.entries() if entry.shape == (40,)]


def test_a_copy_of_one_large_row_group_takes_little_memory(tmp_path: Path) -> None:
    size, rows = 2**13, 4000
    noise = np.random.default_rng(0)
    values = [noise.bytes(size) for _ in range(rows)]
    parquet.write_table(
        pyarrow.table({"image": values}), tmp_path / "a.parquet", row_group_size=rows, compression="none"
    )
    tree = ParquetTree(tmp_path, {"a.parquet": "image"})
    before, most = pyarrow.total_allocated_bytes(), 0
    for value, content in zip(values, tree.in_order(), strict=True):
        assert value == content
        most = max(most, pyarrow.total_allocated_bytes() - before)
    assert most <= rows * size / 2  # pages of 1,024 rows
    copy = copied(tree, lambda line: None)
    for row in np.random.default_rng(1).permutation(rows)[:20]:
        assert copy.read(f"a.parquet/{row}", max_bytes=size) == values[row]
    assert copy.contents(tree.files[:3]) == tree.contents(tree.files[:3])


def test_row_groups_are_read_when_needed_and_forgotten(tmp_path: Path) -> None:
    size, groups = 2**20, 24
    noise = np.random.default_rng(0)
    values = [noise.bytes(size // 4) for _ in range(4 * groups)]
    parquet.write_table(pyarrow.table({"image": values}), tmp_path / "a.parquet", row_group_size=4, compression="none")
    tree = ParquetTree(tmp_path, {"a.parquet": "image"})
    before, most = pyarrow.total_allocated_bytes(), [0, 0]

    def reading(number: int) -> None:
        for row in range(number, 4 * groups, 2):
            assert tree.read(f"a.parquet/{row}", max_bytes=size) == values[row]
            most[number] = max(most[number], pyarrow.total_allocated_bytes() - before)

    threads = [threading.Thread(target=reading, args=(number,)) for number in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) <= 6 * size
    for row in np.random.default_rng(1).permutation(4 * groups)[:20]:
        assert tree.read(f"a.parquet/{row}", max_bytes=size) == values[row]


# What is wrong


def test_other_layouts_are_refused_in_a_line(tmp_path: Path) -> None:
    def layout(name: str, *files: str) -> Path:
        for file in files:
            written(tmp_path / name / file, range(10))
        return tmp_path / name

    rule = "a .parquet file, or a folder of such files (`to_parquet` of Hugging Face's datasets writes them)"
    arrow = on_disk(tmp_path / "arrow", {"train/data-00000-of-00001.arrow": b"ARROW1"})
    named = "must hold files that are all named after train, val or test, train among them"
    for root, line in (
        (arrow, f"data.root: must be {rule}, got a folder without any"),
        (Path("nowhere"), f"data.root: must be {rule}, got ROOT"),
        (layout("a", "train.parquet", "x.parquet"), f"ROOT: {named}, got x.parquet"),
        (layout("b", "val.parquet", "test.parquet"), f"ROOT: {named}, got test.parquet, val.parquet"),
        (
            layout("c", "en/train.parquet", "fr/train.parquet"),
            "ROOT: must hold one data set, in one folder or in a folder for each part, got en, fr",
        ),
        (layout("d", "train-00001-of-00003.parquet"), "ROOT/train.parquet: must have all of its 3 shards, got 1"),
    ):
        assert refusal(root) == [line]


@pytest.mark.parametrize(
    ("columns", "settings", "lines"),
    [
        ({"label": [0, 1, 7, None, -1, *[0] * 15]}, {}, [
            "ROOT, row 2: must have a label from 0 to 1, got 7",
            "ROOT, row 4: must have a label from 0 to 1, got -1",
            "ROOT, row 3: must have a label, got null",
        ]),
        ({"who": [None, " ", *["p"] * 18]}, {"group_by": "who"}, [
            "ROOT, row 0: must have a who, got nothing", "ROOT, row 1: must have a who, got nothing",
        ]),
        ({}, {"label_column": "labl"}, [
            'ROOT: must have a column labl in its header, got image, label; did you mean "label"?'
        ]),
        ({"image": ["a.png"] * 20}, {}, [
            "data.image_column: must name the column of ROOT that has the bytes of images, got image, label"
        ]),
        ({"image": ["a.png"] * 20}, {"image_column": "image"}, [
            "ROOT: must have the bytes of images in the column image, got string"
        ]),
        ({"other": [b""] * 20, "image": [b""] * 20, "file": [b""] * 20}, {}, [
            "data.image_column: must name the column of ROOT that has the bytes of images, got image, file"
        ]),
    ],
)  # fmt: skip
def test_wrong_columns_are_refused_in_a_line(
    tmp_path: Path, columns: dict[str, list[Any]], settings: dict[str, str], lines: list[str]
) -> None:
    images = columns.get("image", [{"bytes": image, "path": ""} for image in IMAGES[:20]])
    values = {"image": images, "label": [row % 2 for row in range(20)]} | columns
    features = {"info": {"features": {"label": {"names": NAMES, "_type": "ClassLabel"}}}}
    table = pyarrow.table(values).replace_schema_metadata({"huggingface": json.dumps(features)})
    parquet.write_table(table, tmp_path / "a.parquet")
    assert sorted(refusal(tmp_path / "a.parquet", **settings)) == sorted(lines)


def test_files_of_other_classes_or_that_are_broken_are_refused(tmp_path: Path) -> None:
    written(tmp_path / "a/train.parquet", range(20))
    written(tmp_path / "a/test.parquet", range(20, 30), names=("dog", "cow"))
    assert refusal(tmp_path / "a") == ["ROOT/test.parquet: must have the classes of train.parquet, got [dog, cow]"]
    written(tmp_path / "b.parquet", range(20), names=None, label=[0] * 20)
    assert refusal(tmp_path / "b.parquet")[0].endswith('at least two classes, got only "0"')
    for content in (b"", b"PAR1", written(tmp_path / "c.parquet", range(20)).read_bytes()[:-50]):
        (tmp_path / "c.parquet").write_bytes(content)
        assert refusal(tmp_path / "c.parquet")[0].startswith("ROOT: must be a Parquet file, got a broken one (")


def test_row_groups_beyond_the_limit_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "a.parquet", range(20), group=20)
    monkeypatch.setattr("runner.limits.ROW_GROUP_BYTES", 1000)
    [line] = refusal(path)
    assert line.startswith("ROOT: must have at most 1,000 bytes of images in each row group, got ")
