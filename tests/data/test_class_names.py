"""The two spellings that Unicode has of one name are one class, wherever the name comes from."""

import unicodedata
from pathlib import Path

import numpy as np
import pytest
from stores import STORES, png

from runner.data import Folder, Text, load
from runner.data.class_names import nfc

# UAX #15: each composes to one sign; ﬁ is a ligature, which only the compatibility forms (NFKC) take apart.
SPELLINGS = ("é", "Å", "ệ", "한", "が", "ö")


def forms(name: str) -> tuple[str, str]:
    return unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name)


@pytest.mark.parametrize("name", SPELLINGS)
def test_both_unicode_forms_become_one(name: str) -> None:
    composed, decomposed = forms(name)
    assert composed != decomposed
    assert nfc(decomposed) == nfc(composed) == composed


def test_different_letters_stay_different() -> None:
    assert nfc("ﬁ") != "fi"
    assert nfc("é") != "e"


@pytest.mark.parametrize("store", ["disk", "zip"])
def test_folders_in_two_unicode_forms_are_one_class(tmp_path: Path, store: str) -> None:
    composed, decomposed = forms("café")
    files = {
        f"{folder}/{form}{i}.png": png(i) for form, folder in (("c", composed), ("d", decomposed)) for i in range(8)
    }
    files |= {f"pub/{i}.png": png(100 + i) for i in range(8)}
    dataset = load(Folder(source="folder", root=str(STORES[store](tmp_path, files))))
    assert dataset.classes == (composed, "pub")
    parts = (dataset.train, dataset.val, dataset.test)
    assert sum(np.bincount(part.labels, minlength=2) for part in parts).tolist() == [16, 8]


@pytest.mark.parametrize("store", ["disk", "zip"])
def test_parts_may_use_different_unicode_forms(tmp_path: Path, store: str) -> None:
    composed, decomposed = forms("café")
    files = {f"train/{folder}/{i}.txt": b"a word" for folder in (composed, "pub") for i in range(8)}
    files |= {f"test/{folder}/{i}.txt": b"a word" for folder in (decomposed, "pub") for i in range(2)}
    dataset = load(Text(source="text", root=str(STORES[store](tmp_path, files))))
    assert dataset.classes == (composed, "pub")
    assert dataset.test.labels.tolist() == [0, 0, 1, 1]


def test_labels_and_columns_of_a_table_in_two_unicode_forms_are_one(tmp_path: Path) -> None:
    composed, decomposed = forms("café")
    rows = [f"good {i},{label}\nbad {i},pub\n" for i in range(8) for label in (composed, decomposed)]
    (tmp_path / "a.csv").write_text(f"{forms('teｘté')[1]},label\n" + "".join(rows), encoding="utf-8")
    data = Text(
        source="text", root=str(tmp_path / "a.csv"), text_column=forms("teｘté")[0], class_names=(decomposed, "pub")
    )
    assert load(data).classes == data.class_names == (composed, "pub")
