"""Which folders or tables are the training, validation and test parts of a data set, by their usual names.

>>> parts_of(["Training", "valid", "LICENCE"], "photos")
{'train': 'Training', 'val': 'valid'}
"""

from collections.abc import Iterable

from runner.data.class_names import composed
from runner.errors import DataError, must

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval"),
}
"""The names of each part, in any case."""
_PART = {name: part for part, names in NAMES.items() for name in names}
_LISTED = 5  # names of what is left out that a line shows


def part_of(name: str) -> str | None:
    """The part (train, val, test) that a folder or the stem of a table is called after."""
    return _PART.get(composed(name).casefold())


def parts_of(names: Iterable[str], place: str, *, ending: str = "") -> dict[str, str]:
    """Which of the names in `place` stands for which part, the common `ending` of the names left aside.

    Raises DataError where two names stand for one part.
    """
    found: dict[str, str] = {}
    for name in sorted(names):
        part = part_of(name[: len(name) - len(ending)])
        if part in found:
            raise DataError(must(place, f"have one {part} part", f"{found[part]} and {name}"))
        if part is not None:
            found[part] = name
    return {part: found[part] for part in NAMES if part in found}


def listed(names: Iterable[str]) -> str:
    """The first of these names, in a line."""
    ordered = sorted(names)
    return ", ".join(ordered[:_LISTED]) + (", …" if len(ordered) > _LISTED else "")
