"""`runner cache [clear=images|programs|all]`: what is kept on disk to start faster, and clears it."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from runner.records import Record
from runner.verb import Asked, SettingsVerb

if TYPE_CHECKING:
    from runner.data.image_cache import Entry


class Cache(Record):
    """What is cleared.

    Decoded images and compiled programs are made again when they are needed. Downloaded data sets are kept.

    CONVRUNNER_CACHE names the folder. CONVRUNNER_CACHE_SIZE, such as 20GB, limits the decoded images; without it they
    take at most a fifth of the free disk space. Those that were used least recently are deleted first.
    """

    clear: Literal["images", "programs", "all"] | None = Field(
        None, description="Deletes decoded images, compiled programs, or all of both; null = shows what there is."
    )


_PROGRAMS, _IMAGES, _STATISTICS = "programs", "images", "statistics"
# What is in the folders of the cache; others have the names of data sets that were downloaded.
_KINDS: Final = {
    _IMAGES: "decoded images",
    _PROGRAMS: "compiled programs",
    "contents": "digests of files",
    _STATISTICS: "statistics",
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
        freed = image_cache.clear() if settings.clear in (_IMAGES, "all") else 0
        freed += _cleared(folder / _PROGRAMS) if settings.clear in (_PROGRAMS, "all") else 0
        freed += _cleared(folder / _STATISTICS) if settings.clear == "all" else 0
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
        images = f"{count:,} of {'×'.join(map(str, shape))}"
        table.add_row(images, decimal(entry.size_bytes), age_text(time.time() - entry.used), entry.about)
    return table


def _kinds(folder: Path) -> Iterator[tuple[str, int, int]]:
    """What is in the cache: the name of each kind, its files, and their bytes."""
    for place in sorted(path for path in folder.glob("*") if path.is_dir()):
        sizes = [path.stat().st_size for path in place.rglob("*") if path.is_file()]
        if sizes:
            yield _KINDS.get(place.name, place.name), len(sizes), sum(sizes)


def _cleared(folder: Path) -> int:
    """Deletes the files of a folder. Returns the bytes that were freed."""
    freed = 0
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        size = path.stat().st_size
        path.unlink(missing_ok=True)
        freed += size
    return freed


VERB = SettingsVerb(Cache, show, reads_store=False, examples=("", "clear=images"))
