"""A source becomes a data set: what is declared is held against what is found, and what is held out is stratified."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from runner.data import Arrays, Data, Digits, ImageSize, load, statistics
from runner.data.split import fold_out, hold_out, limited, stratified_order
from runner.errors import DataError
from runner.records import frozen

DATA = TypeAdapter(Data)


def saved(path, **arrays):
    np.savez(path, **arrays)
    return Arrays(source="arrays", root=str(path))


def faults(config):
    with pytest.raises(ValidationError) as caught:
        DATA.validate_python(frozen(config))
    return {
        ".".join(str(part) for part in fault["loc"]): fault["msg"].removeprefix("Value error, ")
        for fault in caught.value.errors()
    }


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    read = Digits().read(print)
    np.testing.assert_array_equal(read.train.labels, labels)
    np.testing.assert_array_equal(read.train.inputs.reshape(-1, 64), np.rint(images * 255 / 16))


def test_digits_without_the_packaged_file_come_from_the_library(monkeypatch):
    packaged = Digits().read(print)
    monkeypatch.setattr("runner.data.digits.find_spec", lambda name: None)
    np.testing.assert_array_equal(Digits().read(print).train.inputs, packaged.train.inputs)


def test_every_image_is_in_one_part():
    whole = Digits().read(print)
    dataset = load(Digits())
    assert (len(dataset.train), len(dataset.val), len(dataset.test)) == (1294, 144, 359)
    assert dataset.shape == (8, 8, 1)
    parts = [part.inputs.reshape(-1, 64) for part in (dataset.train, dataset.val, dataset.test)]
    together = np.concatenate(parts)
    np.testing.assert_array_equal(np.sort(together, axis=0), np.sort(whole.train.inputs.reshape(-1, 64), axis=0))
    for part in (dataset.train, dataset.val, dataset.test):
        shares = np.bincount(part.labels) / np.bincount(whole.train.labels)
        np.testing.assert_allclose(shares, len(part) / 1797, atol=0.01)


@given(
    st.lists(st.integers(0, 4), min_size=20, max_size=120), st.integers(2, 10), st.integers(0, 2**31), st.integers(0, 3)
)
def test_folds_are_disjoint_equal_and_stratified(labels, folds, seed, spread):
    labels = np.array(labels) * (spread + 1)
    parts = [fold_out(labels, folds, fold, seed=seed) for fold in range(folds)]
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(len(labels)))
    assert np.ptp([len(held) for _, held in parts]) <= 1
    for kept, held in parts:
        assert sorted([*kept, *held]) == list(range(len(labels)))
        assert (np.diff(held) > 0).all()
        for label in set(labels):
            share = (labels == label).sum() * len(held) / len(labels)
            assert abs((labels[held] == label).sum() - share) < 2


def test_every_fold_of_a_data_set_validates_once_and_the_test_images_stay():
    whole = load(Digits())
    parts = [load(Digits(folds=4, fold=fold)) for fold in range(4)]
    for part in parts:
        np.testing.assert_array_equal(part.test.inputs, whole.test.inputs)
        assert len(part.train) + len(part.val) == len(whole.train) + len(whole.val)
    together = np.concatenate([part.val.inputs for part in parts]).reshape(-1, 64)
    both = np.concatenate([whole.train.inputs, whole.val.inputs]).reshape(-1, 64)
    np.testing.assert_array_equal(np.unique(together, axis=0), np.unique(both, axis=0))
    assert len({part.digest for part in parts}) == 4


def test_folds_that_are_not_there_are_refused(tmp_path):
    assert faults({"source": "digits", "fold": 1}) == {"": "must have no fold without folds, got 1"}
    assert faults({"source": "digits", "folds": 3, "fold": 3}) == {"": "must have a fold below folds (3), got 3"}
    with pytest.raises(
        DataError, match=r"data.folds: must be at most the number of training examples \(1,438\), got 2000"
    ):
        load(Digits(folds=2000))
    few = {"x_train": np.zeros((6, 4, 4, 1), np.uint8), "y_train": np.arange(6) % 2}
    file = tmp_path / "few.npz"
    own = {f"x_{name}": few["x_train"] for name in ("val", "test")} | {
        f"y_{name}": few["y_train"] for name in ("val", "test")
    }
    np.savez(file, **few, **own)
    with pytest.raises(
        DataError, match=r"data.folds: must be null for data with validation examples of their own, got 3"
    ):
        load(Arrays(source="arrays", root=str(file), folds=3))


def test_the_same_record_gives_the_same_data_and_another_split_another():
    first, again, other = load(Digits()), load(Digits()), load(Digits(split_seed=1))
    assert first.digest == again.digest != other.digest
    assert len(first.digest) == 32  # MLflow takes 36 characters
    np.testing.assert_array_equal(first.train.inputs, again.train.inputs)


def test_the_split_does_not_change_between_versions():
    # Runs of different days are compared: the order must not move with NumPy or with this code.
    labels = np.array([0, 1, 2, 0, 1, 0, 0, 2])
    assert stratified_order(labels, seed=0, purpose="val").tolist() == [0, 4, 2, 3, 5, 1, 7, 6]


def test_limit_keeps_the_classes_balanced():
    dataset = load(Digits(limit=20))
    assert np.bincount(dataset.train.labels).tolist() == [2] * 10
    assert (len(dataset.val), len(dataset.test)) == (20, 20)
    assert load(Digits(limit=10**6)).digest == load(Digits()).digest


@given(
    labels=st.lists(st.integers(0, 4), min_size=2, max_size=60).map(np.array),
    fraction=st.floats(0.05, 0.9),
    seed=st.integers(0, 2**32),
)
def test_held_out_examples_are_stratified(labels, fraction, seed):
    kept, held = hold_out(labels, fraction, seed=seed, purpose="val")
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert len(held) == max(1, round(fraction * len(labels)))
    for label in set(labels):
        share = (labels == label).sum() * len(held) / len(labels)
        # Every prefix of the order holds each class to within one of its share of the way; rounding adds one.
        assert abs((labels[held] == label).sum() - share) <= 2


def test_a_smaller_limit_chooses_a_subset_of_a_larger_one():
    labels = np.arange(100) % 7
    few, more = limited(labels, 20, seed=3), limited(labels, 50, seed=3)
    assert set(few) < set(more)
    assert limited(labels, None, seed=3).tolist() == list(range(100))


def test_statistics_are_those_of_numpy():
    inputs = np.random.default_rng(0).integers(0, 256, (500, 9, 7, 3), np.uint8)
    inputs[..., 2] = 7
    mean, std = statistics(inputs)
    np.testing.assert_allclose(mean, (inputs / 255).mean(axis=(0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(std[:2], (inputs / 255).std(axis=(0, 1, 2))[:2], rtol=1e-6)
    assert std[2] == 1.0  # a constant channel is centred, not blown up


def test_statistics_of_floats_far_from_zero_keep_their_precision():
    inputs = (1000 + np.random.default_rng(0).normal(size=(300, 50, 1))).astype(np.float32)
    mean, std = statistics(inputs)
    np.testing.assert_allclose(mean, inputs.mean(dtype=np.float64), rtol=1e-6)
    np.testing.assert_allclose(std, inputs.std(dtype=np.float64), rtol=1e-4)


def test_declarations_must_match_the_files(tmp_path):
    x, y = np.zeros((20, 4, 5, 3), np.uint8), np.arange(20) % 2
    data = saved(tmp_path / "a.npz", x_train=x, y_train=y)
    for change, text in (
        (
            {"image": ImageSize(height=5, width=4, channels=3)},
            "data.image: must be 4×5×3, as the images are, got 5×4×3",
        ),
        ({"mean": (0.5,)}, "data.mean: must have one value per channel (3), got [0.5]"),
        ({"classes": 3}, f'{data.root}: y_train: must have training examples of every class, got none of "2"'),
        ({"val_fraction": 0.95}, "data.val_fraction: must leave training examples of every class, got 0.95"),
    ):
        with pytest.raises(DataError) as caught:
            load(data.model_copy(update=change))
        assert str(caught.value) == text


def test_declared_shapes_and_classes_need_no_files():
    data = DATA.validate_python({"source": "arrays", "axes": "lc", "signal": {"length": 100, "channels": 2}})
    assert data.shape == (100, 2)
    assert data.class_count is None
    assert (Digits().shape, Digits().class_count) == ((8, 8, 1), 10)


def test_a_source_is_a_value():
    assert hash(Digits(mean=(0.3,), std=(0.4,))) == hash(Digits(mean=(0.3,), std=(0.4,)))
    DATA.json_schema()


def test_errors_of_a_source():
    assert faults({"source": "dgits"}) == {"": 'unknown data source "dgits"; did you mean "digits"?'}
    assert faults({"name": "x"})[""].endswith("), got {name: x}")  # the whole line is in tests/test_faults.py
    assert faults("digits")[""].endswith("), got digits")
    assert set(faults({"source": "digits", "limit": 0, "val_fraction": 1.0, "std": [0.0], "rot": "x"})) == {
        "limit",
        "val_fraction",
        "std.0",
        "rot",
    }
    assert faults({"source": "digits", "mean": [0.1, 0.2]}) == {
        "": "must have as many values of mean as channels (1), got [0.1, 0.2]"
    }
    assert faults({"source": "digits", "class_names": ["a", "b"]}) == {
        "": "must have as many class_names as classes (10), got 2"
    }
    assert faults({"source": "folder", "class_names": ["a", "a"]}) == {
        "": "must have class_names that differ, got [a, a]"
    }
    assert faults({"source": "folder", "image": {"height": 8, "width": 8, "channels": 5}}) == {
        "": "must have images of 1, 2, 3 or 4 channels, got 5"
    }
    assert faults({"source": "arrays", "signal": {"length": 8, "channels": 1}}) == {
        "": "must leave signal null for axes=hwc, got {length: 8, channels: 1}"
    }
