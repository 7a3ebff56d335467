"""Checks that the parts of a data set agree. The same checks serve every source and run before images are decoded.

The training, validation and test inputs must have one shape and one type. Labels must be whole numbers within one list
of classes, and every class must have a training example.
"""

from typing import Literal

import numpy as np

from runner.data.class_names import check_recordable
from runner.data.examples import Part, Parts
from runner.data.source import Source
from runner.errors import DataError, must
from runner.layers.base import shape_text

Split = Literal["train", "val", "test"]


def checked_classes(data: Source, parts: Parts) -> tuple[str, ...]:
    """Returns the names of the classes, in the order of their labels.

    Raises DataError that names the wrong part: by its file if the source states it.
    """
    all_parts: dict[Split, Part | None] = {"train": parts.train, "val": parts.val, "test": parts.test}
    present = {split: part for split, part in all_parts.items() if part is not None}
    for split, part in present.items():
        _check_labels(_labels_place(data, split, part), part)
    count = _class_count(data, parts)
    _check_highest(data, "train", parts.train, count)
    _check_coverage(data, parts, count)
    for split, part in present.items():
        _check_highest(data, split, part, count)
    _check_inputs(data, present)
    names = parts.classes or data.names(count)
    check_recordable(names, f"data ({data.name})")
    return names


def _check_highest(data: Source, split: Split, part: Part, count: int) -> None:
    if part.labels.max() >= count:
        reason = "" if data.class_count else ", as the training labels are"
        rule = f"hold labels below {count}{reason}"
        raise DataError(must(_labels_place(data, split, part), rule, _at(part.labels, part.labels.argmax())))


def _class_count(data: Source, parts: Parts) -> int:
    """The number of classes: from the names in the files, else as declared, else the highest training label + 1."""
    named = len(parts.classes) if parts.classes else None
    if named is not None and data.class_count not in (None, named):
        raise DataError(must("data.classes", f"be {named}, as many as the data have", data.class_count))
    return named or data.class_count or int(parts.train.labels.max()) + 1


def _check_labels(place: str, part: Part) -> None:
    labels = part.labels
    if labels.shape != (len(part.inputs),):
        got = len(labels) if labels.ndim == 1 else f"shape {labels.shape}"
        raise DataError(must(place, f"hold {len(part.inputs)} labels, one per input", got))
    if labels.dtype.kind not in "iu":
        raise DataError(must(place, "hold integers", labels.dtype))
    if not labels.size:
        raise DataError(must(place, "hold labels", "none"))
    if labels.min() < 0:
        raise DataError(must(place, "hold labels from 0", _at(labels, labels.argmin())))


def _check_coverage(data: Source, parts: Parts, count: int) -> None:
    """Checks that every class has a training example, and that there are at least two classes."""
    present = np.unique(parts.train.labels)  # np.bincount would need memory for a wrong label of 10⁹
    place = _labels_place(data, "train", parts.train)
    if count > len(present):
        gaps = np.flatnonzero(present != np.arange(len(present)))
        missing = int(gaps[0]) if len(gaps) else len(present)
        names = parts.classes or data.class_names
        got = f'none of "{names[missing] if names else missing}"'
        if not names and not data.classes:
            got += f", but one of {int(present[-1])}"
        raise DataError(must(place, "have training examples of every class", got))
    if count < 2:
        only = (parts.classes or data.names(count))[0]
        raise DataError(must(place, "have training examples of at least two classes", f'only "{only}"'))


def _check_inputs(data: Source, parts: dict[Split, Part]) -> None:
    train = parts["train"]
    for split, part in parts.items():
        place, other = _inputs_place(data, split, part), _inputs_place(data, "train", train)
        if part.inputs.shape[1:] != train.inputs.shape[1:]:
            rule = f"hold inputs of size {shape_text(train.inputs.shape[1:])}, as {other} does"
            raise DataError(must(place, rule, shape_text(part.inputs.shape[1:])))
        if part.inputs.dtype != train.inputs.dtype:
            raise DataError(must(place, f"be of type {train.inputs.dtype}, as {other} is", part.inputs.dtype))


def _inputs_place(data: Source, split: Split, part: Part) -> str:
    return part.place or f"data ({data.name}), {split}"


def _labels_place(data: Source, split: Split, part: Part) -> str:
    return part.labels_place or _inputs_place(data, split, part)


def _at(labels: np.ndarray, index: np.intp) -> str:
    return f"{labels[index]} (example {index}, counted from 0)"
