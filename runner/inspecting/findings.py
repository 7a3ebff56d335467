"""Examines a data set: what it has, what is doubtful in it, and which examples stand in it more than once.

>>> black = Examples(np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32))
>>> found = examined(Examined("night", ("dark", "light"), {"train": black}))
>>> len(found.doubtful), len(found.copies[0])
(4, 4)
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from runner.data.copies import first_copies, name_of
from runner.data.examples import NOTHING, Examples, LeftOut, counts_of, statistics
from runner.data.forms import Form
from runner.inspecting.files import Kinds
from runner.inspecting.looks import SMALLEST, alike, looks_of

Kind = Literal["images", "signals", "texts"]
_FAINT: Final = 0.03  # of the range of the data, the span of an image that shows nearly nothing
_PROBES: Final = 16  # positions
Array = np.ndarray[Any, Any]


@dataclass(frozen=True, eq=False)
class Examined:
    """What is examined: the sets of examples by their names, `train` first, and the files that are no examples.

    Inputs are (n, h, w, c), (n, length, c) or texts (n,). `repeats`: sets hold the same examples on purpose, which are
    then no finding.
    """

    name: str
    classes: tuple[str, ...]
    parts: Mapping[str, Examples]
    left_out: LeftOut = NOTHING
    kinds: Kinds | None = None
    repeats: bool = False
    form: Form = "classes"  # of numbers `classes` are the names of their ranges, and labels say in which each lies

    @property
    def kind(self) -> Kind:
        """What the examples are."""
        inputs = self.parts["train"].inputs
        return "texts" if inputs.dtype == object else "images" if inputs.ndim == 4 else "signals"


class Place(NamedTuple):
    """An example: its set, its number there, its name, which is its file or `test[12]`, and its class."""

    split: str
    number: int
    name: str
    label: str


class Doubt(NamedTuple):
    """An example that shows little or nothing, and why it is doubted."""

    place: Place
    why: str


class Shared(NamedTuple):
    """How many examples of one set have a copy in another one, and how many others only look like one there."""

    split: str
    within: str
    exact: int
    alike: int

    @property
    def text(self) -> str:
        """It in words: `3 of test in train: 1 equal, 2 that look alike`."""
        count = self.exact + self.alike
        return f"{count:,} of {self.split} in {self.within}: {self.exact:,} equal, {self.alike:,} that look alike"


@dataclass(frozen=True)
class Split:
    """A set: its examples by class, and for each channel mean, standard deviation, least and largest value.

    Bytes are in units of 0 … 1, as `data.mean` takes them. Of texts, `words` has the least, the median and the largest
    number of words.
    """

    count: int
    by_class: tuple[int, ...]
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()
    words: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Findings:
    """All that was found. `copies` are groups of equal examples, `alike` pairs that look alike and are not equal.

    `not_searched` says why pairs that look alike were not searched, or not all of them; empty if they were.
    """

    name: str
    kind: Kind
    form: Form
    classes: tuple[str, ...]
    shape: tuple[int, ...]
    splits: Mapping[str, Split]
    kinds: Kinds | None
    left_out: LeftOut
    doubtful: tuple[Doubt, ...]
    copies: tuple[tuple[Place, ...], ...]
    alike: tuple[tuple[Place, Place], ...]
    not_searched: str
    shared: tuple[Shared, ...]

    @property
    def conflicts(self) -> tuple[tuple[Place, ...], ...]:
        """The groups and pairs whose classes differ."""
        return tuple(group for group in (*self.copies, *self.alike) if len({place.label for place in group}) > 1)

    @property
    def repeated(self) -> int:
        """How many examples are copies of another one, which is not counted itself."""
        return sum(map(len, self.copies)) - len(self.copies)

    @property
    def in_two_sets(self) -> int:
        """How many examples have a copy in another set, or one that looks alike."""
        return sum(shared.exact + shared.alike for shared in self.shared)

    @property
    def by_class(self) -> tuple[int, ...]:
        """The examples of each class in all sets together."""
        return tuple(map(sum, zip(*(split.by_class for split in self.splits.values()), strict=True)))

    @property
    def plain(self) -> str:
        """The word for what `doubtful` examples show."""
        return "empty or of one colour" if self.kind == "images" else "of one value"


def examined(data: Examined) -> Findings:
    """Examines the data; 60,000 images of 32×32 take about two seconds."""
    parts, names = list(data.parts.values()), list(data.parts)
    sets = parts[:1] if data.repeats else parts
    firsts = np.concatenate(first_copies([part.inputs for part in sets]))
    pairs, not_searched = _alike(data.kind, sets, np.flatnonzero(firsts == np.arange(len(firsts))))
    splits = np.repeat(np.arange(len(sets)), [len(part) for part in sets])
    starts = np.cumsum([0, *(len(part) for part in sets)])

    def place(number: int) -> Place:
        at = int(splits[number])
        index = int(number - starts[at])
        part = parts[at]
        return Place(names[at], index, name_of(part, names[at], index), _label(data.classes, part.labels[index]))

    groups = _groups(firsts)
    # First what matters most: the same example in two sets.
    groups.sort(key=lambda group: len(set(splits[group])) == 1)
    pairs = pairs[np.argsort(splits[pairs[:, 0]] == splits[pairs[:, 1]], kind="stable")]
    return Findings(
        name=data.name,
        kind=data.kind,
        form=data.form,
        classes=data.classes,
        shape=() if data.kind == "texts" else tuple(parts[0].inputs.shape[1:]),
        splits={name: _split(part, len(data.classes)) for name, part in data.parts.items()},
        kinds=data.kinds,
        left_out=data.left_out,
        doubtful=tuple(Doubt(place(number), why) for number, why in _doubtful(sets)),
        copies=tuple(tuple(place(number) for number in group) for group in groups),
        alike=tuple((place(first), place(second)) for first, second in pairs.tolist()),
        not_searched=not_searched,
        shared=tuple(_shared(names, splits, firsts, pairs)),
    )


def _label(names: Sequence[str], label: Array) -> str:
    """The class of an example, or its labels."""
    if label.ndim == 0:
        return names[int(label)]
    return ", ".join(name for name, holds in zip(names, label, strict=True) if holds) or "none"


def _alike(kind: Kind, sets: Sequence[Examples], singles: Array) -> tuple[Array, str]:
    """Pairs (p, 2) of the numbers `singles` that look alike, and why they were not searched, if so."""
    nothing = np.zeros((0, 2), np.int64)
    if kind != "images":
        return nothing, f"only images are compared by their looks, not {kind}"
    parts = [part.inputs for part in sets]
    if min(parts[0].shape[1:3]) < SMALLEST:
        return nothing, f"images below {SMALLEST}×{SMALLEST} have too few details to be compared by their looks"
    each = [looks_of(part) for part in parts]
    looks = type(each[0])(*(np.concatenate(values)[singles] for values in zip(*each, strict=True)))
    found = alike(looks)
    told = "" if found.complete else "so many images look alike that not all of them were compared"
    return singles[found.pairs], told


def _groups(firsts: Array) -> list[list[int]]:
    """The numbers of equal examples, in groups of two or more."""
    order = np.argsort(firsts, kind="stable")
    _, starts, counts = np.unique(firsts[order], return_index=True, return_counts=True)
    return [
        order[start : start + count].tolist()
        for start, count in zip(starts[counts > 1], counts[counts > 1], strict=True)
    ]


def _shared(names: Sequence[str], splits: Array, firsts: Array, pairs: Array) -> list[Shared]:
    """For each two sets what they have in common; first those with the first set."""
    found = []
    for earlier in range(len(names)):
        for later in range(len(names) - 1, earlier, -1):
            mine, other = firsts[splits == later], firsts[splits == earlier]
            exact = np.isin(mine, other)
            # A pair stands for its copies too.
            between = np.concatenate([pairs, pairs[:, ::-1]])
            known = between[np.isin(between[:, 1], other)][:, 0]
            looking = np.isin(mine, known) & ~exact
            if exact.any() or looking.any():
                found.append(Shared(names[later], names[earlier], int(exact.sum()), int(looking.sum())))
    return found


def _split(part: Examples, classes: int) -> Split:
    by_class = tuple(counts_of(part, classes).tolist())
    inputs = part.inputs
    if inputs.dtype == object:
        words = sorted(len(str(text).split()) for text in inputs)
        return Split(len(part), by_class, words=(words[0], words[len(words) // 2], words[-1]))
    mean, std = statistics(inputs)
    scale = 255.0 if inputs.dtype == np.uint8 else 1.0
    flat = inputs.reshape(len(inputs), -1)
    channels = inputs.shape[-1]
    low, high = flat.min(axis=0), flat.max(axis=0)
    return Split(
        len(part),
        by_class,
        mean,
        std,
        tuple((low.reshape(-1, channels).min(axis=0) / scale).tolist()),
        tuple((high.reshape(-1, channels).max(axis=0) / scale).tolist()),
    )


def _doubtful(parts: Sequence[Examples]) -> Iterator[tuple[int, str]]:
    """The numbers of images and signals of one value in each channel, or nearly so, and why each is doubted."""
    if parts[0].inputs.dtype == object:
        return
    word = "colour" if parts[0].inputs.ndim == 4 else "value"
    low = min(float(part.inputs.min()) for part in parts)
    high = max(float(part.inputs.max()) for part in parts)
    first = 0
    for part in parts:
        for index in _faint(part.inputs, _FAINT * (high - low)).tolist():
            values = part.inputs[index].reshape(-1, part.inputs.shape[-1])  # (positions, c)
            if span := float(np.ptp(values, axis=0).max()):
                yield first + index, f"nearly one {word}: values differ by at most {span:g}"
            else:
                yield first + index, f"one {word}: {', '.join(f'{value:g}' for value in values[0].tolist())}"
        first += len(part)


def _faint(inputs: Array, limit: float) -> Array:
    """The indices of the examples of which no channel spans more than `limit`."""
    values = inputs.reshape(len(inputs), -1, inputs.shape[-1])  # (n, positions, c)
    # A few positions tell most examples apart from those that show nothing; only the rest is read whole.
    some = values[:, :: max(1, values.shape[1] // _PROBES)]
    left = np.flatnonzero(np.ptp(some, axis=1).max(axis=1) <= limit)
    whole = [np.ptp(values[index], axis=0).max() <= limit for index in left.tolist()]
    found: Array = left[np.array(whole, bool)]
    return found
