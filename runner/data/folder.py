"""Images in class folders, on disk or in a .zip, with or without train/, val/ and test/ above the classes."""

from typing import ClassVar, Literal

from runner.data.class_folders import Kind, class_folders
from runner.data.examples import Report
from runner.data.files import open_tree
from runner.data.image_files import ImageFiles, Listed
from runner.data.pixels import SUFFIXES
from runner.data.source import Name
from runner.errors import DataError, must

_IMAGES = Kind("images", SUFFIXES)


class Folder(ImageFiles):
    """A folder or .zip of class folders of images (JPEG, PNG, GIF, TIFF, BMP, WebP); labels follow the class names."""

    listed_by: ClassVar[str] = "the class folders"

    source: Literal["folder"]
    name: Name = "folder"

    def listed(self, report: Report) -> Listed:
        """Lists the files of each class folder."""
        if self.folder is None:
            raise DataError(must("data.root", "be a folder or a .zip of class folders", None))
        tree = open_tree(self.folder)
        found = class_folders(tree, _IMAGES, declared=self.class_names, report=report)
        return Listed(tree, found.names, found.parts, found.faults, found.other)
