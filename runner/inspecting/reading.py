"""Reads a source to examine it: files that cannot be decoded are a finding, and no reason to end."""

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from runner.data import Dataset, Examples, Source
from runner.data.examples import Report
from runner.data.loading import SPLITS, divided
from runner.errors import DataError
from runner.inspecting.files import kinds_of
from runner.inspecting.findings import Examined

_SKIPS: Final = "on_bad_file"
_SAMPLED: Final = 1_000
_SAMPLED_BYTES: Final = 32 * 2**20
_RANGES: Final = 10
_NUMBERS: Final = 4  # of which ranges are shown


def read(data: Source, *, report: Report | None = None) -> Examined:
    """The examples of a source, as they are split for training. Raises DataError where nothing can be examined."""
    report = report or (lambda line: None)
    # Every example is compared with every other one, as a whole.
    data = data.for_windows(False).model_copy(update={"residence": "host"})
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
    names, parts = _in_ranges(found.classes, parts) if data.label_form == "numbers" else (found.classes, parts)
    paths = [path for part in parts.values() for path in part.files]
    kinds = kinds_of(found.tree, paths, report=report) if found.tree is not None else None
    return Examined(data.name, names, parts, found.left_out, kinds, data.repeats, data.label_form)


def of_dataset(dataset: Dataset, *, repeats: bool = False) -> Examined:
    """The examples of a data set in memory: images or signals. For `repeats` see `Examined`.

    Of streamed images it is a sample.
    """
    parts = {"train": dataset.train, "val": dataset.val, "test": dataset.test}
    name, names = dataset.name, dataset.classes
    if dataset.train.streamed:
        name, parts = f"{dataset.name} (a sample)", {split: _sample(part) for split, part in parts.items()}
    if dataset.form == "numbers":
        names, parts = _in_ranges(names, parts)
    return Examined(name, names, parts, dataset.left_out, repeats=repeats, form=dataset.form)


def _in_ranges(names: Sequence[str], parts: Mapping[str, Examples]) -> tuple[tuple[str, ...], dict[str, Examples]]:
    """The names of ten ranges of each of the first numbers, and the examples with a 1 for the ranges they lie in.

    A number that all training examples share has one range.
    """
    train = parts["train"].labels[:, :_NUMBERS]
    told: list[str] = []
    columns: dict[str, list[np.ndarray[Any, Any]]] = {split: [] for split in parts}
    for number, name in enumerate(names[:_NUMBERS]):
        low, high = float(train[:, number].min()), float(train[:, number].max())
        ranges = _RANGES if high > low else 1
        edges = np.linspace(low, high, ranges + 1)
        told += [f"{name} {first} to {last}" for first, last in itertools.pairwise(_written(edges))]
        for split, part in parts.items():
            place = np.clip(np.searchsorted(edges, part.labels[:, number], side="right") - 1, 0, ranges - 1)
            columns[split].append(np.eye(ranges, dtype=np.float32)[place])
    changed = {
        split: Examples(part.inputs, np.concatenate(columns[split], axis=1), part.files)
        for split, part in parts.items()
    }
    return tuple(told), changed


def _written(edges: np.ndarray[Any, Any]) -> list[str]:
    """The edges in three digits, or in as many as tell them apart: years from 1990 to 2020 need four."""
    digits = (places for places in range(3, 17) if len({f"{edge:.{places}g}" for edge in edges}) == len(edges))
    places = next(digits, 3)
    return [f"{edge:.{places}g}" for edge in edges]


def _sample(part: Examples) -> Examples:
    """Some of the examples, from all over the set."""
    count = max(1, min(len(part), _SAMPLED, _SAMPLED_BYTES // math.prod(part.inputs.shape[1:])))
    some = np.linspace(0, len(part) - 1, count).round().astype(int)
    return Examples(part.inputs[some], part.labels[some], tuple(part.files[place] for place in some))
