"""Labels of the columns of files: of one column the classes, each by its number, or of several columns the numbers.

>>> column = LabelColumn("label", ["dog", "cat"], ["a.csv, line 2", "a.csv, line 3"].__getitem__, "a.csv")
>>> numbered({"train": column}, declared=None)
(('cat', 'dog'), {'train': array([1, 0], dtype=int32)})
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from runner.data.broken import grouped
from runner.data.class_names import class_order, nfc
from runner.errors import DataError, Fault, must


class LabelColumn(NamedTuple):
    """The labels of one part: the name of their column, their texts, the place of each, and the file of all."""

    name: str
    values: Sequence[str]
    at: Callable[[int], str]
    file: str


def numbered(
    parts: Mapping[str, LabelColumn], *, declared: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The classes of the training part, and the labels of each part, int32 (n,).

    The order is that of `declared`; else numbers rise, and texts are sorted. Raises DataError if another part has a
    label that the training part lacks.
    """
    values = {part: [nfc(value.strip()) for value in column.values] for part, column in parts.items()}
    found = sorted(set(values["train"]))
    if all(value.isdecimal() for value in found):
        found.sort(key=lambda value: (int(value), value))
    classes = class_order(found, declared)
    number = {name: label for label, name in enumerate(classes)}
    training = parts["train"].file
    faults = []
    for part, column in parts.items():
        whose = f"of {training}" if column.file != training else "of a training example"
        for row, value in enumerate(values[part]):
            if value not in number:
                faults.append(must(column.at(row), f"have a {column.name} {whose}", value))
    if faults:
        raise DataError(*grouped(training, faults))
    labels = {part: np.array([number[value] for value in found], np.int32) for part, found in values.items()}
    return classes, labels


def labels_of(
    parts: Mapping[str, Sequence[LabelColumn]], *, of_classes: bool, declared: Sequence[str] | None
) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The classes of the only column as `numbered` has them, else the names of the columns and float64 (n, k).

    Raises DataError for a value that is no number.
    """
    if of_classes:
        return numbered({part: column for part, (column,) in parts.items()}, declared=declared)
    faults: list[Fault] = []
    found = {
        part: np.stack([_numbers(column, faults) for column in columns], axis=1) for part, columns in parts.items()
    }
    if faults:
        raise DataError(*grouped(parts["train"][0].file, faults))
    return tuple(column.name for column in parts["train"]), found


def _numbers(column: LabelColumn, faults: list[Fault]) -> np.ndarray:
    """The numbers of a column, float64 (n,); true and false are 1 and 0. Adds a fault for each value that is none."""
    found = np.zeros(len(column.values))
    for row, value in enumerate(column.values):
        word = value.strip().casefold()
        try:
            found[row] = _WORDS[word] if word in _WORDS else float(word.replace("_", "x"))  # 1_000 is Python's only
        except ValueError:
            found[row] = np.nan
        if not np.isfinite(found[row]):
            faults.append(must(column.at(row), f"have a number in {column.name}", value))
    return found


_WORDS = {"true": 1.0, "false": 0.0, "yes": 1.0, "no": 0.0}
