"""Images and labels in Parquet files, such as those of Hugging Face's `datasets`: train-00000-of-00002.parquet."""

import json
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, NamedTuple

import numpy as np
from pydantic import Field

from runner.data.broken import broken, grouped
from runner.data.class_folders import Labelled
from runner.data.class_names import class_order, nfc
from runner.data.columns import LABELS, PATHS, GroupColumn
from runner.data.decode import Images
from runner.data.encoded_copy import copied
from runner.data.examples import Part, Parts, Report
from runner.data.files import FileTree, FolderTree
from runner.data.image_files import ImageFiles, Listed
from runner.data.labels import LabelColumn, labels_of
from runner.data.parquet import ParquetTree, image_columns, opened
from runner.data.shard_names import by_part
from runner.data.source import Name
from runner.data.splits import part_of
from runner.data.tables import named
from runner.errors import DataError, Fault, must, printable

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_SUFFIX: Final = ".parquet"
# The end of a shard's name: its number, their number, and in older sets a digest.
_SHARD: Final = re.compile(r"-(\d{5})-of-(\d{5})(-[0-9a-f]+)?$")
_LABELS: Final = (*LABELS, "labels", "fine_label")


class _Shard(NamedTuple):
    """The columns of one file that are in memory: of each row the labels, and the group if there are groups.

    `labels` has the column of the classes, or those of the targets. `names` are those of the classes if labels are
    numbers of classes.
    """

    path: str
    image: str
    labels: dict[str, list[Any]]
    groups: list[str]
    names: tuple[str, ...] | None

    @property
    def rows(self) -> int:
        return len(next(iter(self.labels.values())))

    def faults(self, root: Path, group: str | None) -> Iterator[Fault]:
        """The faults of rows without a label, with one that is no class, or without a group."""
        for row, values in enumerate(zip(*self.labels.values(), strict=True)):
            place = f"{root}/{self.path}, row {row}"
            for column, value in zip(self.labels, values, strict=True):
                if value is None or (isinstance(value, str) and not value.strip()):
                    yield must(place, f"have a {column}", value)
                elif self.names and not (isinstance(value, int) and 0 <= value < len(self.names)):
                    yield must(place, f"have a {column} from 0 to {len(self.names) - 1}", value)
            if group and not self.groups[row]:
                yield Fault(place, f"must have a {group}, got nothing")


class ImageParquet(ImageFiles):
    """Parquet files with the bytes of images in a column, and their labels in another one."""

    listed_by: ClassVar[str] = "the Parquet files"

    source: Literal["parquet"]
    name: Name = "parquet"
    image_column: str | None = Field(
        default=None, min_length=1, description="The column of the images; null = the one that has bytes."
    )
    label_column: str | None = Field(
        default=None,
        min_length=1,
        description="The column of the classes; null = the one whose classes the file names, or found by the usual "
        "names: label, class, category.",
    )
    group_by: GroupColumn = None

    def listed(self, report: Report) -> Listed:
        """Lists the rows of the files; labels are read, images are not."""
        root, parts = self._files()
        shards = {part: [self._shard(root, path) for path in paths] for part, paths in parts.items()}
        every = [shard for found in shards.values() for shard in found]
        if faults := [fault for shard in every for fault in shard.faults(root, self.group_by)]:
            raise DataError(*grouped(root, faults))
        if self.image_column is None or self.label_column is None:
            what = "classes" if self.has_classes or every[0].names else "targets"
            columns = ", ".join(every[0].labels)
            report(printable(f"{root}: images in the column {every[0].image}, {what} in {columns}"))
        names, labels = self._labels(root, shards)
        tree = ParquetTree(root, {shard.path: shard.image for shard in every})
        return Listed(
            tree,
            names,
            {
                part: Labelled(
                    [f"{shard.path}/{row}" for shard in found for row in range(shard.rows)],
                    labels[part],
                    [group for shard in found for group in shard.groups],
                )
                for part, found in shards.items()
            },
        )

    def for_streams(self, parts: Parts, report: Report) -> Parts:
        """The same images, copied to the cache."""
        inputs = parts.train.inputs
        if not isinstance(inputs, Images) or not isinstance(inputs.tree, ParquetTree):
            return parts
        tree = copied(inputs.tree, report)
        val, test = (part and _from_tree(part, tree) for part in (parts.val, parts.test))
        return replace(parts, train=_from_tree(parts.train, tree), val=val, test=test)

    def _files(self) -> tuple[Path, dict[str, list[str]]]:
        """The folder of the files, and the files of each part, by their paths below it."""
        rule = f"be a {_SUFFIX} file, or a folder of such files (`to_parquet` of Hugging Face's datasets writes them)"
        root = self.folder
        if root is not None and root.is_file() and root.suffix.lower() == _SUFFIX:
            return root.parent, {"train": [root.name]}
        if root is None or not root.is_dir():
            raise DataError(must("data.root", rule, self.root))
        files = [path for path in FolderTree(root).files if path.lower().endswith(_SUFFIX)]
        if not files:
            raise DataError(must("data.root", rule, "a folder without any"))
        parts = by_part(root, files, _part)
        _check_shards(root, files)
        return root, parts

    def _shard(self, root: Path, path: str) -> _Shard:
        import pyarrow

        place = f"{root}/{path}"
        file = opened(root / path)
        header = file.schema_arrow.names
        image = named(header, self.image_column, place) if self.image_column else _image_column(file, place)
        labels = self._label_columns(file, place)
        group = named(header, self.group_by, place) if self.group_by else None
        try:
            table = file.read(columns=list(dict.fromkeys([*labels, *([group] if group else [])])), use_threads=False)
        except (pyarrow.ArrowException, OSError) as error:
            raise broken(place, "be a whole Parquet file", error) from error
        groups = ["" if value is None else str(value).strip() for value in table[group].to_pylist()] if group else []
        values = {column: table[column].to_pylist() for column in labels}
        names = None if self.target_columns else _class_names(file).get(labels[0])
        return _Shard(path, image, values, groups, names)

    def _labels(
        self, root: Path, shards: Mapping[str, Sequence[_Shard]]
    ) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
        """The names of the classes, or of the columns of numbers, and the labels of each part."""
        first = shards["train"][0]
        if names := first.names:
            for shard in (shard for found in shards.values() for shard in found):
                if shard.names != names:
                    raise DataError(must(f"{root}/{shard.path}", f"have the classes of {first.path}", shard.names))
            classes = class_order(names, self.class_names)
            number = np.array([classes.index(name) for name in names], np.int32)
            return classes, {
                part: number[np.array([value for shard in found for value in next(iter(shard.labels.values()))], int)]
                for part, found in shards.items()
            }
        columns = {part: _columns(root, found) for part, found in shards.items()}
        return labels_of(columns, of_classes=self.has_classes, declared=self.class_names)

    def _label_columns(self, file: "ParquetFile", place: str) -> tuple[str, ...]:
        """The names of the columns of the targets, else that of the classes."""
        if columns := self.target_columns or (self.label_column and (self.label_column,)):
            return tuple(named(file.schema_arrow.names, column, place) for column in columns)
        return (_label_column(file.schema_arrow.names, _class_names(file), place),)


