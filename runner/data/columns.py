"""The columns of a table of images: those that a record names, else those of usual names.

>>> found = columns_of(["Filename", "class"], Wanted(None, None, None), "a.csv")
>>> found.path, found.labels, found.split
('Filename', ('class',), None)
"""

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from runner.data.tables import named
from runner.errors import DataError, must

PATHS: Final = ("path", "file", "file_name", "filename", "image", "image_path", "file_path", "filepath", "img")
LABELS: Final = ("label", "class", "category", "target", "class_name", "label_name")
SPLITS: Final = ("split", "subset", "partition")

GroupColumn = Annotated[
    str | None,
    Field(
        min_length=1,
        examples=["patient"],
        description="The column of images that belong together, such as those of one patient, and so stay in one set.",
    ),
]
"""The field `group_by` of images in rows."""


class Wanted(NamedTuple):
    """The columns that a record names; None: to be found. `group` None: none. `targets` are in place of `label`."""

    path: str | None
    label: str | None
    split: str | None
    group: str | None = None
    targets: tuple[str, ...] = ()


class Columns(NamedTuple):
    """The columns of paths and of labels, and if they exist, those of the parts and of the groups.

    `labels` is the column of the classes, or those of several labels or numbers.
    """

    path: str
    labels: tuple[str, ...]
    split: str | None = None
    group: str | None = None

    @property
    def read(self) -> list[str]:
        """All columns, each once."""
        named = (self.path, *self.labels, self.split, self.group)
        return list(dict.fromkeys(column for column in named if column))

    def said(self, learnt: str) -> str:
        """The columns, in words; `learnt` are classes or targets."""
        parts = f", sets by {self.split}" if self.split else ""
        return f"images by the column {self.path}, {learnt} by {', '.join(self.labels)}{parts}"


def columns_of(header: Sequence[str], wanted: Wanted, place: str) -> Columns:
    """The columns of a header. Raises DataError if one is missing, or if none has a usual name."""
    label = () if wanted.label is None else (wanted.label,)
    labels = tuple(named(header, column, place) for column in wanted.targets or label)
    return Columns(
        _named(header, wanted.path, place) or _usual(header, PATHS, place, "data.path_column"),
        labels or (_usual(header, LABELS, place, "data.label_column"),),
        _named(header, wanted.split, place) or _first(header, SPLITS),
        _named(header, wanted.group, place),
    )


def _named(header: Sequence[str], column: str | None, place: str) -> str | None:
    return None if column is None else named(header, column, place)


def _usual(header: Sequence[str], names: Sequence[str], place: str, key: str) -> str:
    if column := _first(header, names):
        return column
    got = ", ".join(header) or "no header"
    raise DataError(must(key, f"name a column of {place}, as none is called {', '.join(names[:4])}, ...", got))


def _first(header: Sequence[str], names: Sequence[str]) -> str | None:
    """The first of these names in the header, in any case."""
    by_name = {column.casefold(): column for column in reversed(header)}
    return next((by_name[name] for name in names if name in by_name), None)
