"""Lists of files, one path on each line: which of the training images are validation or test images.

>>> parts = {"train": Labelled(["a/1.png", "a/2.png", "b/1.png"], np.array([0, 0, 1], np.int32))}
>>> by_lists(parts, {"val": FileList("data.val_list", "val.txt", [(1, "a/2")])})["val"].paths
['a/2.png']
"""

import os
import posixpath
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from runner import limits
from runner.data.broken import grouped
from runner.data.class_folders import Labelled
from runner.data.class_names import nfc
from runner.data.digests import content_of
from runner.data.tables import utf8_text
from runner.errors import DataError, Fault, must


class FileList(NamedTuple):
    """The lines of a list with their numbers, the setting that names the list, and its path."""

    key: str
    place: str
    lines: Sequence[tuple[int, str]]


def file_list(key: str, path: str) -> FileList:
    """Reads a list in UTF-8; empty lines are skipped. Raises DataError if it is no file, or names no image."""
    file = Path(os.path.expanduser(path))  # noqa: PTH111 - unknown users raise no error here
    if not file.is_file():
        raise DataError(must(key, "be a file that lists paths", path))
    text = utf8_text(content_of(file, max_bytes=limits.TABLE_BYTES), str(file))
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        raise DataError(must(key, "list at least one path", "an empty file"))
    return FileList(key, str(file), lines)


def by_lists(parts: Mapping[str, Labelled], lists: Mapping[str, FileList]) -> dict[str, Labelled]:
    """The parts, after the images of each list were moved there from the training part.

    A line is the path of an image in the data, with or without the folder that all share, with or without its suffix.
    Raises DataError if it is no training image, or stands in two lists, or if the data have this part themselves.
    """
    train, faults = parts["train"], []
    known = _names(train.paths)
    taken: dict[int, str] = {}  # the place of each image that was found
    found: dict[str, list[int]] = {part: [] for part in lists}
    for part, (key, place, lines) in lists.items():
        if part in parts:
            raise DataError(must(key, f"be null for data with {part} images of their own", place))
        for number, line in lines:
            index = known.get(nfc(line.replace("\\", "/").removeprefix("./")))
            if index is None:
                faults.append(must(f"{place}, line {number}", "be the path of a training image", line))
            elif index in taken:
                faults.append(must(f"{place}, line {number}", f"name another image than {taken[index]}", line))
            else:
                taken[index] = f"{Path(place).name}, line {number}"
                found[part].append(index)
    if not faults and len(taken) == len(train.paths):
        faults.append(Fault(next(iter(lists.values())).key, "must leave images to train on, got all of them"))
    if faults:
        raise DataError(*grouped(next(iter(lists.values())).place, faults))
    kept = np.setdiff1d(np.arange(len(train.paths)), list(taken))
    divided = {part: train.take(np.sort(np.array(rows, int))) for part, rows in found.items()}
    return {**parts, "train": train.take(kept), **divided}


def _names(paths: Sequence[str]) -> dict[str, int]:
    """The number of each image by the names that a list may have for it; without suffix only where one has it."""
    common = posixpath.commonpath([posixpath.dirname(path) for path in paths])
    short: dict[str, int] = {}
    whole: dict[str, int] = {}
    for number, path in enumerate(map(nfc, paths)):
        for name in {path, path[len(nfc(common)) :].lstrip("/")}:
            whole[name] = number
            stem = posixpath.splitext(name)[0]
            short[stem] = -1 if stem in short else number
    return {**{stem: number for stem, number in short.items() if number >= 0}, **whole}
