"""`runner cache [clear=images|programs|all]`: what is kept on disk to start faster, and clears it."""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from runner.records import Record
from runner.verb import Asked, SettingsVerb

if TYPE_CHECKING:
    from runner.data.image_cache import Entry


class Cache(Record):
    """What is cleared.

    What is cleared is made again when it is needed. Downloaded data sets are kept.

    CONVRUNNER_CACHE names the folder. CONVRUNNER_CACHE_SIZE, such as 20GB, limits the decoded images; without it they
    take at most a fifth of the free disk space. Those that were used least recently are deleted first.
    """

    clear: Literal["images", "programs", "all"] | None = Field(
        None,
        description="Deletes decoded images, compiled programs, or all, with what was measured on files (digests, "
        "sizes, statistics); null = shows what there is.",
    )


_PROGRAMS, _IMAGES = "programs", "images"
# What is in the folders of the cache, and is made again; others have the names of data sets that were downloaded.
_KINDS: Final = {
    _IMAGES: "decoded images",
    _PROGRAMS: "compiled programs",
    "contents": "digests of files",
    "surveys": "sizes and faults of files",
    "statistics": "means and deviations",
}
_SHOWN: Final = 20


def show(settings: Cache, asked: Asked) -> int:
    """Prints what there is, or clears it and prints what was freed."""
    from rich.console import Console
    from rich.filesize import decimal

    from runner.data import image_cache
    from runner.data.download import cache_folder

    del asked
    folder = cache_folder()
    if settings.clear is not None:
        chosen = list(_KINDS) if settings.clear == "all" else [settings.clear]
        freed = sum(image_cache.clear() if kind == _IMAGES else _cleared(folder / kind) for kind in chosen)
        print(f"{decimal(freed)} freed in {folder}")
        return 0
    console = Console(highlight=False, markup=False)
    found = image_cache.entries()
    if known := [entry for entry in found if entry.shape]:
        console.print(_table(known[:_SHOWN]))
    if others := len(found) - len(known[:_SHOWN]):
        console.print(f"and {others:,} more entries, used less recently, or of earlier versions")
    console.print(f"{folder}:", soft_wrap=True)
    for what, files, size in _kinds(folder):
        console.print(f"  {decimal(size):>10} of {what} ({files:,} file{'s' * (files != 1)})", soft_wrap=True)
    console.print(f"new decoded images may take up to {decimal(int(image_cache.room()))}", soft_wrap=True)
    return 0


def _table(found: "list[Entry]") -> Any:
    from rich.filesize import decimal
    from rich.table import Table

    from runner.tracking.listing import age_text

    table = Table(box=None, pad_edge=False)
    for heading in ("images", "size", "used ago"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("decoded from", overflow="fold")
    for entry in found:
        count, *shape = entry.shape
        images = f"{count:,} of {'×'.join(map(str, shape))}" if shape else f"{count:,} files"
        table.add_row(images, decimal(entry.size_bytes), age_text(time.time() - entry.used), entry.about)
    return table


def _kinds(folder: Path) -> Iterator[tuple[str, int, int]]:
    """What is in the cache: the name of each kind, its files, and their bytes."""
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        sizes = [size for _, size in _files(place)]
        if sizes:
            yield _KINDS.get(place.name, place.name), len(sizes), sum(sizes)


def _cleared(folder: Path) -> int:
    """Deletes the files of a folder. Returns the bytes that were freed."""
    freed = 0
    for path, size in list(_files(folder)):
        with suppress(OSError):  # another process has just deleted it, or may alone
            path.unlink()
            freed += size
    return freed


def _files(folder: Path) -> Iterator[tuple[Path, int]]:
    """The files of a folder with their sizes, without those that another process deletes meanwhile."""
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            try:
                size = path.stat().st_size
            except OSError:
                continue
            yield path, size


VERB = SettingsVerb(Cache, show, reads_store=False, examples=("", "clear=images"))
