"""Reads a source to examine it: files that cannot be decoded are a finding, and no reason to end."""

import math
from typing import Any, Final

import numpy as np

from runner.data import Dataset, Examples, Source
from runner.data.examples import Report
from runner.data.loading import SPLITS, divided
from runner.errors import DataError
from runner.inspecting.files import Kinds, kinds_of
from runner.inspecting.findings import Examined

_SKIPS: Final = "on_bad_file"
_SAMPLED: Final = 1_000
_SAMPLED_BYTES: Final = 32 * 2**20


def read(data: Source, *, report: Report | None = None) -> Examined:
    """The examples of a source, as they are split for training. Raises DataError where nothing can be examined."""
    report = report or (lambda line: None)
    data = data.model_copy(update={"residence": "host"})  # every example is compared with every other one
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
    """The examples of a data set in memory: images or signals. For `repeats` see `Examined`.

    Of streamed images it is a sample.
    """
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    if dataset.train.streamed:
        sampled = {name: _sample(part) for name, part in parts.items()}
        return Examined(f"{dataset.name} (a sample)", dataset.classes, sampled, dataset.left_out, repeats=repeats)
    return Examined(dataset.name, dataset.classes, parts, dataset.left_out, repeats=repeats)


def _sample(part: Examples) -> Examples:
    """Some of the examples, from all over the set."""
    count = max(1, min(len(part), _SAMPLED, _SAMPLED_BYTES // math.prod(part.inputs.shape[1:])))
    some = np.linspace(0, len(part) - 1, count).round().astype(int)
    return Examples(part.inputs[some], part.labels[some], tuple(part.files[place] for place in some))


def _kinds(data: Source, parts: dict[str, Any], report: Report) -> Kinds | None:
    """The kinds of image files that the examples are; None if they are no files of their own."""
    paths = [path for part in parts.values() for path in part.files]
    tree = data.tree() if paths else None
    return None if tree is None else kinds_of(tree, paths, report=report)
