"""Reads a source into a data set: checks it against its record, holds out examples and computes its digest."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from runner.data import targets
from runner.data.agreement import checked_labels
from runner.data.broken import BadFileError
from runner.data.copies import leaks, summary
from runner.data.decode import Images
from runner.data.examples import Dataset, Examples, LeftOut, Part, Report
from runner.data.groups import check_apart, fold_out_groups, hold_out_groups
from runner.data.residence import digest, identity, placed, taken
from runner.data.source import Source, Undivided
from runner.data.split import fold_out, hold_out, limited
from runner.errors import DataError, Fault, must
from runner.layers.base import shape_text

if TYPE_CHECKING:
    from runner.data.files import FileTree

SPLITS: Final = ("train", "val", "test")


class Divided(NamedTuple):
    """The names of the classes, the training, validation and test examples, the files that are none, and remarks.

    `tree` has the files of the examples; None if each is no file of its own.
    """

    classes: tuple[str, ...]
    examples: tuple[Examples, Examples, Examples]
    left_out: LeftOut
    remarks: tuple[str, ...]
    tree: "FileTree | None"


def load(data: Source, *, report: Report | None = None) -> Dataset:
    """Reads a source and splits it. The same record and files give the same arrays in the same order.

    Raises DataError if files are missing or broken, or differ from what the record declares.
    """
    classes, examples, left_out, remarks, _ = divided(data, report=report)
    with _as_data_errors(data):
        identities = list(map(identity, examples))
        found_twice = () if data.repeats else leaks(dict(zip(SPLITS, identities, strict=True)))
        if found_twice and data.on_leakage == "error":
            text = f"must be warn to train all the same, got {summary(found_twice)}"
            raise DataError(Fault("data.on_leakage", text))
        (train, val, test), vocabulary = data.encoded(list(examples))
    found = train.inputs.shape[1:]
    if data.shape is not None and found != data.shape:
        raise DataError(must("data.image", f"be {shape_text(found)}, as the images are", shape_text(data.shape)))
    for name in ("mean", "std"):
        values = getattr(data, name)
        if values is not None and len(values) != found[-1]:
            raise DataError(must(f"data.{name}", f"have one value per channel ({found[-1]})", values))
    known = digest((*classes, *vocabulary), (train, val, test), identities)
    found_in = (left_out, found_twice, remarks, data.label_form)
    return Dataset(data.name, train, val, test, classes, known, vocabulary, data.declared_range, *found_in)


def divided(data: Source, *, report: Report | None = None) -> Divided:
    """Reads a source and splits it, without encoding texts as tokens. Raises DataError as `load` does."""
    report = report or (lambda line: None)
    while True:
        try:
            with _as_data_errors(data):
                return _read(data, report)
        except BadFileError as error:
            with _as_data_errors(data):
                data = data.after(error, report)


def form_of(data: Source, *, report: Report | None = None) -> tuple[tuple[int, ...], int, int | None]:
    """The shape of an input, the number of classes, and for texts that of tokens, as the files have them.

    Images are not decoded. Raises DataError as `load` does.
    """
    report = report or (lambda line: None)
    with _as_data_errors(data):
        parts = data.surveyed().read(report)
        classes, parts = checked_labels(data, parts)
        if parts.train.inputs.dtype != object:
            return tuple(parts.train.inputs.shape[1:]), len(classes), None
    texts = load(data, report=report)
    return texts.shape, len(texts.classes), len(texts.vocabulary)


@contextmanager
def _as_data_errors(data: Source) -> Iterator[None]:
    """Converts errors of memory and of the operating system in the block to DataError."""
    try:
        yield
    except MemoryError as error:
        reason = str(error) or "no room for its content"
        raise DataError(must(data.root or f"data ({data.name})", "fit into memory", reason)) from error
    except OSError as error:
        raise DataError(must(str(error.filename or data.root), "be readable", error.strerror or error)) from error


def _read(data: Source, report: Report) -> Divided:
    parts, streamed = placed(data, data.read(report), report)
    classes, parts = checked_labels(data, parts)
    own = {"train": parts.train, "val": parts.val, "test": parts.test}
    check_apart({name: part.groups for name, part in own.items() if part is not None})
    train = np.arange(len(parts.train.labels))
    train, test = _divided(data, parts.train, train, parts.test, "test")
    train, val = _divided(data, parts.train, train, parts.val, "val")
    examples = []
    for part, index in ((parts.train, train), val, test):
        chosen = limited(targets.strata(part.labels[index]), data.limit, seed=data.split_seed)
        found = taken(part, index[chosen], streamed=streamed)
        examples.append(_measured(data, found) if data.label_form == "numbers" and data.targets else found)
    tree = parts.train.inputs.tree if isinstance(parts.train.inputs, Images) else None
    return Divided(classes, (examples[0], examples[1], examples[2]), parts.left_out, parts.remarks, tree)


def _measured(data: Source, examples: Examples) -> Examples:
    """Examples with the numbers that are measured on them. Raises DataError where they are decoded for each batch."""
    if examples.streamed and any(rule is not None for _, rule in data.targets or ()):
        raise DataError(must("data.residence", "not be stream for targets that are measured on images", "stream"))
    return targets.measured(examples, data.targets or ())


def _divided(
    data: Source, train: Part, available: np.ndarray, own: Part | None, name: str
) -> tuple[np.ndarray, tuple[Part, np.ndarray]]:
    """The indices left of `available`, and the part `name`: that of the source, else held out of the training part."""
    folds = data.folds if name == "val" else None
    if own is not None:
        if folds:
            raise DataError(must("data.folds", "be null for data with validation examples of their own", folds))
        return available, (own, np.arange(len(own.labels)))
    if name == "test" and not isinstance(data, Undivided):
        raise NotImplementedError(f"{type(data).__name__} returns no test set and is not Undivided")
    labels = targets.strata(train.labels[available])
    field, value = f"data.{name}_fraction", getattr(data, f"{name}_fraction")
    if folds:
        field, value = "data.folds", folds
        if folds > len(labels):
            raise DataError(must(field, f"be at most the number of training examples ({len(labels):,})", folds))
    groups = [train.groups[index] for index in available] if train.groups else []
    if groups and len(set(groups)) < (folds or 2):
        raise DataError(
            must("data.group_by", f"leave {folds or 2} or more groups for {field}={value}", len(set(groups)))
        )
    kept, held = _held_out(data, labels, groups, name)
    if data.label_form == "classes" and len(np.unique(labels[kept])) < len(np.unique(labels)):
        together = ", while groups stay together" if groups else ""
        raise DataError(must(field, f"leave training examples of every class{together}", value))
    if not len(kept):
        raise DataError(must(field, "leave an example to train on", value))
    return available[kept], (train, available[held])


def _held_out(data: Source, labels: np.ndarray, groups: Sequence[str], name: str) -> tuple[np.ndarray, np.ndarray]:
    """The kept and the held-out indices, both ascending. If there are groups, each is kept or held out as a whole."""
    seed = data.split_seed
    if name == "val" and data.folds:
        if groups:
            return fold_out_groups(labels, groups, data.folds, data.fold, seed=seed)
        return fold_out(labels, data.folds, data.fold, seed=seed)
    fraction = getattr(data, f"{name}_fraction")
    if groups:
        return hold_out_groups(labels, groups, fraction, seed=seed, purpose=name)
    return hold_out(labels, fraction, seed=seed, purpose=name)
