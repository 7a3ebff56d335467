"""Files in class folders, with or without folders for training, validation and test above the classes."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from runner.data.class_names import composed, ordered
from runner.data.examples import Report
from runner.data.files import Tree
from runner.data.splits import listed, part_of, parts_of
from runner.errors import DataError, must, printable

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


def class_folders(
    tree: Tree, kind: Kind, *, declared: Sequence[str] | None, report: Report
) -> tuple[tuple[str, ...], dict[str, Labelled]]:
    """The classes, in the order of their labels, and the files of `train` and of what other parts there are.

    The order is that of `declared`, else of the names. Folders whose names differ only in how Unicode spells them are
    one class (see `composed`). A single folder around everything is looked through. What is left out goes to `report`.
    Raises DataError, which names the file or the folder.
    """
    places = _places(tree, kind, declared, report)
    found = {part: _classes(tree, place, kind, report) for part, place in places.items()}
    if len(found["train"]) < 2:
        got = ", ".join(found["train"]) or "none"
        raise DataError(must(str(tree.root), f"hold two class folders of {kind.many} at least", got))
    names = ordered(tuple(found["train"]), declared)
    training = places["train"].rstrip("/").rpartition("/")[2]
    return names, {part: _labelled(_under(tree, places[part]), found[part], names, training) for part in found}


def _labelled(place: str, classes: Classes, names: tuple[str, ...], training: str) -> Labelled:
    for missing in sorted(set(names) - set(classes)):
        raise DataError(must(place, f"have the class folders of {training}", f"no {missing}"))
    for surplus in sorted(set(classes) - set(names)):
        raise DataError(must(f"{place}/{surplus}", f"be a class of {training}", ", ".join(names)))
    counts = [len(classes[name]) for name in names]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    return Labelled([path for name in names for path in classes[name]], labels)


def levels(tree: Tree) -> Iterator[str]:
    """The places that may hold the parts: the root, and below each a single folder that is not called after a part."""
    top = ""
    while True:
        yield top
        inside = names_in(tree, top)
        if len(inside) != 1 or part_of(inside[0]):
            return
        top = f"{top}{inside[0]}/"


def names_in(tree: Tree, place: str) -> list[str]:
    """The folders in a folder, whose path ends in a slash, or is empty for the root."""
    below = (folder.removeprefix(place) for folder in tree.folders if folder.startswith(place))
    return sorted(name for name in below if name and "/" not in name)


def _places(tree: Tree, kind: Kind, declared: Sequence[str] | None, report: Report) -> dict[str, str]:
    """Where the class folders of each part are: all of them in one place, or below folders called after the parts."""
    *_, top = levels(tree)
    inside = names_in(tree, top)
    if declared and {composed(name) for name in inside} == set(declared):
        return {"train": top}  # a class may be called train, if the user says so
    parts = parts_of(inside, _under(tree, top))
    if not parts:
        return {"train": top}
    others = [name for name in inside if name not in parts.values()]
    if "train" not in parts or not _with_files(tree, top, kind).isdisjoint(others):
        rule = "hold folders of parts, train among them, or of classes (data.class_names tells classes of such names)"
        got = listed(parts.values()) + (f" beside {listed(others)}" if others else "")
        raise DataError(must(_under(tree, top), rule, got))
    if others:
        report(f"left out beside {', '.join(parts.values())}: {printable(listed(others))}")
    return {part: f"{top}{name}/" for part, name in parts.items()}


def _with_files(tree: Tree, place: str, kind: Kind) -> set[str]:
    """The folders in a folder that hold files of the kind themselves, as class folders do."""
    inside = (path[len(place) :] for path in tree.files if path.startswith(place))
    return {path.partition("/")[0] for path in inside if path.count("/") == 1 and path.lower().endswith(kind.suffixes)}


def _classes(tree: Tree, place: str, kind: Kind, report: Report) -> Classes:
    classes: Classes = {composed(name): [] for name in names_in(tree, place)}
    beside = []
    for path in tree.files:
        if not path.startswith(place):
            continue
        name, slash, _ = path[len(place) :].partition("/")
        if not slash:
            beside.append(name)  # a licence, a list
            continue
        if not path.lower().endswith(kind.suffixes):
            rule = f"be {kind.one} ({', '.join(kind.suffixes)})"
            raise DataError(must(f"{tree.root}/{path}", rule, "another kind of file"))
        classes[composed(name)].append(path)
    for name, paths in classes.items():
        if not paths:
            raise DataError(must(f"{tree.root}/{place}{name}", f"hold {kind.many}", "an empty class folder"))
    _check_no_parts_within(tree, place)
    if beside:
        report(f"left out beside the class folders of {printable(_under(tree, place))}: {printable(listed(beside))}")
    return classes


def _check_no_parts_within(tree: Tree, place: str) -> None:
    """Refuses cat/train and cat/test: the test images would be trained on."""
    found: dict[str, dict[str, str]] = {}
    for folder in tree.folders:
        name, _, inner = folder[len(place) :].partition("/") if folder.startswith(place) else ("", "", "")
        if part := part_of(inner):
            found.setdefault(name, {})[part] = inner
    for name, parts in sorted(found.items()):
        if "train" in parts and len(parts) > 1:
            rule = "be a class without parts: train, val and test go above the classes"
            raise DataError(must(f"{tree.root}/{place}{name}", rule, listed(parts.values())))


def _under(tree: Tree, place: str) -> str:
    return f"{tree.root}/{place}".rstrip("/")
