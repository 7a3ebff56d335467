"""Checks that the parts of a data set agree. The same checks serve every source and run before images are decoded.

The training, validation and test inputs must have one shape and one type. Labels must be whole numbers within one list
of classes, and every class must have a training example.
"""

from dataclasses import replace
from typing import Literal

import numpy as np

from runner.data import targets
from runner.data.class_names import check_recordable
from runner.data.examples import Part, Parts
from runner.data.source import Source
from runner.errors import DataError, must
from runner.layers.base import shape_text

Split = Literal["train", "val", "test"]


def checked_labels(data: Source, parts: Parts) -> tuple[tuple[str, ...], Parts]:
    """The names of classes, labels or numbers, and the parts with labels of the form that the task has.

    Raises DataError that names the wrong part.
    """
    if data.label_form == "classes":
        return checked_classes(data, parts), parts
    rules, present = data.targets, _present(parts)
    if rules and all(isinstance(rule, tuple) for _, rule in rules):
        names = checked_classes(data, parts)
        found = {split: targets.of_classes(part.labels, names, rules) for split, part in present.items()}
    elif rules and not any(rule is None for _, rule in rules):
        _check_inputs(data, present)
        found = {
            split: targets.drawn(len(part.inputs), rules, seed=data.split_seed, part=split)
            for split, part in present.items()
        }
    else:
        if parts.classes and parts.train.labels.ndim == 1:
            rule = f"say what is learnt of data with classes, such as {targets.EXAMPLES[data.label_form]}"
            raise DataError(must("data.targets", rule, None if rules is None else [name for name, _ in rules]))
        found = {
            split: targets.checked_numbers(part, _labels_place(data, split, part), data.label_form)
            for split, part in present.items()
        }
        _check_inputs(data, present)
    place, count = _labels_place(data, "train", parts.train), found["train"].shape[1]
    for split, labels in found.items():
        if labels.shape[1] != count:
            rule = f"hold {count} columns, as {place} does"
            raise DataError(must(_labels_place(data, split, present[split]), rule, labels.shape[1]))
    column_names = targets.column_names(rules, parts.classes, count, place)
    changed = {split: replace(part, labels=found[split]) for split, part in present.items()}
    return column_names, replace(parts, train=changed["train"], val=changed.get("val"), test=changed.get("test"))


def _present(parts: Parts) -> dict[Split, Part]:
    all_parts: dict[Split, Part | None] = {"train": parts.train, "val": parts.val, "test": parts.test}
    return {split: part for split, part in all_parts.items() if part is not None}


def checked_classes(data: Source, parts: Parts) -> tuple[str, ...]:
    """Returns the names of the classes, in the order of their labels.

    Raises DataError that names the wrong part: by its file if the source states it.
    """
    present = _present(parts)
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
