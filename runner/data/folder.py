"""Photographs in class folders: on disk or in a .zip, with or without train/, val/ and test/ above the classes."""

from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from runner.data.decode import MODES, SUFFIXES, FileFit, Images
from runner.data.examples import Part, Parts, Report
from runner.data.files import Tree, tree_of
from runner.data.source import Undivided
from runner.errors import DataError, must

PARTS = ("train", "val", "test")
Classes = dict[str, list[str]]


class Folder(Undivided):
    """A folder or .zip of class folders of JPEG, PNG, BMP or WebP images; classes in the order of their names."""

    source: Literal["folder"]
    name: str = Field(default="folder", min_length=1, description="What the data set is called.")
    fit: FileFit = Field(
        default="resize",
        description="How a file becomes `image`: resize (short side, then the middle), pad (long side, then zeros "
        "around) or crop (the middle, unscaled).",
    )

    @model_validator(mode="after")
    def _has_a_mode(self) -> Self:
        if self.image is not None and self.image.channels not in MODES:
            raise ValueError(must("", "have images of 1, 2, 3 or 4 channels", self.image.channels).text)
        return self

    def read(self, report: Report) -> Parts:
        """The files of each class, still to be decoded."""
        if self.folder is None:
            raise DataError(must("data.root", "be a folder or a .zip of class folders", None))
        tree = tree_of(self.folder)
        found = _parts(tree)
        if "train" not in found or len(found["train"]) < 2:
            got = ", ".join(found.get("train", {})) or "none"
            raise DataError(must(str(tree.root), "hold two class folders of images at least", got))
        names = tuple(sorted(found["train"]))
        parts = {name: self._part(tree, name, classes, names, report) for name, classes in found.items()}
        if self.class_names and tuple(sorted(self.class_names)) != names:
            raise DataError(must("data.class_names", f"be the class folders ({', '.join(names)})", self.class_names))
        return Parts(train=parts["train"], val=parts.get("val"), test=parts.get("test"), classes=names)

    def _part(self, tree: Tree, part: str, classes: Classes, names: tuple[str, ...], report: Report) -> Part:
        for missing in sorted(set(names) - set(classes)):
            raise DataError(must(f"{tree.root}/{part}", "have the class folders of train", f"no {missing}"))
        for surplus in sorted(set(classes) - set(names)):
            raise DataError(must(f"{tree.root}/{part}/{surplus}", "be a class of train", ", ".join(names)))
        paths = [path for name in names for path in classes[name]]
        counts = [len(classes[name]) for name in names]
        labels = np.repeat(np.arange(len(names), dtype=np.int32), counts)
        return Part(Images(tree, paths, self.image, self.fit, report), labels)


def _parts(tree: Tree) -> dict[str, Classes]:
    """The files by part and class. A single folder around everything is looked through, as archives often have one."""
    top = ""
    while True:
        inside = _names_in(tree, top)
        if len(inside) != 1 or inside[0] in PARTS:
            break
        top = f"{top}{inside[0]}/"
    places = {name: f"{top}{name}/" for name in PARTS if name in inside} if "train" in inside else {"train": top}
    return {name: _classes(tree, place) for name, place in places.items()}


def _names_in(tree: Tree, place: str) -> list[str]:
    """The folders in a folder, whose path ends in a slash, or is empty for the root."""
    below = (folder.removeprefix(place) for folder in tree.folders if folder.startswith(place))
    return sorted(name for name in below if name and "/" not in name)


def _classes(tree: Tree, place: str) -> Classes:
    classes: Classes = {name: [] for name in _names_in(tree, place)}
    for path in tree.files:
        name, slash, _ = path[len(place) :].partition("/")
        if not slash or not path.startswith(place):
            continue  # of another part, or beside the class folders: a licence, a list
        if not path.lower().endswith(SUFFIXES):
            raise DataError(must(f"{tree.root}/{path}", f"be an image ({', '.join(SUFFIXES)})", "another kind of file"))
        classes[name].append(path)
    for name, paths in classes.items():
        if not paths:
            raise DataError(must(f"{tree.root}/{place}{name}", "hold images", "an empty class folder"))
    return classes
