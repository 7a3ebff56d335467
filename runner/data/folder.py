"""Images in class folders, on disk or in a .zip, with or without train/, val/ and test/ above the classes."""

from typing import Literal, Self

from pydantic import Field, model_validator

from runner.data.class_folders import Kind, class_folders
from runner.data.decode import MODES, SUFFIXES, FileFit, Images
from runner.data.examples import Part, Parts, Report
from runner.data.files import open_tree
from runner.data.source import Name, Undivided
from runner.errors import DataError, must

_IMAGES = Kind("an image", "images", SUFFIXES)


class Folder(Undivided):
    """A folder or .zip of class folders with JPEG, PNG, BMP or WebP images; labels follow the sorted class names."""

    source: Literal["folder"]
    name: Name = "folder"
    fit: FileFit = Field(
        default="resize",
        description="How an image is brought to the size `image`: resize (scale to cover it, cut out the centre), pad "
        "(scale to fit inside, add zeros) or crop (cut out the centre without scaling).",
    )

    @model_validator(mode="after")
    def _has_a_mode(self) -> Self:
        if self.image is not None and self.image.channels not in MODES:
            raise ValueError(must("", "have images of 1, 2, 3 or 4 channels", self.image.channels).text)
        return self

    def read(self, report: Report) -> Parts:
        """Lists the files of each class; they are decoded later."""
        if self.folder is None:
            raise DataError(must("data.root", "be a folder or a .zip of class folders", None))
        tree = open_tree(self.folder)
        names, found = class_folders(tree, _IMAGES, declared=self.class_names, report=report)
        parts = {
            part: Part(
                Images(tree, files.paths, self.image, self.fit, report),
                files.labels,
                f"{tree.root}, {part}",
                files=files.paths,
            )
            for part, files in found.items()
        }
        return Parts(train=parts["train"], val=parts.get("val"), test=parts.get("test"), classes=names)
