"""Files in class folders, with or without folders for training, validation and test above them."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from runner.data.class_names import class_order, nfc
from runner.data.examples import LeftOut, Report
from runner.data.files import FileTree
from runner.data.splits import first_names, part_of, parts_of
from runner.errors import DataError, Fault, must, printable

Classes = dict[str, list[str]]


class Kind(NamedTuple):
    """A kind of file: its name in the plural, and its file name suffixes."""

    plural: str
    suffixes: tuple[str, ...]


class Labelled(NamedTuple):
    """The files of one part, their labels, int32 (n,), and the group of each if examples are in groups."""

    paths: list[str]
    labels: np.ndarray
    groups: Sequence[str] = ()

    def take(self, index: np.ndarray) -> "Labelled":
        """The files at these indices."""
        groups = [self.groups[place] for place in index] if self.groups else ()
        return Labelled([self.paths[place] for place in index], self.labels[index], groups)


class ClassFolders(NamedTuple):
    """What was found: the classes, in the order of their labels, and the files of each part.

    `faults` are those of the folders. `other` are files in class folders that are of other kinds.
    """

    names: tuple[str, ...]
    parts: dict[str, Labelled]
    faults: list[Fault]
    other: list[str]


def class_folders(tree: FileTree, kind: Kind, *, declared: Sequence[str] | None, report: Report) -> ClassFolders:
    """Finds the classes and the files of each part (`train` and, if present, others).

    The order is that of `declared`, else alphabetical. Folder names that differ only in Unicode normalisation are one
    class (see `nfc`). A single folder around everything is skipped. Ignored files are reported by `report`.
    Raises DataError if there are no class folders; other faults are returned.
    """
    places = _places(tree, kind, declared, report)
    other: list[str] = []
    faults: list[Fault] = []
    found = {part: _classes(tree, place, kind, report, other) for part, place in places.items()}
    if len(found["train"]) < 2:
        got = ", ".join(found["train"]) or _skipped(places["train"]) or "none"
        raise DataError(must(str(tree.root), f"hold at least two class folders of {kind.plural}", got))
    names = class_order(sorted(found["train"]), declared)
    training = places["train"].rstrip("/").rpartition("/")[2]
    for part, classes in found.items():
        faults += _faults(tree, places[part], classes, kind, other)
        faults += _differences(_under(tree, places[part]), classes, names, training)
    return ClassFolders(names, {part: _labelled(classes, names) for part, classes in found.items()}, faults, other)


def _skipped(place: str) -> str:
    """The name of the single folder above a place, if it is not that of a part: a class that stands alone."""
    name = place.rstrip("/").rpartition("/")[2]
    return "" if part_of(name) else nfc(name)


def _labelled(classes: Classes, names: tuple[str, ...]) -> Labelled:
    counts = [len(classes.get(name, ())) for name in names]
    labels = np.repeat(np.arange(len(names), dtype=np.int32), counts)
    return Labelled([path for name in names for path in classes.get(name, ())], labels)


def _differences(place: str, classes: Classes, names: tuple[str, ...], training: str) -> Iterator[Fault]:
    """The faults of class folders that the training part lacks, or has alone."""
    for missing in sorted(set(names) - set(classes)):
        yield must(place, f"have the class folders of {training}", f"no {missing}")
    for surplus in sorted(set(classes) - set(names)):
        yield must(f"{place}/{surplus}", f"be a class of {training}", ", ".join(names))


def _faults(tree: FileTree, place: str, classes: Classes, kind: Kind, other: Sequence[str]) -> Iterator[Fault]:
    """The faults of class folders without files of this kind, or with folders of parts in them."""
    for name, paths in classes.items():
        if not paths:
            inside = tuple(path for path in other if nfc(path[len(place) :].partition("/")[0]) == name)
            got = LeftOut(other=inside).summary() or "an empty class folder"
            yield must(f"{tree.root}/{place}{name}", f"hold {kind.plural} ({', '.join(kind.suffixes)})", got)
    yield from _parts_within(tree, place)


def levels(tree: FileTree) -> Iterator[str]:
    """The folders that may contain the parts: the root, then each single inner folder not named after a part."""
    top = ""
    while True:
        yield top
        inside = names_in(tree, top)
        if len(inside) != 1 or part_of(inside[0]):
            return
        top = f"{top}{inside[0]}/"


def names_in(tree: FileTree, place: str) -> list[str]:
    """The names of the folders directly in `place`, a path with a final slash, or "" for the root."""
    below = (folder.removeprefix(place) for folder in tree.folders if folder.startswith(place))
    return sorted(name for name in below if name and "/" not in name)


def _places(tree: FileTree, kind: Kind, declared: Sequence[str] | None, report: Report) -> dict[str, str]:
    """The folder above the class folders of each part: one for all, or one named after each part."""
    *_, top = levels(tree)
    inside = names_in(tree, top)
    if declared and {nfc(name) for name in inside} == set(declared):
        return {"train": top}  # a class may be named train if the user declares it
    parts = parts_of(inside, _under(tree, top))
    if not parts:
        return {"train": top}
    others = [name for name in inside if name not in parts.values()]
    if "train" not in parts or not _with_files(tree, top, kind).isdisjoint(others):
        rule = "hold folders of parts, including train, or of classes (data.class_names allows such class names)"
        got = first_names(parts.values()) + (f" beside {first_names(others)}" if others else "")
        raise DataError(must(_under(tree, top), rule, got))
    if others:
        report(f"ignored beside {', '.join(parts.values())}: {printable(first_names(others))}")
    return {part: f"{top}{name}/" for part, name in parts.items()}


def _with_files(tree: FileTree, place: str, kind: Kind) -> set[str]:
    """The folders in `place` that directly contain files of this kind, as class folders do."""
    inside = (path[len(place) :] for path in tree.files if path.startswith(place))
    return {path.partition("/")[0] for path in inside if path.count("/") == 1 and path.lower().endswith(kind.suffixes)}


def _classes(tree: FileTree, place: str, kind: Kind, report: Report, other: list[str]) -> Classes:
    """The files of each class in a part; files of other kinds are added to `other`."""
    classes: Classes = {nfc(name): [] for name in names_in(tree, place)}
    beside = []
    for path in tree.files:
        if not path.startswith(place):
            continue
        name, slash, _ = path[len(place) :].partition("/")
        if not slash:
            beside.append(name)  # such as a licence or a list
            continue
        if path.lower().endswith(kind.suffixes):
            classes[nfc(name)].append(path)
        else:
            other.append(path)
    if beside:
        report(
            f"ignored beside the class folders of {printable(_under(tree, place))}: {printable(first_names(beside))}"
        )
    return classes


def _parts_within(tree: FileTree, place: str) -> Iterator[Fault]:
    """The faults of cat/train beside cat/test: the network would train on the test images."""
    found: dict[str, dict[str, str]] = {}
    for folder in tree.folders:
        name, _, inner = folder[len(place) :].partition("/") if folder.startswith(place) else ("", "", "")
        if part := part_of(inner):
            found.setdefault(name, {})[part] = inner
    for name, parts in sorted(found.items()):
        if "train" in parts and len(parts) > 1:
            rule = "be a class without part folders: train, val and test belong above classes"
            yield must(f"{tree.root}/{place}{name}", rule, first_names(parts.values()))


def _under(tree: FileTree, place: str) -> str:
    return f"{tree.root}/{place}".rstrip("/")
