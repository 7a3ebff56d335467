"""What each image file of a folder is: its size, its kind, or why it cannot be used.

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
from typing import Any, NamedTuple, TypeVar

from runner.data import sealed
from runner.data.broken import BadFileError
from runner.data.decode import decoder, opened, short_digest, without_warnings
from runner.data.download import cache_folder
from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.pixels import shape_in
from runner.data.pixels.depth import bits_of, kind_in, shape_of_values
from runner.data.small_files import reader
from runner.data.threads import in_tenths
from runner.errors import DataError

T = TypeVar("T")


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
    use = shape_of_values if keeps_depth else functools.partial(shape_in, whole=whole)
    how = (decoder(), whole, "depth: keep") if keeps_depth else (decoder(), whole)

    def fact(found: tuple[int, int, int] | BadFileError) -> Fact:
        return Fact(None, found.faults[0].text) if isinstance(found, BadFileError) else Fact(found)

    found = _remembered(tree, paths, how, lambda: [fact(one) for one in _used(tree, paths, use, "checked", report)])
    return [Fact(None if size is None else tuple(size), fault) for size, fault in found]


def kinds(tree: FileTree, paths: Sequence[str], report: Report) -> list[tuple[str, str, str] | None]:
    """The format (`JPEG`), the mode of Pillow (`RGB`) and the size (`375×500×3`) of each file; None if it is bad."""

    def kind(found: tuple[str, str, str] | BadFileError) -> tuple[str, str, str] | None:
        return None if isinstance(found, BadFileError) else found

    found = _remembered(
        tree,
        paths,
        (decoder(), "kinds"),
        lambda: [kind(one) for one in _used(tree, paths, kind_in, "looked at", report)],
    )
    return [None if one is None else (one[0], one[1], one[2]) for one in found]


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


def _used(
    tree: FileTree, paths: Sequence[str], use: Callable[[bytes, str], T], verb: str, report: Report
) -> list[T | BadFileError]:
    """The result of `use` for each file."""
    found: dict[int, T | BadFileError] = {}
    with without_warnings(), reader(tree, paths) as each:
        each(paths, use, found.__setitem__, progress=in_tenths(len(paths), verb, "images", report=report))
    return [found[index] for index in range(len(paths))]
