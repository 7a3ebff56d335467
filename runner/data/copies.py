"""Examples that are equal value for value, and those that stand in two of the training, validation and test sets.

    >>> one, other = (Examples(np.full((2, 8, 8, 1), grey, np.uint8), np.zeros(2, np.int32)) for grey in (0, 255))
    >>> summary(leaks({"train": one, "val": other, "test": one}))
    'examples that stand in two sets: 2 of test in train, such as test[0] = train[0]'

Rows of arrays are told apart by a sum of their words, each times an odd number of its own, and those of equal sums are
then compared: 70,000 digits take about 25 ms, so that every training can ask.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from runner.data.examples import Examples, Leak
from runner.errors import printable

ADVICE: Final = "runner describe data lists them; data.on_leakage=error ends the command"
_SEED: Final = 20240229
_CHUNK_BYTES: Final = 4_000_000
Array = np.ndarray[Any, Any]


def leaks(parts: Mapping[str, Examples]) -> tuple[Leak, ...]:
    """The copies between each two sets, of which the later one is said to hold them; first those in the first set."""
    names = list(parts)
    each = first_copies([part.inputs for part in parts.values()])
    found = []
    for earlier in range(len(names)):
        for later in range(len(names) - 1, earlier, -1):
            common = np.isin(each[later], each[earlier])
            if common.any():
                example = int(np.argmax(common))
                copy = int(np.argmax(each[earlier] == each[later][example]))
                place, other = names[later], names[earlier]
                first, second = name_of(parts[place], place, example), name_of(parts[other], other, copy)
                found.append(Leak(place, other, int(common.sum()), first, second))
    return tuple(found)


def summary(found: Sequence[Leak], *, of: str = "examples") -> str:
    """How many copies stand in two sets, in one line, with the first two; empty if there are none."""
    if not found:
        return ""
    told = [f"{leak.copies:,} of {leak.split} in {leak.within}" for leak in found]
    example = printable(f"{found[0].example} = {found[0].copy}")
    return f"{of} that stand in two sets: {', '.join(told)}, such as {example}"


def name_of(part: Examples, split: str, index: int) -> str:
    """The file of an example, else its place in its set: `test[12]`."""
    return part.files[index] if part.files else f"{split}[{index}]"


def first_copies(parts: Sequence[Array]) -> list[Array]:
    """For each example of each part, int (n,), the number of the first example that is equal to it.

    Examples are counted through all parts. Inputs are (n, …) of numbers, or (n,) of texts.
    """
    if parts[0].dtype == object:
        numbers: dict[Any, int] = {}
        texts = [text for part in parts for text in part]
        firsts = np.array([numbers.setdefault(text, number) for number, text in enumerate(texts)], int)
    else:
        firsts = _firsts(parts)
    return np.split(firsts, np.cumsum([len(part) for part in parts])[:-1])


def _firsts(parts: Sequence[Array]) -> Array:
    keys = np.concatenate([_keys(part) for part in parts])
    order = np.argsort(keys, kind="stable")
    is_new = np.ones(len(keys), bool)
    is_new[1:] = keys[order[1:]] != keys[order[:-1]]
    starts = np.flatnonzero(is_new)
    ends = np.append(starts[1:], len(keys))
    found = np.arange(len(keys))
    ends_of_parts = np.cumsum([len(part) for part in parts])
    for start, end in zip(starts[ends - starts > 1], ends[ends - starts > 1], strict=True):
        equal: dict[bytes, int] = {}
        for number in order[start:end].tolist():
            part = int(np.searchsorted(ends_of_parts, number, side="right"))
            row = parts[part][number - (ends_of_parts[part] - len(parts[part]))]
            found[number] = equal.setdefault(row.tobytes(), number)
    return found


def _keys(inputs: Array) -> Array:
    """A number, uint64 (n,), for each row; rows with different numbers differ."""
    rows = np.ascontiguousarray(inputs).reshape(len(inputs), -1).view(np.uint8)  # (n, bytes)
    words = -(-rows.shape[1] // 8)
    factors = np.random.default_rng(_SEED).integers(1, 2**63, words, dtype=np.uint64) * 2 + 1
    keys = np.empty(len(rows), np.uint64)
    step = max(1, _CHUNK_BYTES // max(rows.shape[1], 1))
    for start in range(0, len(rows), step):
        chunk = rows[start : start + step]
        if rest := -chunk.shape[1] % 8:
            chunk = np.pad(chunk, ((0, 0), (0, rest)))
        keys[start : start + step] = chunk.view(np.uint64) @ factors
    return keys
