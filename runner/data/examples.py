"""Labelled examples in host memory: the parts that a source reads, and the data set for training."""

import functools
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, Protocol

import numpy as np

from runner.data.forms import Form
from runner.data.value_range import Range, measured
from runner.errors import printable

Report = Callable[[str], None]
"""A function to which a source reports its progress, one line at a time."""


Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel."""


class Inputs(Protocol):
    """Images that are read when they are indexed by an array of indices, such as a NumPy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all images, (n, h, w, c), known before they are read; of texts (n,)."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of their values."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, index: Any, /) -> np.ndarray:
        """The images at these indices, in this order."""
        ...


@dataclass(frozen=True)
class Part:
    """The training, validation or test set of a source, before any example is held out or dropped.

    `labels` are those of the files; `agreement` validates them. `place` and `labels_place` name the
    files of inputs and labels in messages; if they are empty, messages name the split. `files` are the paths of the
    inputs if each is a file of its own. Examples of one group, if `groups` has that of each, stay in one set.
    """

    inputs: Inputs
    labels: np.ndarray  # integers (n,)
    place: str = ""
    labels_place: str = ""
    files: Sequence[str] = ()
    groups: Sequence[str] = ()

    def take(self, index: np.ndarray) -> "Examples":
        """Reads the examples at these indices."""
        files = tuple(self.files[place] for place in index) if self.files else ()
        return Examples(np.ascontiguousarray(self.inputs[index]), self.labels_at(index), files)

    def labels_at(self, index: np.ndarray) -> np.ndarray:
        """The labels of the examples at these indices: int32 (n,), or float32 (n, k)."""
        return np.asarray(self.labels[index], np.float32 if self.labels.dtype.kind == "f" else np.int32)


class LeftOut(NamedTuple):
    """The files in class folders that are no examples: bad ones with their faults, and files of other kinds."""

    bad: tuple[tuple[str, str], ...] = ()
    other: tuple[str, ...] = ()

    def listed(self) -> str:
        """A line for each file: its path and why it is left out."""
        others = (f"{path}: another kind of file" for path in self.other)
        lines = [*(f"{path}: {fault}" for path, fault in self.bad), *others]
        return "".join(f"{printable(line)}\n" for line in lines)

    def summary(self) -> str:
        """How many files are left out, in one line; empty if there are none."""
        bad, other = len(self.bad), len(self.other)
        kinds = Counter(PurePosixPath(path).suffix.lower() or "no suffix" for path in self.other)
        named = ", ".join(f"{kind} {count:,}" for kind, count in kinds.most_common(_KINDS))
        told = [f"{bad:,} bad {'image' if bad == 1 else 'images'}"] if bad else []
        told += [f"{other:,} {'file' if other == 1 else 'files'} of other kinds ({named})"] if other else []
        return " and ".join(told)


_KINDS: Final = 5  # suffixes that are named
NOTHING: Final = LeftOut()


@dataclass(frozen=True)
class Parts:
    """All parts of a source. If it has no validation or test set, one is held out of `train`.

    `classes` are the names of the classes, or of the columns of labels (n, k); None if the files contain no names.
    `remarks` are lines that a user should see.
    """

    train: Part
    classes: tuple[str, ...] | None = None
    test: Part | None = None
    val: Part | None = None
    left_out: LeftOut = NOTHING
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """Inputs and their labels: the numbers of their classes, int32 (n,), or of another form, float32 (n, k).

    `inputs` are uint8 or float32 (n, h, w, c) or (n, length, c); for texts they are tokens, int32 (n, length, 1). They
    are an array, or images that are decoded when they are indexed (`data.streamed`). `files` are their paths in the
    data set, if each is a file of its own.
    """

    inputs: Any
    labels: np.ndarray
    files: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def streamed(self) -> bool:
        """Whether inputs are decoded when they are indexed: `data.residence=stream`."""
        return not isinstance(self.inputs, np.ndarray)


