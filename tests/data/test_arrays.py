"""Arrays of an .npz: every form that is taken, and a named fault for every one that is not."""

import numpy as np
import pytest

from runner.data import Arrays, SignalSize, load
from runner.errors import DataError

Y = np.arange(40) % 4
X = np.arange(40 * 6 * 5, dtype=np.uint8).reshape(40, 6, 5)


def arrays(tmp_path, changes=None, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    return Arrays(source="arrays", root=str(tmp_path / "a.npz"), **(changes or {}))


def test_a_test_set_is_held_out_if_there_is_none(tmp_path):
    dataset = load(arrays(tmp_path, x_train=X, y_train=Y))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (29, 3, 8)
    assert dataset.shape == (6, 5, 1)
    assert dataset.classes == ("0", "1", "2", "3")


def test_existing_parts_are_used(tmp_path):
    dataset = load(arrays(tmp_path, x_train=X, y_train=Y, x_val=X[:4], y_val=Y[:4], x_test=X[:8], y_test=Y[:8, None]))
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (40, 4, 8)
    np.testing.assert_array_equal(dataset.test.inputs[..., 0], X[:8])


def test_one_dimensional_and_float_inputs(tmp_path):
    signals = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float64)
    changes = {"axes": "lc", "signal": SignalSize(length=30, channels=1), "class_names": ("a", "b", "c", "d")}
    dataset = load(arrays(tmp_path, changes, x_train=signals, y_train=Y))
    assert dataset.shape == (30, 1)
    assert dataset.train.inputs.dtype == np.float32
    assert dataset.classes == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"x_train": X}, ": must hold y_train beside x_train, got [x_train]"),
        ({"x_test": X, "y_test": Y}, ": must hold x_train and y_train, got [x_test, y_test]"),
        ({"x_train": X, "y_train": Y[:-1]}, ": y_train: must hold 40 labels, one per input, got 39"),
        ({"x_train": X, "y_train": Y / 2}, ": y_train: must hold integers, got float64"),
        ({"x_train": X, "y_train": Y - 1}, ": y_train: must hold labels from 0, got -1 (example 0, counted from 0)"),
        ({"x_train": X[0], "y_train": Y}, ": x_train: must have the axes (n, h, w[, c]), got shape (6, 5)"),
        ({"x_train": X[:0], "y_train": Y[:0]}, ": x_train: must have the axes (n, h, w[, c]), got shape (0, 6, 5, 1)"),
        ({"x_train": X.astype(np.int32), "y_train": Y}, ": x_train: must be of type uint8 or float32, got int32"),
        ({"x_train": X / np.nan, "y_train": Y}, ": x_train: must be finite, got NaN or infinite values"),
        (
            {"x_train": X, "y_train": Y, "x_test": X[:, :5], "y_test": Y},
            ": x_test: must hold inputs of size 6×5×1, as ROOT: x_train does, got 5×5×1",
        ),
    ],
)
def test_a_fault_is_refused(tmp_path, fields, text):
    with pytest.raises(DataError) as caught:
        load(arrays(tmp_path, **fields))
    assert str(caught.value) == f"{tmp_path}/a.npz{text}".replace("ROOT", f"{tmp_path}/a.npz")


def test_a_label_above_the_declared_classes_is_refused(tmp_path):
    with pytest.raises(
        DataError, match=r"a\.npz: y_train: must hold labels below 3, got 3 \(example 3, counted from 0\)$"
    ):
        load(arrays(tmp_path, {"classes": 3}, x_train=X, y_train=Y))


def test_python_objects_are_refused(tmp_path):
    with pytest.raises(DataError, match=r"a\.npz: x_train: must hold numbers, got values of type object$"):
        load(arrays(tmp_path, x_train=np.array([{}] * 40), y_train=Y))


def test_a_file_that_is_not_an_npz_is_refused(tmp_path):
    data = arrays(tmp_path, x_train=X, y_train=Y)
    path = tmp_path / "a.npz"
    whole = path.read_bytes()
    for content in (b"", b"hello", whole[:-200]):
        path.write_bytes(content)
        with pytest.raises(DataError, match=f"^{path}: must be an .npz archive, got another kind of file"):
            load(data)
    path.write_bytes(whole[:100] + b"\0" * 60 + whole[160:])
    with pytest.raises(DataError, match=f"^{path}: must be an .npz of plain arrays, got a broken one"):
        load(data)
    for root in (None, "nowhere.npz"):
        with pytest.raises(DataError, match=r"^data\.root: must be an \.npz file of arrays, got (null|nowhere\.npz)$"):
            load(Arrays(source="arrays", root=root))
