"""Recognises the training, validation and test parts of a data set by the usual names of folders and tables.

>>> parts_of(["Training", "valid", "LICENCE"], "photos")
{'train': 'Training', 'val': 'valid'}
"""

from collections.abc import Iterable

from runner.data.class_names import nfc
from runner.errors import DataError, must

NAMES = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval"),
}
"""The names of each part, in any case."""
_PART = {name: part for part, names in NAMES.items() for name in names}
_LISTED = 5  # names shown on a line


def part_of(name: str) -> str | None:
    """The part (train, val, test) that a folder name, or a table's name without suffix, stands for; else None."""
    return _PART.get(nfc(name).casefold())


def parts_of(names: Iterable[str], place: str, *, endings: tuple[str, ...] = ()) -> dict[str, str]:
    """Maps each part to its name in `place`; `endings` are suffixes that names may have, such as .csv.

    Raises DataError if two names stand for one part.
    """
    found: dict[str, str] = {}
    for name in sorted(names):
        part = part_of(_without(name, endings))
        if part in found:
            raise DataError(must(place, f"have one {part} part", f"{found[part]} and {name}"))
        if part is not None:
            found[part] = name
    return {part: found[part] for part in NAMES if part in found}


def _without(name: str, endings: tuple[str, ...]) -> str:
    found = max((ending for ending in endings if name.lower().endswith(ending)), key=len, default="")
    return name[: len(name) - len(found)]


def first_names(names: Iterable[str]) -> str:
    """The first few names in sorted order, separated by commas."""
    ordered = sorted(names)
    return ", ".join(ordered[:_LISTED]) + (", …" if len(ordered) > _LISTED else "")