class Leak(NamedTuple):
    """So many examples of the set `split` have a copy in the set `within`; one of them, and its copy, by name."""

    split: str
    within: str
    copies: int
    example: str
    copy: str


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, validation and test examples; `digest` identifies their content and split.

    `classes` are their names, or those of the k labels or numbers; `form` says which. For texts, `vocabulary[token]` is
    the word of a token. `declared_range` is the value of `data.range`. `left_out` are files of the folder that are no
    examples; `leaks` are the examples that stand in two sets; `remarks` are lines that a user
    should see.
    """

    name: str
    train: Examples
    val: Examples
    test: Examples
    classes: tuple[str, ...]
    digest: str
    vocabulary: tuple[str, ...] = ()
    declared_range: Range | None = None
    left_out: LeftOut = NOTHING
    leaks: tuple[Leak, ...] = ()
    remarks: tuple[str, ...] = ()
    form: Form = "classes"

    @functools.cached_property
    def range(self) -> Range:
        """The values of black and white: declared, else measured on the training inputs."""
        return self.declared_range or measured(self.train.inputs)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (h, w, c) or (length, c)."""
        return tuple(self.train.inputs.shape[1:])

    @functools.cached_property
    def statistics(self) -> Statistics:
        """Mean and standard deviation of each channel of the training images; see `statistics`."""
        found: Statistics = self.train.inputs.statistics() if self.train.streamed else statistics(self.train.inputs)
        return found


def counts_of(examples: Examples, count: int) -> np.ndarray:
    """How many examples have each class, or each label: int (k,)."""
    labels = examples.labels
    return np.bincount(labels, minlength=count) if labels.ndim == 1 else np.rint(labels.sum(axis=0)).astype(int)


def digest_of(names: tuple[str, ...], *parts: Examples) -> str:
    """The first 32 hexadecimal digits of the SHA-256 of the names and of every array with its type and shape."""
    sha = hashlib.sha256(repr(names).encode())
    for part in parts:
        for array in (part.inputs, part.labels):
            sha.update(f"{array.dtype.str}{array.shape}".encode())
            sha.update(np.ascontiguousarray(array).data)
    return sha.hexdigest()[:32]


def statistics(inputs: Any) -> Statistics:
    """Mean and standard deviation of each channel of (n, …, c), as `normalise` takes them.

    Bytes are measured in units of 0 … 1. A constant channel has deviation 1; tokens have mean 0 and deviation 1.
    """
    channels = inputs.shape[-1]
    if inputs.dtype == np.int32:
        return (0.0,) * channels, (1.0,) * channels
    width = math.prod(inputs.shape[1:])  # pixels × channels
    scale = 255.0 if inputs.dtype == np.uint8 else 1.0
    # Subtract a value near the mean before squaring, so that data far from zero lose no precision.
    first = inputs[:100].reshape(-1, width)
    origin = first.mean(axis=0, dtype=np.float64).reshape(-1, channels).mean(axis=0).astype(np.float32)
    origins = np.tile(origin, width // channels)
    with np.errstate(over="ignore", invalid="ignore"):
        total, squares = _sums(inputs, origins)
    if not np.isfinite(squares).all():  # beyond 10¹⁹ a square overflows float32
        total, squares = _sums(inputs, origins.astype(np.float64))
    count = len(inputs) * width // channels
    mean = total.reshape(-1, channels).sum(axis=0) / count
    deviation = np.sqrt(np.maximum(squares.reshape(-1, channels).sum(axis=0) / count - mean**2, 0))
    deviation = np.where(deviation > 1e-6 * scale, deviation / scale, 1.0)
    return tuple(((mean + origin) / scale).tolist()), tuple(deviation.tolist())


def _sums(inputs: Any, origins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each value of an input, of inputs (n, …): the sum of value − origin, and the sum of its square."""
    total, squares = np.zeros(len(origins)), np.zeros(len(origins))
    step = max(1, 500_000 // len(origins))  # two MB at a time, so that the float copies stay in the cache
    for block in [inputs] if isinstance(inputs, np.ndarray) else inputs.blocks(step):
        rows = block.reshape(len(block), -1)
        for start in range(0, len(rows), step):
            chunk = rows[start : start + step] - origins
            total += chunk.sum(axis=0)
            squares += np.einsum("nk,nk->k", chunk, chunk)
    return total, squares
