"""Published files: found where the user keeps them, else in the cache and checked, else downloaded and checked."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from runner.data.contents import Digests
from runner.data.examples import Report
from runner.data.sealed import persist
from runner.errors import DataError, must
from runner.records import Record

TIMEOUT_SECONDS = 20


class Published(Record):
    """A file as it was published: its name, and the checksum that a download is held against."""

    file: str = Field(min_length=1, description="The file's name, under `root` and under each mirror.")
    checksum: str | None = Field(
        default=None,
        pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$",
        description="md5:… or sha256:… of the published file; without one it is not downloaded.",
    )

    @property
    def spellings(self) -> tuple[str, ...]:
        """The published name, and that of the file once it is unpacked."""
        return (self.file, self.file.removesuffix(".gz")) if self.file.endswith(".gz") else (self.file,)


def cache_folder() -> Path:
    """Where downloads are kept: CONVRUNNER_CACHE, else the system's folder for caches."""
    named = os.environ.get("CONVRUNNER_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("convrunner"))


def fetched(
    files: Sequence[Published], *, root: Path | None, mirrors: Sequence[str], folder: str, report: Report
) -> list[Path]:
    """Where each of the files lies: under `root`, else in the cache's `folder`, else downloaded there from a mirror.

    Files in `root` are taken as they are, for they may have been compressed anew. A file in the cache that lacks its
    checksum is downloaded again. Raises DataError that names every missing file where one of them cannot be had.
    """
    cache = cache_folder() / folder
    found = {wanted: _lying(wanted, root) or _cached(wanted, cache, report) for wanted in files}
    missing = [wanted for wanted, path in found.items() if path is None]
    for wanted in missing:
        try:
            found[wanted] = _downloaded(wanted, mirrors, cache, report)
        except (OSError, ValueError) as error:
            names = ", ".join(other.file for other in missing)
            rule = f"hold {names} (download failed: {_reason(error)}; nor are they in {cache})"
            raise DataError(must("data.root", rule, str(root) if root else None)) from error
    return [path for wanted in files if (path := found[wanted]) is not None]


def _lying(wanted: Published, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    return next((folder / name for name in wanted.spellings if (folder / name).is_file()), None)


def _cached(wanted: Published, cache: Path, report: Report) -> Path | None:
    """The file in the cache, if it still has its checksum."""
    path = _lying(wanted, cache)
    if path is None or path.name != wanted.file or wanted.checksum is None:
        return path
    algorithm, _, digest = wanted.checksum.partition(":")
    memory = cache_folder() / "contents" / f"{cache.name}-{algorithm}.sealed"
    [found] = Digests(algorithm, memory, files=1).of([path])
    if found.hex() == digest:
        return path
    report(f"{path} lacks its checksum ({wanted.checksum}) and is downloaded again")
    return None


def _downloaded(wanted: Published, mirrors: Sequence[str], cache: Path, report: Report) -> Path:
    if not mirrors or wanted.checksum is None:
        raise ValueError("no mirror and checksum are configured")
    import pooch

    pooch.get_logger().setLevel("ERROR")
    failures: list[Exception] = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{wanted.file}"
        report(f"downloading {url}")
        bar = _Bar(wanted.file) if sys.stderr.isatty() else None
        downloader = pooch.HTTPDownloader(
            progressbar=bar or False, timeout=TIMEOUT_SECONDS, hooks={"response": _close_refusal}
        )
        try:
            path = pooch.retrieve(url, wanted.checksum, fname=wanted.file, path=cache, downloader=downloader)
            persist(Path(path))
            persist(cache)
            return Path(path)
        except (OSError, ValueError) as error:  # requests' errors are OSErrors, a wrong checksum is a ValueError
            failures.append(error)
        finally:
            if bar:
                bar.close()
    raise failures[0]


def _close_refusal(response: Any, **arguments: object) -> None:
    """Pooch leaves the connection open where a server says no."""
    if not response.ok:
        response.close()


def _reason(error: Exception) -> str:
    """What went wrong in a few words: the innermost cause, without the library's wrapping."""
    cause: BaseException = error
    while inner := (cause.__cause__ or cause.__context__):
        cause = inner
    text = " ".join((getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).split())
    return text if len(text) <= 160 else text[:157] + "..."


class _Bar:
    """A progress bar of rich in the form of tqdm's, which is what pooch asks for."""

    def __init__(self, name: str) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name, total=None)
        self._progress.start()

    @property
    def total(self) -> Any:
        return self._progress.tasks[0].total

    @total.setter
    def total(self, size_bytes: int) -> None:
        self._progress.update(self._task, total=size_bytes or None)

    def update(self, size_bytes: int) -> None:
        self._progress.advance(self._task, size_bytes)

    def reset(self) -> None:
        self._progress.update(self._task, completed=0)

    def close(self) -> None:
        self._progress.stop()
