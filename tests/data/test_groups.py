"""Examples of one group stay in one set; parts have every class nearly in its share, as scikit-learn's folds have."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from sklearn.model_selection import StratifiedGroupKFold
from stores import encoded, on_disk

from runner.data import Dataset, Folder, ImageTable, Source, load
from runner.data.groups import fold_out_groups, hold_out_groups
from runner.errors import DataError

EXAMPLES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 15)), min_size=20, max_size=120)


def arrays(examples: list[tuple[int, int]]) -> tuple[np.ndarray, list[str]]:
    labels = np.unique([label for label, _ in examples], return_inverse=True)[1]
    return labels, [f"patient {group}" for _, group in examples]


def apart(groups: list[str], *parts: np.ndarray) -> bool:
    found = [{groups[index] for index in part} for part in parts]
    return sum(map(len, found)) == len(set().union(*found))


@given(EXAMPLES, st.integers(2, 6), st.integers(0, 2**31))
def test_each_group_is_in_one_fold(examples: list[tuple[int, int]], folds: int, seed: int) -> None:
    labels, groups = arrays(examples)
    folds = min(folds, len(set(groups)))
    if folds < 2:
        return
    parts = [fold_out_groups(labels, groups, folds, fold, seed=seed) for fold in range(folds)]
    assert sorted(np.concatenate([held for _, held in parts])) == list(range(len(labels)))
    assert apart(groups, *(held for _, held in parts))
    for kept, held in parts:
        assert len(held) > 0
        assert sorted([*kept, *held]) == list(range(len(labels)))
        assert (np.diff(kept) > 0).all()


@given(EXAMPLES, st.floats(0.01, 0.99), st.integers(0, 2**31))
def test_a_held_out_part_has_whole_groups_and_nearly_its_share(
    examples: list[tuple[int, int]], fraction: float, seed: int
) -> None:
    labels, groups = arrays(examples)
    if len(set(groups)) < 2:
        return
    kept, held = hold_out_groups(labels, groups, fraction, seed=seed, purpose="val")
    assert sorted([*kept, *held]) == list(range(len(labels)))
    assert apart(groups, kept, held)
    assert min(len(kept), len(held)) > 0
    largest = max(map(groups.count, groups))
    assert abs(len(held) - fraction * len(labels)) <= 2 * largest


def test_folds_are_as_well_stratified_as_those_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)

    def distance(labels: np.ndarray, parts: list[np.ndarray]) -> float:
        counts = np.bincount(labels)
        shares = [np.bincount(labels[part], minlength=len(counts)) / counts for part in parts]
        return float(np.sum((np.array(shares) - 1 / len(parts)) ** 2))

    total = np.zeros(2)
    for seed in range(40):
        folds, sizes = int(draw.integers(2, 6)), draw.geometric(0.15, draw.integers(8, 40))
        likings = draw.dirichlet(np.full(4, draw.choice([0.2, 1, 10])), len(sizes))
        labels = np.concatenate([draw.choice(4, size, p=liking) for size, liking in zip(sizes, likings, strict=True)])
        groups = np.repeat(np.arange(len(sizes)), sizes)
        if len(np.unique(labels)) < 4 or np.bincount(labels).min() < folds:
            continue
        reference = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(labels, labels, groups)
        ours = [fold_out_groups(labels, groups.astype(str).tolist(), folds, k, seed=seed)[1] for k in range(folds)]
        total += distance(labels, ours), distance(labels, [held for _, held in reference])
    assert 0 < total[0] <= 1.05 * total[1]


def test_the_order_of_groups_of_equal_size_depends_on_the_seed_alone() -> None:
    labels, groups = np.arange(40) % 2, [f"{index // 2}" for index in range(40)]
    held = [hold_out_groups(labels, groups, 0.2, seed=seed, purpose="val")[1].tolist() for seed in (0, 0, 1)]
    assert held[0] == held[1] != held[2]
    assert [len(part) for part in held] == [8] * 3


# In data


def picture(index: int) -> bytes:
    return encoded(np.random.default_rng(index).integers(0, 256, (4, 4, 3), np.uint8))


def in_folders(patients: int = 12, each: int = 4) -> dict[str, bytes]:
    return {
        f"{('ill', 'well')[scan % 2]}/p{patient}_{scan}.png": picture(each * patient + scan)
        for patient in range(patients)
        for scan in range(each)
    }


def as_folder(root: Path, files: dict[str, bytes], **changes: Any) -> Source:
    where = on_disk(root / "photos", files)
    return Folder.model_validate({"source": "folder", "root": str(where), "group_by": r"/(p\d+)_", **changes})


def as_table(root: Path, files: dict[str, bytes], **changes: Any) -> Source:
    rows = [f"{path},{path.split('/')[0]},{path.split('/')[1].split('_')[0]}" for path in files]
    where = on_disk(root, files | {"a.csv": "\n".join(["path,label,patient", *rows])}) / "a.csv"
    return ImageTable.model_validate({"source": "table", "root": str(where), "group_by": "patient", **changes})


def patients(dataset: Dataset) -> list[set[str]]:
    return [
        {file.split("/")[1].split("_")[0] for file in part.files} for part in (dataset.train, dataset.val, dataset.test)
    ]


@pytest.mark.parametrize("form", [as_folder, as_table])
@pytest.mark.parametrize("changes", [{}, {"limit": 6}, {"folds": 3, "fold": 2}])
def test_no_patient_stands_in_two_sets(tmp_path: Path, form: Callable[..., Source], changes: dict[str, int]) -> None:
    dataset = load(form(tmp_path, in_folders(), **changes))
    found = patients(dataset)
    assert all(found)
    assert sum(map(len, found)) == len(set().union(*found))
    for part in (dataset.train, dataset.val, dataset.test):
        assert len(part) <= changes.get("limit", 48)
        assert abs(int(np.sum(part.labels == 0)) - int(np.sum(part.labels == 1))) <= 1


@pytest.mark.parametrize("form", [as_folder, as_table])
def test_too_few_groups_and_groups_in_two_sets_are_refused(tmp_path: Path, form: Callable[..., Source]) -> None:
    def refusal(name: str, files: dict[str, bytes], **changes: Any) -> str:
        with pytest.raises(DataError) as caught:
            load(form(tmp_path / name, files, **changes))
        return str(caught.value)

    few = in_folders(2, 8)
    expected = "data.group_by: must leave 2 or more groups for data.val_fraction=0.1, got 1"
    assert refusal("a", few) == expected
    expected = "data.group_by: must leave 5 or more groups for data.folds=5, got 3"
    assert refusal("b", in_folders(4, 8), folds=5) == expected
    (tmp_path / "val.txt").write_text("ill/p3_0.png\nwell/p3_1.png\nill/p5_0.png\n")
    assert refusal("c", in_folders(), val_list=str(tmp_path / "val.txt")) == (
        "data.group_by: must name groups of which none stands in train and in val, got 2 that do, such as p3"
    )


def test_a_class_of_one_group_cannot_be_held_out(tmp_path: Path) -> None:
    alone = {path: file for path, file in in_folders().items() if path.startswith("ill") or "p1_" in path}
    told = []
    for fold in range(3):
        try:
            load(as_folder(tmp_path / str(fold), alone, folds=3, fold=fold))
        except DataError as error:
            told.append(str(error))
    assert told == ["data.folds: must leave training examples of every class, while groups stay together, got 3"]


def test_images_without_a_group_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load(as_folder(tmp_path, in_folders() | {"ill/x.png": picture(0)}))
    assert str(caught.value) == f"{tmp_path}/photos/ill/x.png: must have a group by data.group_by, got none"


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("p(", "must have a group_by that is a regular expression (missing ), unterminated subpattern at position 1)"),
        ("p_", "must have a group_by with one group, as in _(.+)_"),
    ],
)
def test_an_expression_must_have_one_group(expression: str, text: str) -> None:
    with pytest.raises(ValidationError) as caught:
        Folder(source="folder", group_by=expression)
    assert caught.value.errors()[0]["msg"] == f"Value error, {text}, got {expression}"
