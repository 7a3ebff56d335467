"""Images in class folders, on disk or in a .zip, with or without train/, val/ and test/ above the classes."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Literal, Self

from pydantic import Field, model_validator

from runner.data.class_folders import Kind, Labelled, class_folders
from runner.data.examples import Report
from runner.data.files import FileTree, open_tree
from runner.data.image_files import ImageFiles, Listed
from runner.data.pixels import SUFFIXES
from runner.data.source import Name
from runner.errors import DataError, Fault, must

_IMAGES = Kind("images", SUFFIXES)


class Folder(ImageFiles):
    """A folder or .zip of class folders of images (JPEG, PNG, GIF, TIFF, BMP, WebP); labels follow the class names."""

    listed_by: ClassVar[str] = "the class folders"

    source: Literal["folder"]
    name: Name = "folder"
    group_by: str | None = Field(
        default=None,
        min_length=1,
        examples=["/([^/_]+)_"],
        description="Images that belong together, such as those of one patient, and so stay in one set: a regular "
        "expression with one group, which is searched in the path of each image.",
    )

    @model_validator(mode="after")
    def _has_one_group(self) -> Self:
        if self.group_by is not None:
            try:
                count = re.compile(self.group_by).groups
            except (re.error, OverflowError, RecursionError) as error:
                raise ValueError(
                    must("", f"have a group_by that is a regular expression ({error})", self.group_by).text
                ) from error
            if count != 1:
                raise ValueError(must("", "have a group_by with one group, as in _(.+)_", self.group_by).text)
        return self

    def listed(self, report: Report) -> Listed:
        """Lists the files of each class folder."""
        if self.folder is None:
            raise DataError(must("data.root", "be a folder or a .zip of class folders", None))
        tree = open_tree(self.folder)
        found = class_folders(tree, _IMAGES, declared=self.class_names, report=report)
        parts, faults = found.parts, found.faults
        if self.group_by is not None:
            parts = {part: files._replace(groups=self._groups(files.paths)) for part, files in parts.items()}
            faults = [*faults, *_without_group(tree, parts)]
        return Listed(tree, found.names, parts, faults, found.other)

    def _groups(self, paths: Iterable[str]) -> list[str]:
        """The group of each path; "" for a path without one."""
        found = (re.search(self.group_by or "", path) for path in paths)
        return [(match.group(1) or "") if match else "" for match in found]


def _without_group(tree: FileTree, parts: Mapping[str, Labelled]) -> Iterator[Fault]:
    for files in parts.values():
        for path, group in zip(files.paths, files.groups, strict=True):
            if not group:
                yield must(f"{tree.root}/{path}", "have a group by data.group_by", "none")
