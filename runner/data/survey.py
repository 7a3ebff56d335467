"""What each image file of a folder is: its size, or why it cannot be used.

    >>> survey(tree, ["1.png", "2.png"], whole=True, report=print)[0]     # (h, w, c)
    checked 2 of 2 images
    Fact(size=(375, 500, 3), fault='')

A survey is cached by the content of its files, so that files which did not change are not read again, and a file that
was mended is.
"""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from runner import cores
from runner.data import sealed
from runner.data.decode import decoder, opened, short_digest, size_of, without_warnings
from runner.data.download import cache_folder
from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.threads import in_tenths, in_threads
from runner.errors import DataError


class Fact(NamedTuple):
    """The size of an upright image, (h, w, c), or the fault of a file that cannot be used."""

    size: tuple[int, int, int] | None
    fault: str = ""


def survey(tree: FileTree, paths: Sequence[str], *, whole: bool, report: Report) -> list[Fact]:
    """The fact of each file. If `whole`, images are decoded to the end; else only their headers are read."""
    folder = cache_folder() / "surveys"
    key = short_digest(repr((decoder(), whole, list(paths))).encode())
    if any(folder.glob(f"{key}*.sealed")) and (name := _name(tree, paths, key)):
        content = sealed.read(folder / name)
        if content is not None:
            return [Fact(None if size is None else tuple(size), fault) for size, fault in json.loads(content.tobytes())]
    facts = _surveyed(tree, paths, whole=whole, report=report)
    if name := _name(tree, paths, key):
        with suppress(OSError):  # without a cache the files are read again
            sealed.write(folder / name, json.dumps(facts).encode())
    return facts


def _name(tree: FileTree, paths: Sequence[str], key: str) -> str:
    """The name of a survey in the cache; empty if a file cannot be read."""
    try:
        return f"{key}{short_digest(b''.join(tree.digests(paths)))}.sealed"
    except (DataError, OSError):
        return ""


def _surveyed(tree: FileTree, paths: Sequence[str], *, whole: bool, report: Report) -> list[Fact]:
    found = [Fact(None)] * len(paths)

    def look(index: int) -> None:
        try:
            found[index] = Fact(opened(tree, paths[index], lambda image: size_of(image, whole=whole)).shape)
        except DataError as error:
            found[index] = Fact(None, error.faults[0].text)

    with without_warnings():
        progress = in_tenths(len(paths), "checked", "images", report=report)
        in_threads(len(paths), look, threads=min(cores.available(), 16), progress=progress)
    return found
