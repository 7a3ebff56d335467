"""Images and labels in .tar shards, as WebDataset has them: 1.jpg and 1.cls, 2.jpg and 2.cls, … in train-000000.tar."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from runner import limits
from runner.data.broken import grouped
from runner.data.class_folders import Labelled
from runner.data.class_names import nfc
from runner.data.columns import LABELS, GroupColumn
from runner.data.digests import content_of
from runner.data.examples import Report
from runner.data.files import FolderTree
from runner.data.image_files import ImageFiles, Listed
from runner.data.labels import LabelColumn, labels_of
from runner.data.shard_listing import JSON, Listing, Wanted, first_example, listings
from runner.data.shard_names import by_part, named, part_in
from runner.data.shards import ShardTree
from runner.data.source import Name
from runner.data.tables import utf8_text
from runner.errors import DataError, Fault, must, printable

_SUFFIX: Final = ".tar"
_USUAL: Final = ("cls", JSON, "txt")
_RULE: Final = "be a .tar shard, a folder of them, or a pattern such as train-{000000..000146}.tar"


class WebDataset(ImageFiles):
    """Shards of WebDataset: .tar files in which an image and its label have one name, and are read in place."""

    listed_by: ClassVar[str] = "the shards"

    source: Literal["webdataset"]
    name: Name = "webdataset"
    image_ending: str | None = Field(
        default=None,
        min_length=1,
        examples=["left.jpg"],
        description="The ending of the images' names, after the first dot; null = jpg, png, webp and those of other "
        "image files.",
    )
    label_ending: str | None = Field(
        default=None,
        min_length=1,
        description="The ending of the names of the entries that have the classes; null = cls, json or txt, whichever "
        "the first example has.",
    )
    label_column: str | None = Field(
        default=None,
        min_length=1,
        description="With labels in .json entries: the key of the class; null = found by the usual names: label, "
        "class, category.",
    )
    class_file: str | None = Field(
        default=None,
        min_length=1,
        description="A text file with the name of a class on each line, in the order of the numbers that the shards "
        "have; null = the numbers are the names.",
    )
    group_by: GroupColumn = None

    @model_validator(mode="after")
    def _names_classes_once(self) -> Self:
        if self.class_file is not None and self.class_names is not None:
            raise ValueError(must("", "have class_names or a class_file, not both", self.class_file).text)
        if self.label_column is not None and _ending(self.label_ending) not in (None, JSON):
            raise ValueError(must("", "have a label_column with label_ending=json only", self.label_ending).text)
        return self

    def listed(self, report: Report) -> Listed:
        """Lists the entries of the shards; labels are read, images are not."""
        root, parts = self._shards()
        wanted = self._wanted(root / parts["train"][0])
        shards = [shard for found in parts.values() for shard in found]
        found = dict(zip(shards, listings(root, shards, wanted), strict=True))
        learnt = "classes" if self.has_classes else "targets"
        columns = [f".{wanted.label}"] if wanted.label else [name for name in wanted.columns if name != self.group_by]
        if None in (self.image_ending, self.label_ending):
            report(printable(f"{root}: {learnt} in {', '.join(columns)}{'' if wanted.label else f' of .{JSON}'}"))
        own = {part: [found[shard] for shard in names] for part, names in parts.items()}
        for part, those in own.items():
            if not any(listing.images for listing in those):
                raise DataError(must(str(root), f"hold shards with images for {part}", f"none in {parts[part][0]}"))
        names, labels = self._labels(own, [column.removeprefix(".") for column in columns])
        tree = ShardTree(root, [found[shard] for shard in shards])
        files = iter(tree.files)
        return Listed(
            tree,
            names,
            {
                part: Labelled([next(files) for _ in labels[part]], labels[part], self._groups(those))
                for part, those in own.items()
            },
            other=[f"{listing.shard}/{name}" for listing in found.values() for name in listing.other],
        )

    def _shards(self) -> tuple[Path, dict[str, list[str]]]:
        """The folder of the shards, and the shards of each part, by their paths below it."""
        root = self.folder
        if root is None:
            raise DataError(must("data.root", _RULE, None))
        if "{" in str(root) and not root.exists():
            paths = [Path(name) for name in named(str(root))]
            if missing := [path for path in paths if not path.is_file()]:
                rule, got = "exist, as data.root names it", f"{len(missing):,} of {len(paths):,} shards missing"
                raise DataError(must(str(missing[0]), rule, got))
            place = Path(os.path.commonpath([path.parent for path in paths]))
            return place, by_part(place, [path.relative_to(place).as_posix() for path in paths], part_in)
        if root.is_file() and root.suffix.lower() == _SUFFIX:
            return root.parent, {"train": [root.name]}
        if not root.is_dir():
            raise DataError(must("data.root", _RULE, self.root))
        files = [path for path in FolderTree(root).files if path.lower().endswith(_SUFFIX)]
        if not files:
            raise DataError(must("data.root", _RULE, "a folder without any"))
        return root, by_part(root, files, part_in)

    def _wanted(self, shard: Path) -> Wanted:
        """What is read of the shards, as the first example of one of them has it."""
        group = (self.group_by,) if self.group_by else ()
        wanted = Wanted(_ending(self.image_ending), _ending(self.label_ending), ())
        if self.target_columns or self.label_column:
            keys = self.target_columns or (self.label_column or "",)
            return wanted._replace(label=None, columns=tuple(dict.fromkeys(map(nfc, (*keys, *group)))))
        if wanted.label not in (None, JSON):
            return wanted._replace(columns=group)
        endings, noted = first_example(shard, wanted, _USUAL if wanted.label is None else (JSON,))
        by_name = {key.casefold(): key for key in reversed(noted)}
        key = next((by_name[name] for name in LABELS if name in by_name), None)
        if wanted.label is None and "cls" in endings:
            return wanted._replace(label="cls", columns=group)
        if key is not None:
            return wanted._replace(label=None, columns=tuple(dict.fromkeys((key, *group))))
        if wanted.label is None and "txt" in endings:
            return wanted._replace(label="txt", columns=group)
        if noted:
            raise DataError(
                must("data.label_column", f"name the key of {shard} that has the classes", ", ".join(noted))
            )
        got = ", ".join(sorted(endings)) or "an empty shard"
        raise DataError(must("data.label_ending", f"name the entries of {shard} that have the classes", got))

    def _labels(
        self, parts: Mapping[str, Sequence[Listing]], columns: Sequence[str]
    ) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
        """The names of the classes, or of the columns of numbers, and the labels of each part."""
        found = {part: [_column(those, name) for name in columns] for part, those in parts.items()}
        names = self._named_classes()
        if names and self.has_classes and all(value.isdecimal() for value in found["train"][0].values):
            return names, _by_number(names, {part: column for part, (column,) in found.items()})
        return labels_of(found, of_classes=self.has_classes, declared=names)

    def _named_classes(self) -> tuple[str, ...] | None:
        if self.class_file is None:
            return self.class_names
        file = Path(os.path.expanduser(self.class_file))  # noqa: PTH111 - as `folder`
        if not file.is_file():
            raise DataError(must("data.class_file", "be a file with a name on each line", self.class_file))
        lines = utf8_text(content_of(file, max_bytes=limits.TABLE_BYTES), str(file)).splitlines()
        names = tuple(nfc(line.strip()) for line in lines if line.strip())
        if len(set(names)) != len(names):
            twice = next(name for name in names if names.count(name) > 1)
            raise DataError(must(str(file), "name each class once", f"{twice} more than once"))
        if len(names) < 2:
            raise DataError(must(str(file), "name two classes or more", len(names)))
        return names

    def _groups(self, listings: Sequence[Listing]) -> list[str]:
        """The group of each image; empty if images are not in groups."""
        return [value for listing in listings for value in listing.values[self.group_by]] if self.group_by else []


def _ending(written: str | None) -> str | None:
    """An ending as the entries' names are compared with it."""
    return None if written is None else written.removeprefix(".").lower()


def _column(listings: Sequence[Listing], name: str) -> LabelColumn:
    """The labels of one part."""
    paths = [path for listing in listings for path in listing.paths]
    values = [value for listing in listings for value in listing.values[name]]
    return LabelColumn(name, values, paths.__getitem__, listings[0].shard)


def _by_number(names: Sequence[str], parts: Mapping[str, LabelColumn]) -> dict[str, np.ndarray]:
    """The labels of each part, which are the numbers of the classes. Raises DataError for a number without a name."""
    labels, faults = {}, list[Fault]()
    for part, column in parts.items():
        numbers = np.full(len(column.values), -1, np.int32)
        for row, value in enumerate(column.values):
            if value.isdecimal() and len(value) < 10 and int(value) < len(names):
                numbers[row] = int(value)
            else:
                faults.append(must(column.at(row), f"have a {column.name} from 0 to {len(names) - 1}", value))
        labels[part] = numbers
    if faults:
        raise DataError(*grouped(parts["train"].file, faults))
    return labels
