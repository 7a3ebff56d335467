"""Lists of files: the listed images are in the set of their list, all others are trained on."""

from pathlib import Path

import pytest
from stores import STORES, on_disk, png

from runner.data import Dataset, Folder, ImageTable, load
from runner.errors import DataError

FILES = {f"{name}/{index}.png": png(index + 100 * (name == "dog")) for name in ("cat", "dog") for index in range(10)}


def read(root: Path, **changes: object) -> Dataset:
    return load(Folder.model_validate({"source": "folder", "root": str(root), **changes}))


def listed(folder: Path, name: str, *lines: str) -> str:
    (folder / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return str(folder / name)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("around", ["", "photos/all/"])
def test_listed_images_are_validation_and_test_images(tmp_path: Path, store: str, around: str) -> None:
    root = STORES[store](tmp_path, {around + path: content for path, content in FILES.items()})
    val = listed(tmp_path, "val.txt", "./cat/3.png", "", "dog/4")
    test = listed(tmp_path, "test.txt", *(f"{around}dog/{index}.png" for index in (9, 0)))
    found = read(root, val_list=val, test_list=test)
    assert found.val.files == (f"{around}cat/3.png", f"{around}dog/4.png")
    assert found.test.files == (f"{around}dog/0.png", f"{around}dog/9.png")
    assert len(found.train) == 16
    only = read(root, test_list=test)
    assert (len(only.train), len(only.val), len(only.test)) == (16, 2, 2)


def test_lists_divide_tables_as_well(tmp_path: Path) -> None:
    rows = "file,label\n" + "".join(f"{path},{path[:3]}\n" for path in FILES)
    root = on_disk(tmp_path / "a", FILES | {"labels.csv": rows}) / "labels.csv"
    val = listed(tmp_path, "val.txt", "cat/3.png")
    assert load(ImageTable(source="table", root=str(root), val_list=val)).val.files == ("cat/3.png",)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["cat/3.png", "cat/77.png"], "VAL, line 2: must be the path of a training image, got cat/77.png"),
        (["cat/3.png", "cat/3"], "VAL, line 2: must name another image than val.txt, line 1, got cat/3"),
        ([""], "data.val_list: must list at least one path, got an empty file"),
        (list(FILES), "data.val_list: must leave images to train on, got all of them"),
    ],
)
def test_a_wrong_list_is_refused(tmp_path: Path, lines: list[str], expected: str) -> None:
    val = listed(tmp_path, "val.txt", *lines)
    with pytest.raises(DataError) as caught:
        read(on_disk(tmp_path / "a", FILES), val_list=val)
    assert str(caught.value).replace(val, "VAL") == expected


def test_lists_that_are_missing_or_too_many_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = on_disk(
        tmp_path / "a", {f"{part}/{path}": file for part in ("train", "val") for path, file in FILES.items()}
    )
    monkeypatch.chdir(tmp_path)
    listed(tmp_path, "val.txt", "cat/3.png")
    for name, expected in (
        ("nowhere.txt", "data.val_list: must be a file that lists paths, got nowhere.txt"),
        ("val.txt", "data.val_list: must be null for data with val images of their own, got val.txt"),
    ):
        with pytest.raises(DataError) as caught:
            read(root, val_list=name)
        assert str(caught.value) == expected
