"""Images named by a table: a .csv, .tsv or JSON lines with a column of paths and a column of labels."""

import os
import posixpath
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import ClassVar, Literal, NamedTuple

import numpy as np
from pydantic import Field

from runner import limits
from runner.data.broken import grouped
from runner.data.class_folders import Labelled
from runner.data.columns import Columns, GroupColumn, Wanted, columns_of
from runner.data.digests import content_of
from runner.data.examples import Report
from runner.data.files import FileTree, FolderTree, open_tree
from runner.data.image_files import ImageFiles, Listed
from runner.data.labels import LabelColumn, labels_of
from runner.data.part_tables import PartTables, part_tables
from runner.data.source import Name
from runner.data.splits import part_of
from runner.data.tables import SUFFIXES, Table, read_table
from runner.errors import DataError, Fault, must, printable

_NAME_BYTES = 255  # of the name of a file, on every common file system
_COLUMN = "null = found by the usual names"


class _Place(NamedTuple):
    """Where the tables are, by part, with their contents; the tree of a folder or .zip, and the tables' folder in it.

    For a table that is given alone, `tree` is None.
    """

    tables: dict[str, tuple[str, bytes]]
    tree: FileTree | None
    top: str


class _Rows(NamedTuple):
    """The rows of one part: a table, its columns, and the numbers of the rows."""

    table: Table
    columns: Columns
    rows: Sequence[int]

    def values(self, column: str) -> list[str]:
        return [self.table.columns[column][row] for row in self.rows]

    @property
    def groups(self) -> list[str]:
        """The group of each row; empty if rows are not in groups."""
        return [value.strip() for value in self.values(self.columns.group)] if self.columns.group else []

    def at(self, index: int) -> str:
        return self.table.at(self.rows[index])