def _from_tree(part: Part, tree: FileTree) -> Part:
    """The same images, read from another tree."""
    return replace(part, inputs=replace(part.inputs, tree=tree)) if isinstance(part.inputs, Images) else part


def _columns(root: Path, shards: Sequence[_Shard]) -> list[LabelColumn]:
    """The columns of the labels of one part, with the values of all its files one after the other."""

    def at(row: int) -> str:
        for shard in shards:
            if row < shard.rows:
                return f"{root}/{shard.path}, row {row}"
            row -= shard.rows
        raise IndexError(row)

    of_shards = zip(*(shard.labels.values() for shard in shards), strict=True)
    return [
        LabelColumn(name, [str(value) for values in column for value in values], at, PurePosixPath(shards[0].path).name)
        for name, column in zip(shards[0].labels, of_shards, strict=True)
    ]


def _part(stem: str) -> str | None:
    """The part that the name of a file stands for, without the numbers of shards."""
    return part_of(_SHARD.sub("", stem))


def _check_shards(root: Path, files: Sequence[str]) -> None:
    """Raises DataError if a shard is missing."""
    shards = defaultdict(set)
    for path in files:
        *above, name = PurePosixPath(path).with_suffix("").parts
        if numbers := _SHARD.search(name):
            shards["/".join([*above, name[: numbers.start()]]), int(numbers[2])].add(int(numbers[1]))
    for (name, count), found in shards.items():
        if len(found) != count:
            raise DataError(must(f"{root}/{name}{_SUFFIX}", f"have all of its {count} shards", len(found)))


def _class_names(file: "ParquetFile") -> dict[str, tuple[str, ...]]:
    """The names of the classes of columns that are numbers of classes, as Hugging Face's `datasets` notes them."""
    noted = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        features = json.loads(noted)["info"]["features"]
        return {
            column: tuple(nfc(str(name)) for name in feature["names"])
            for column, feature in features.items()
            if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" and feature.get("names")
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _image_column(file: "ParquetFile", place: str) -> str:
    found = list(image_columns(file))
    if len(found) > 1:
        found = [column for column in found if column.casefold() in PATHS] or found
    if len(found) == 1:
        return found[0]
    got = ", ".join(found or file.schema_arrow.names)
    raise DataError(must("data.image_column", f"name the column of {place} that has the bytes of images", got))


def _label_column(header: Sequence[str], names: Mapping[str, object], place: str) -> str:
    if len(names) == 1:
        return next(iter(names))
    by_name = {column.casefold(): column for column in reversed(header)}
    for name in _LABELS:
        if name in by_name:
            return by_name[name]
    raise DataError(must("data.label_column", f"name the column of {place} that has the classes", ", ".join(header)))
