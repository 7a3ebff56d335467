"""One check for every source: training and test parts agree in size, type and classes, or a line names the part.

Each fault is put into files of several forms; the line must name the file or the split that has it.
"""

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import png, zipped

from runner.data import Arrays, Folder, Source, Text, load
from runner.data.agreement import checked_classes
from runner.data.download import Published
from runner.data.examples import Part, Parts
from runner.data.idx import Idx
from runner.errors import DataError

Y = np.arange(60) % 3
X = np.arange(60 * 6 * 5, dtype=np.uint8).reshape(60, 6, 5)
TEST = {"x_test": X[:20], "y_test": Y[:20]}


def idx(folder: Path, changes: dict[str, Any], **arrays: np.ndarray) -> Source:
    """Four IDX files: ti, tl, ei, el."""
    for name, key in (("ti", "x_train"), ("tl", "y_train"), ("ei", "x_test"), ("el", "y_test")):
        array = arrays[key]
        head = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
        (folder / name).write_bytes(head + array.astype(np.uint8).tobytes())
    files = {
        part: Published(file=name)
        for part, name in (
            ("train_images", "ti"),
            ("train_labels", "tl"),
            ("test_images", "ei"),
            ("test_labels", "el"),
        )
    }
    return Idx(source="idx", name="mine", root=str(folder), **files, **changes)  # type: ignore[arg-type]


def npz(folder: Path, changes: dict[str, Any], **arrays: np.ndarray) -> Source:
    np.savez(folder / "a.npz", **arrays)  # type: ignore[arg-type]
    return Arrays(source="arrays", root=str(folder / "a.npz"), **changes)


STORES = {"idx": idx, "arrays": npz}
PLACES = {
    "idx": {"x_train": "ti", "y_train": "tl", "x_test": "ei", "y_test": "el"},
    "arrays": {name: f"a.npz: {name}" for name in ("x_train", "y_train", "x_test", "y_test")},
}


def refused(call: Callable[[], Any]) -> str:
    with pytest.raises(DataError) as caught:
        call()
    return str(caught.value)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize(
    ("arrays", "changes", "place", "text"),
    [
        (  # cases/idx_testlabel: was scored with loss 0
            {"y_test": np.where(np.arange(20) == 7, 9, Y[:20])},
            {},
            "y_test",
            "hold labels below 3, as the training labels are, got 9 (example 7, counted from 0)",
        ),
        ({"y_test": Y[:20]}, {"classes": 2}, "y_train", "hold labels below 2, got 2 (example 2, counted from 0)"),
        ({"y_test": Y[:20]}, {"classes": 4}, "y_train", 'have training examples of every class, got none of "3"'),
        (
            {"y_train": Y % 2, "y_test": Y[:20]},
            {"class_names": ("a", "b", "c")},
            "y_train",
            'have training examples of every class, got none of "c"',
        ),
        (
            {"y_train": Y * 2},
            {},
            "y_train",
            'have training examples of every class, got none of "1", but one of 4',
        ),
        (  # cases/idx_oneclass: was an accuracy of 100 %
            {"y_train": Y * 0},
            {},
            "y_train",
            'have training examples of at least two classes, got only "0"',
        ),
        # cases/idx_difftest: was accepted
        ({"x_test": X[:20, :5]}, {}, "x_test", "hold inputs of size 6×5×1, as {x_train} does, got 5×5×1"),
        ({"y_test": Y[:19]}, {}, "y_test", "hold 20 labels, one per input, got 19"),
    ],
)
def test_parts_that_disagree_are_refused(
    tmp_path: Path, store: str, arrays: dict[str, Any], changes: dict[str, Any], place: str, text: str
) -> None:
    data = STORES[store](tmp_path, changes, **{"x_train": X, "y_train": Y, **TEST, **arrays})
    places = {name: f"{tmp_path}/{file}" for name, file in PLACES[store].items()}
    assert refused(lambda: load(data)) == f"{places[place]}: must {text.format(**places)}"


@pytest.mark.parametrize("store", STORES)
def test_parts_that_agree_are_accepted(tmp_path: Path, store: str) -> None:
    dataset = load(STORES[store](tmp_path, {}, x_train=X, y_train=Y, **TEST))
    assert dataset.classes == ("0", "1", "2")
    np.testing.assert_array_equal(dataset.test.labels, Y[:20])


def test_types_must_agree(tmp_path: Path) -> None:
    # Bytes are read as 0 … 255 and floats as they are: the two would be numbers of different units.
    data = npz(tmp_path, {}, x_train=X, y_train=Y, x_test=X[:20] / 255, y_test=Y[:20])
    place = f"{tmp_path}/a.npz"
    assert refused(lambda: load(data)) == (
        f"{place}: x_test: must be of type uint8, as {place}: x_train is, got float32"
    )


def test_channels_must_agree(tmp_path: Path) -> None:
    rgb = np.repeat(X[..., None], 3, axis=-1)
    data = npz(tmp_path, {}, x_train=rgb, y_train=Y, **TEST)
    assert "x_test: must hold inputs of size 6×5×3" in refused(lambda: load(data))


def test_photographs_of_another_size_in_the_test_folder_are_refused(tmp_path: Path) -> None:
    # Without data.image each part took the size of its own first file.
    sides = {"train": 6, "test": 5}
    files = {f"{part}/{'ab'[i % 2]}/{i}.png": png(i, side) for part, side in sides.items() for i in range(16)}
    root = zipped(tmp_path, files)
    assert refused(lambda: load(Folder(source="folder", root=str(root)))) == (
        f"{root}, test: must hold inputs of size 6×6×1, as {root}, train does, got 5×5×1"
    )


def test_a_table_of_one_class_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("text,label\n" + "red,neg\n" * 10)
    assert refused(lambda: load(Text(source="text", root=str(tmp_path / "a.csv")))) == (
        f'{tmp_path}/a.csv: must have training examples of at least two classes, got only "neg"'
    )


@pytest.mark.parametrize(
    ("labels", "text"),
    [
        (np.zeros(3), "hold integers, got float64"),
        (np.array([True, False, True]), "hold integers, got bool"),
        (np.array(["a", "b", "a"]), "hold integers, got <U1"),
        (np.zeros((3, 2), int), "hold 3 labels, one per input, got shape (3, 2)"),
        (np.array([0, 1, -1]), "hold labels from 0, got -1 (example 2, counted from 0)"),
        (np.array([0, 1, 2**63], np.uint64), 'have training examples of every class, got none of "2", but one of 2^63'),
    ],
)
def test_labels_that_are_not_class_indices_are_refused(labels: np.ndarray, text: str) -> None:
    # A source that says nothing of its files is named by its split.
    parts = Parts(train=Part(np.zeros((3, 2, 2, 1), np.uint8), labels))
    data = Arrays(source="arrays", name="mine")
    assert (
        refused(lambda: checked_classes(data, parts)) == f"data (mine), train: must {text.replace('2^63', str(2**63))}"
    )
