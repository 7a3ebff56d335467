"""What each image file of a folder is: its size, or why it cannot be used.

    >>> survey(tree, ["1.png", "2.png"], whole=True, report=print)[0]     # (h, w, c)
    checked 2 of 2 images
    Fact(size=(375, 500, 3), fault='')

A survey is cached by the content of its files, so that files which did not change are not read again, and a file that
was mended is.
"""

import functools
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from runner import cores
from runner.data import sealed
from runner.data.decode import decoder, opened, short_digest, size_of, without_warnings
from runner.data.deep_images import read_values, size_of_values
from runner.data.download import cache_folder
from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.pixels.depth import bits_of
from runner.data.source import ImageSize
from runner.data.threads import in_tenths, in_threads
from runner.errors import DataError


class Fact(NamedTuple):
    """The size of an upright image, (h, w, c), or the fault of a file that cannot be used."""

    size: tuple[int, int, int] | None
    fault: str = ""


def survey(
    tree: FileTree, paths: Sequence[str], *, whole: bool, report: Report, keeps_depth: bool = False
) -> list[Fact]:
    """The fact of each file. If `whole`, images are decoded to the end; else only their headers are read.

    If images are to keep their depth (see `depth`), all are decoded.
    """
    sizes = _deep if keeps_depth else functools.partial(_seen, whole=whole)
    how = (decoder(), whole, "depth: keep") if keeps_depth else (decoder(), whole)
    found = _remembered(tree, paths, how, lambda: _surveyed(tree, paths, sizes, report))
    return [Fact(None if size is None else tuple(size), fault) for size, fault in found]


def bits(tree: FileTree, paths: Sequence[str]) -> list[int]:
    """The bits of a channel in each file, 8 or 16; 0 for a file that cannot be read."""

    def look(path: str) -> int:
        try:
            return opened(tree, path, bits_of)
        except DataError:
            return 0

    def found() -> list[int]:
        with without_warnings():
            return [look(path) for path in paths]

    return list(_remembered(tree, paths, (decoder(), "bits"), found))


def _remembered(tree: FileTree, paths: Sequence[str], how: tuple[object, ...], find: Callable[[], Any]) -> Any:
    """What `find` returns, as JSON has it, from the cache if the files are the same. `how` says what is found."""
    folder = cache_folder() / "surveys"
    key = short_digest(repr((*how, list(paths))).encode())
    if any(folder.glob(f"{key}*.sealed")) and (name := _name(tree, paths, key)):
        content = sealed.read(folder / name)
        if content is not None:
            return json.loads(content.tobytes())
    found = find()
    if name := _name(tree, paths, key):
        with suppress(OSError):  # without a cache the files are read again
            sealed.write(folder / name, json.dumps(found).encode())
    return found


def _name(tree: FileTree, paths: Sequence[str], key: str) -> str:
    """The name of a survey in the cache; empty if a file cannot be read."""
    try:
        return f"{key}{short_digest(b''.join(tree.digests(paths)))}.sealed"
    except (DataError, OSError):
        return ""


def _seen(tree: FileTree, path: str, *, whole: bool) -> ImageSize:
    return opened(tree, path, lambda image: size_of(image, whole=whole))


def _deep(tree: FileTree, path: str) -> ImageSize:
    return size_of_values(read_values(tree, path))


def _surveyed(
    tree: FileTree, paths: Sequence[str], size: Callable[[FileTree, str], ImageSize], report: Report
) -> list[Fact]:
    found = [Fact(None)] * len(paths)

    def look(index: int) -> None:
        try:
            found[index] = Fact(size(tree, paths[index]).shape)
        except DataError as error:
            found[index] = Fact(None, error.faults[0].text)

    with without_warnings():
        progress = in_tenths(len(paths), "checked", "images", report=report)
        in_threads(len(paths), look, threads=min(cores.available(), 16), progress=progress)
    return found
