"""Files in class folders, with or without train/, val/ and test/ above the classes."""

from typing import NamedTuple

import numpy as np

from runner.data.class_names import composed
from runner.data.files import Tree
from runner.errors import DataError, must

PARTS = ("train", "val", "test")
Classes = dict[str, list[str]]


class Kind(NamedTuple):
    """What the files are: what one is called, and many, and how their names end."""

    one: str
    many: str
    suffixes: tuple[str, ...]


class Labelled(NamedTuple):
    """The files of one part, class after class, and their labels, int32 (n,)."""

    paths: list[str]
    labels: np.ndarray


def class_folders(tree: Tree, kind: Kind) -> tuple[tuple[str, ...], dict[str, Labelled]]:
    """The classes, in the order of their names, and the files of `train` and of what other parts there are.

    Folders whose names differ only in how Unicode spells them are one class (see `composed`). A single folder around
    everything is looked through. Raises DataError, which names the file or the folder.
    """
    found = _parts(tree, kind)
    if "train" not in found or len(found["train"]) < 2:
        got = ", ".join(found.get("train", {})) or "none"
        raise DataError(must(str(tree.root), f"hold two class folders of {kind.many} at least", got))
    names = tuple(sorted(found["train"]))
    return names, {part: _labelled(f"{tree.root}/{part}", classes, names) for part, classes in found.items()}


def _labelled(place: str, classes: Classes, names: tuple[str, ...]) -> Labelled:
    for missing in sorted(set(names) - set(classes)):
        raise DataError(must(place, "have the class folders of train", f"no {missing}"))
    for surplus in sorted(set(classes) - set(names)):
        raise DataError(must(f"{place}/{surplus}", "be a class of train", ", ".join(names)))
    counts = [len(classes[name]) for name in names]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    return Labelled([path for name in names for path in classes[name]], labels)


def _parts(tree: Tree, kind: Kind) -> dict[str, Classes]:
    """The files by part and class."""
    top = ""
    while True:
        inside = _names_in(tree, top)
        if len(inside) != 1 or inside[0] in PARTS:
            break
        top = f"{top}{inside[0]}/"
    places = {name: f"{top}{name}/" for name in PARTS if name in inside} if "train" in inside else {"train": top}
    return {name: _classes(tree, place, kind) for name, place in places.items()}


def _names_in(tree: Tree, place: str) -> list[str]:
    """The folders in a folder, whose path ends in a slash, or is empty for the root."""
    below = (folder.removeprefix(place) for folder in tree.folders if folder.startswith(place))
    return sorted(name for name in below if name and "/" not in name)


def _classes(tree: Tree, place: str, kind: Kind) -> Classes:
    classes: Classes = {composed(name): [] for name in _names_in(tree, place)}
    for path in tree.files:
        name, slash, _ = path[len(place) :].partition("/")
        if not slash or not path.startswith(place):
            continue  # of another part, or beside the class folders: a licence, a list
        if not path.lower().endswith(kind.suffixes):
            rule = f"be {kind.one} ({', '.join(kind.suffixes)})"
            raise DataError(must(f"{tree.root}/{path}", rule, "another kind of file"))
        classes[composed(name)].append(path)
    for name, paths in classes.items():
        if not paths:
            raise DataError(must(f"{tree.root}/{place}{name}", f"hold {kind.many}", "an empty class folder"))
    return classes