class ImageTable(ImageFiles):
    """A table of images: a column has the path of each, another one its label, or several have numbers."""

    listed_by: ClassVar[str] = "the table"

    source: Literal["table"]
    name: Name = "table"
    images: str | None = Field(
        default=None,
        min_length=1,
        description="Folder or .zip that the paths of the table start from; null = the folder of the table.",
    )
    path_column: str | None = Field(
        default=None, min_length=1, description=f"The column of the images' paths; {_COLUMN}: path, file, image."
    )
    label_column: str | None = Field(
        default=None, min_length=1, description=f"The column of the classes; {_COLUMN}: label, class, category."
    )
    split_column: str | None = Field(
        default=None,
        min_length=1,
        description=f"The column that says train, val or test; {_COLUMN} (split, subset, partition), or none.",
    )
    group_by: GroupColumn = None

    def listed(self, report: Report) -> Listed:
        """Lists the images of the rows."""
        place = self._place()
        parts = self._parts(place, report)
        classes, labels = self._labels(parts)
        paths = {part: rows.values(rows.columns.path) for part, rows in parts.items()}
        wanted = {path for part in paths.values() for path in part}
        tree, top = self._images(place, wanted)
        files, found = set(tree.files), {}
        for path in wanted:
            places = list(_places(path, tree.root, top))
            found[path] = next((place for place in places if place in files), next(iter(places), None))
        faults = list(_path_faults(parts, found, None if self.on_bad_file == "skip" else files, tree))
        if faults:
            raise DataError(*grouped(_file(next(iter(parts.values()))), faults))
        listed = {
            part: Labelled([found[path] or "" for path in paths[part]], labels[part], rows.groups)
            for part, rows in parts.items()
        }
        return Listed(tree, classes, listed)

    def _labels(self, parts: Mapping[str, _Rows]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
        """The names of the classes, or of the columns of numbers, and the labels of each part."""
        columns = {
            part: [LabelColumn(column, rows.values(column), rows.at, _file(rows)) for column in rows.columns.labels]
            for part, rows in parts.items()
        }
        return labels_of(columns, of_classes=self.has_classes, declared=self.class_names)

    def _place(self) -> _Place:
        root = self.folder
        if root is None:
            rule = "be a table (.csv, .tsv, .jsonl), or a folder or a .zip that holds one"
            raise DataError(must("data.root", rule, None))
        if root.suffix.lower() in SUFFIXES and not root.is_dir():
            if not root.is_file():
                raise DataError(must("data.root", "be a table that exists", str(root)))
            return _Place({"train": (str(root), content_of(root, max_bytes=limits.TABLE_BYTES))}, None, "")
        tree = open_tree(root)
        found = part_tables(tree, SUFFIXES, lambda line: None) or _single(tree)
        return _Place(found.contents(tree), tree, found.top)

    def _parts(self, place: _Place, report: Report) -> dict[str, _Rows]:
        """The rows of each part."""
        if self.split_column and len(place.tables) > 1:
            names = ", ".join(PurePosixPath(name).name for name, _ in place.tables.values())
            raise DataError(must("data.split_column", f"be null for tables of the parts ({names})", self.split_column))
        wanted = Wanted(self.path_column, self.label_column, self.split_column, self.group_by, self.target_columns)
        parts, told, faults = {}, {}, []
        for part, (file, content) in place.tables.items():
            chosen: list[Columns] = []

            def choose(header: Sequence[str], file: str = file, chosen: list[Columns] = chosen) -> Iterable[str]:
                chosen.append(columns_of(header, wanted, file))
                return chosen[0].read

            table, columns = read_table(content, file, choose), chosen[0]
            if not table.lines:
                raise DataError(Fault(file, "must hold rows, got only a header"))
            if len(place.tables) > 1:
                columns = columns._replace(split=None)
            told[columns.said("classes" if self.has_classes else "targets")] = file
            for column in (column for column in columns.read if column != columns.split):
                faults += [fault for _, fault in table.empty(column)]
            parts[part] = _Rows(table, columns, range(len(table.lines)))
        if faults:
            raise DataError(*grouped(place.tables["train"][0], faults))
        if None in wanted[:2] or any(rows.columns.split for rows in parts.values()):
            for line, file in told.items():
                report(printable(f"{file}: {line}"))
        whole = parts["train"]
        return _divided(whole, whole.columns.split) if whole.columns.split else parts

    def _images(self, place: _Place, paths: Iterable[str]) -> tuple[FileTree, str]:
        """The tree of the images, and the folder in it that paths start from."""
        if self.images is None and place.tree is not None:
            return place.tree, place.top
        beside = Path(place.tables["train"][0]).parent
        root = Path(os.path.expanduser(self.images)) if self.images else beside  # noqa: PTH111 - as `folder`
        if not root.is_dir():
            return open_tree(root, key="data.images"), ""
        return FolderTree(root, only=[place for path in paths for place in _places(path, root, "")]), ""


def _single(tree: FileTree) -> PartTables:
    """The only table of a folder. Raises DataError if there are none or several."""
    tables = [path for path in tree.files if path.lower().endswith(SUFFIXES)]
    if len(tables) == 1:
        top, slash, name = tables[0].rpartition("/")
        return PartTables(top + slash, {"train": name})
    rule = f"hold one table ({', '.join(SUFFIXES)}), or tables named train, val and test"
    raise DataError(must(str(tree.root), rule, ", ".join(tables) or "none"))


def _divided(whole: _Rows, column: str) -> dict[str, _Rows]:
    """The rows of each part, by the column that says the part."""
    rows, faults = defaultdict(list), []
    for row, value in enumerate(whole.values(column)):
        if (part := part_of(value.strip())) is None:
            faults.append(must(whole.table.at(row), f"have a {column} of train, val or test", value))
        else:
            rows[part].append(row)
    if faults:
        raise DataError(*grouped(whole.table.place, faults))
    if "train" not in rows:
        raise DataError(must(whole.table.place, f"have rows whose {column} is train", ", ".join(sorted(rows))))
    return {part: whole._replace(rows=rows[part]) for part in ("train", "val", "test") if part in rows}


def _places(path: str, root: Path, top: str) -> Iterator[str]:
    """The places in a tree that a path of a table may mean: none if it lies outside of it.

    Tables of Windows have backslashes, and names may be in another Unicode form than on the disk.
    """
    for way in dict.fromkeys((path, path.replace("\\", "/"))):
        if not all(map(_can_be_a_name, way.split("/"))):
            continue
        absolute = way.startswith("/")
        place = os.path.relpath(way, os.path.abspath(root)) if absolute else posixpath.normpath(top + way)  # noqa: PTH100
        if place in ("..", ".") or place.startswith("../"):
            continue
        yield place
        yield from (unicodedata.normalize(form, place) for form in ("NFC", "NFD") if not place.isascii())


def _can_be_a_name(name: str) -> bool:
    """Whether a file can have this name."""
    try:
        return "\0" not in name and len(os.fsencode(name)) <= _NAME_BYTES
    except UnicodeEncodeError:  # half of a character, which JSON can write
        return False


def _path_faults(
    parts: Mapping[str, _Rows], found: Mapping[str, str | None], files: set[str] | None, tree: FileTree
) -> Iterator[Fault]:
    """The faults of paths that lie outside of the tree, are not in `files` if these are known, or stand there twice."""
    seen: dict[str, str] = {}
    for rows in parts.values():
        for index, path in enumerate(rows.values(rows.columns.path)):
            at, place = rows.at(index), found[path]
            if place is None:
                yield must(at, f"name an image below {tree.root}", path)
            elif files is not None and place not in files:
                yield must(at, f"name an image that exists in {tree.root}", path)
            elif place in seen:
                yield must(at, f"name another image than {seen[place]}", path)
            else:
                seen[place] = f"{_file(rows)}, line {rows.table.lines[rows.rows[index]]}"


def _file(rows: _Rows) -> str:
    return PurePosixPath(rows.table.place).name
