"""Published data files: from the user's folder, else from the cache, else downloaded; the last two are checked."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import Field

from runner.atomic import persist
from runner.data.digests import Digests
from runner.data.examples import Report
from runner.errors import DataError, must
from runner.records import Record

TIMEOUT_SECONDS = 20


class Published(Record):
    """A published file: its name, and the checksum that a download must have."""

    file: str = Field(min_length=1, description="File name, in `root` and on each mirror.")
    checksum: str | None = Field(
        default=None,
        pattern=r"^(md5:[0-9a-f]{32}|sha256:[0-9a-f]{64})$",
        description="md5:… or sha256:… of the published file; a file without a checksum is never downloaded.",
    )

    @property
    def names(self) -> tuple[str, ...]:
        """The published name, and the name of the unpacked file."""
        return (self.file, self.file.removesuffix(".gz")) if self.file.endswith(".gz") else (self.file,)


def cache_folder() -> Path:
    """The folder of downloads: CONVRUNNER_CACHE, else the cache folder of the system."""
    named = os.environ.get("CONVRUNNER_CACHE")
    if named:
        return Path(named).expanduser()
    import pooch

    return Path(pooch.os_cache("convrunner"))


def fetched(
    files: Sequence[Published], *, root: Path | None, mirrors: Sequence[str], folder: str, report: Report
) -> list[Path]:
    """Returns the path of each file: in `root`, else in the cache's `folder`, else downloaded there from a mirror.

    Checksums of files in `root` are not checked, since a user may have compressed them again. A file in the cache with
    a wrong checksum is downloaded again. Raises DataError that names all missing files if a download fails.
    """
    cache = cache_folder() / folder
    found = {wanted: _existing(wanted, root) or _cached(wanted, cache, report) for wanted in files}
    missing = [wanted for wanted, path in found.items() if path is None]
    for wanted in missing:
        try:
            found[wanted] = _downloaded(wanted, mirrors, cache, report)
        except (OSError, ValueError) as error:
            names = ", ".join(other.file for other in missing)
            rule = f"hold {names} (download failed: {_reason(error)}; nor are they in {cache})"
            raise DataError(must("data.root", rule, str(root) if root else None)) from error
    return [path for wanted in files if (path := found[wanted]) is not None]


def _existing(wanted: Published, folder: Path | None) -> Path | None:
    if folder is None:
        return None
    return next((folder / name for name in wanted.names if (folder / name).is_file()), None)


def _cached(wanted: Published, cache: Path, report: Report) -> Path | None:
    """The file in the cache, if its checksum is right."""
    path = _existing(wanted, cache)
    if path is None or path.name != wanted.file or wanted.checksum is None:
        return path
    algorithm, _, digest = wanted.checksum.partition(":")
    cache_file = cache_folder() / "contents" / f"{cache.name}-{algorithm}.sealed"
    [found] = Digests(algorithm, cache_file, files=1).of([path])
    if found.hex() == digest:
        return path
    report(f"{path} has a wrong checksum (expected {wanted.checksum}) and is downloaded again")
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
    """Closes the connection if the server refuses; Pooch would leave it open."""
    if not response.ok:
        response.close()


def _reason(error: Exception) -> str:
    """The innermost cause of an error, in at most 160 characters."""
    cause: BaseException = error
    while inner := (cause.__cause__ or cause.__context__):
        cause = inner
    text = " ".join((getattr(cause, "strerror", None) or str(cause) or type(cause).__name__).split())
    return text if len(text) <= 160 else text[:157] + "..."


class _Bar:
    """A progress bar of Rich with the interface of tqdm's, as Pooch needs it."""

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
