"""Copies are found value for value, and those between training, validation and test sets are told."""

from pathlib import Path

import numpy as np
import pytest
from stores import encoded, on_disk
from test_folder import noise

from runner.data import Arrays, Dataset, Digits, Examples, Folder, Text, load
from runner.data.copies import first_copies, leaks, summary
from runner.errors import DataError


def examples(inputs: np.ndarray) -> Examples:
    return Examples(inputs, np.zeros(len(inputs), np.int32))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("shape", [(5, 3, 1), (7, 7, 3), (1, 1, 1), (13, 2)])
def test_copies_are_those_that_numpy_finds(dtype, shape):
    random = np.random.default_rng(1)
    first = random.integers(0, 256 if np.prod(shape) > 1 else 20, (60, *shape)).astype(dtype)
    second = np.concatenate([first[[3, 3, 7]], random.integers(0, 256, (30, *shape)).astype(dtype)])
    both = np.concatenate([first, second]).reshape(93, -1)
    _, firsts, inverse = np.unique(both, axis=0, return_index=True, return_inverse=True)
    assert np.concatenate(first_copies([first, second])).tolist() == firsts[inverse.ravel()].tolist()


def test_rows_whose_sums_are_equal_are_compared():
    # Two changes of 128 in the last byte of a word cancel in a sum of words with odd factors.
    rows = np.zeros((4, 16), np.uint8)
    rows[1, [7, 15]] = 128
    rows[3, [7, 15]] = 128
    assert first_copies([rows])[0].tolist() == [0, 1, 0, 1]


def test_copies_between_sets_are_told_with_an_example():
    random = np.random.default_rng(2)
    train, val, test = (random.integers(0, 256, (n, 4, 4, 1), np.uint8) for n in (20, 5, 9))
    test[4], test[6], val[0] = train[11], train[12], train[12]
    found = leaks({"train": examples(train), "val": examples(val), "test": examples(test)})
    assert summary(found) == (
        "examples that stand in two sets: 2 of test in train, 1 of val in train, 1 of test in val, "
        "such as test[4] = train[11]"
    )
    assert summary(leaks({"train": examples(train[:10]), "test": examples(test)})) == ""


def photographs(folder: Path) -> Path:
    """Two classes in train and test; one photograph stands in both, another one in train twice."""
    files = {
        f"{part}/{name}/{number}.png": encoded(noise(seed + number))
        for seed, (part, name) in enumerate(
            [(part, name) for part in ("train", "val", "test") for name in ("cat", "dog")], start=1
        )
        for number in range(0, 100, 10)
    }
    files["test/cat/again.png"] = files["train/cat/20.png"]
    files["train/dog/again.png"] = files["train/dog/30.png"]
    return on_disk(folder, files)


def test_a_folder_with_leakage_is_told_or_refused(tmp_path):
    root = str(photographs(tmp_path / "files"))
    found = load(Folder(source="folder", root=root))
    assert found.leaks == (("test", "train", 1, "test/cat/again.png", "train/cat/20.png"),)
    with pytest.raises(DataError) as caught:
        load(Folder(source="folder", root=root, on_leakage="error"))
    told = "examples that stand in two sets: 1 of test in train, such as test/cat/again.png = train/cat/20.png"
    assert str(caught.value) == f"data.on_leakage: must be warn to train all the same, got {told}"


def test_texts_are_compared_before_they_are_shortened(tmp_path):
    rows = [f"word{number} and more of the same,{'good' if number % 2 else 'bad'}" for number in range(40)]
    table = tmp_path / "texts.csv"
    table.write_text("text,label\n" + "\n".join(rows))
    source = Text(source="text", root=str(table), length=3, min_count=2)  # all texts have equal tokens
    found = load(source)
    assert len(np.unique(found.train.inputs, axis=0)) == 1
    assert found.leaks == ()


def test_the_embedded_data_have_no_copies():
    assert load(Digits(name="digits")).leaks == ()


def test_signals_are_compared_too(tmp_path):
    random = np.random.default_rng(3)
    signals = random.normal(size=(40, 16)).astype(np.float32)
    labels = np.arange(40) % 2
    np.savez(tmp_path / "signals.npz", x_train=signals, y_train=labels, x_test=signals[[5]], y_test=labels[[5]])
    found: Dataset = load(Arrays(source="arrays", root=str(tmp_path / "signals.npz"), axes="lc"))
    assert sum(leak.copies for leak in found.leaks if leak.split == "test") == 1
