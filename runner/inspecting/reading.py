"""Reads a source to examine it: files that cannot be decoded are a finding, and no reason to end."""

from typing import Any, Final

from runner.data import Dataset, Source
from runner.data.examples import Report
from runner.data.loading import SPLITS, divided
from runner.errors import DataError
from runner.inspecting.files import Kinds, kinds_of
from runner.inspecting.findings import Examined

_SKIPS: Final = "on_bad_file"


def read(data: Source, *, report: Report | None = None) -> Examined:
    """The examples of a source, as they are split for training. Raises DataError where nothing can be examined."""
    report = report or (lambda line: None)
    try:
        found = divided(data, report=report)
    except DataError as error:
        if getattr(data, _SKIPS, "skip") == "skip":
            raise
        # Files are decoded twice only if there is a bad one.
        try:
            found = divided(data.model_copy(update={_SKIPS: "skip"}), report=report)
        except DataError:
            raise error from None  # which names the files, where no readable one is left
    parts = dict(zip(SPLITS, found.examples, strict=True))
    return Examined(data.name, found.classes, parts, found.left_out, _kinds(data, parts, report), data.repeats)


def of_dataset(dataset: Dataset, *, repeats: bool = False) -> Examined:
    """The examples of a data set in memory: images or signals. For `repeats` see `Examined`."""
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    return Examined(dataset.name, dataset.classes, parts, dataset.left_out, repeats=repeats)


def _kinds(data: Source, parts: dict[str, Any], report: Report) -> Kinds | None:
    """The kinds of image files that the examples are; None if they are no files of their own."""
    paths = [path for part in parts.values() for path in part.files]
    tree = data.tree() if paths else None
    return None if tree is None else kinds_of(tree, paths, report=report)
