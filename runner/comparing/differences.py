"""What differs between two sides: rows of a path and the two values, None where a side has none.

>>> rows({"seed": "0", "a": "1"}, {"seed": "1", "a": "1"})
[Row(path='seed', first='0', second='1')]
>>> layer_rows(["conv", "relu"], ["conv", "dropout", "relu"])
[Row(path='model.layers[1]', first=None, second='dropout')]
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest


@dataclass(frozen=True)
class Row:
    """A path at which two sides differ."""

    path: str
    first: str | None
    second: str | None


def rows(first: Mapping[str, str], second: Mapping[str, str]) -> list[Row]:
    """The paths whose values differ, in the order of the first side, then of the second."""
    paths = dict.fromkeys((*first, *second))
    found = (Row(path, first.get(path), second.get(path)) for path in paths)
    return [row for row in found if row.first != row.second]


def layer_rows(first: Sequence[str], second: Sequence[str]) -> list[Row]:
    """The layers that were changed, inserted or deleted; a path says its place in each side that has it."""
    found = []
    for kind, start, end, start2, end2 in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal":
            continue
        for one, two in zip_longest(range(start, end), range(start2, end2)):
            places = dict.fromkeys(place for place in (one, two) if place is not None)
            found.append(
                Row(
                    f"model.layers[{' → '.join(map(str, places))}]",
                    None if one is None else first[one],
                    None if two is None else second[two],
                )
            )
    return found


# What differs between any two runs, and says nothing about them.
_ALWAYS = re.compile(r"seconds/.*|images_per_second|energy_joules|peak_memory_mb|tracking\..*|hydra\..*|sweep\..*")


def worth_showing(found: Sequence[Row]) -> list[Row]:
    """The rows without times, folders and stores, which differ between any two runs."""
    return [row for row in found if not _ALWAYS.fullmatch(row.path)]
