"""Output folders: each belongs to one run or one sweep, and is created before anything is written.

Two commands that start in the same second ask for the same folder. Making a folder is atomic, so one of them gets it
and the other takes the next name: `05-12-33`, `05-12-33-02`, `05-12-33-03`. A folder that the user names is used
unchanged, unless it contains another run.
"""

import fcntl
import itertools
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from runner.errors import ConfigError, must

RUN, SWEEP = "hydra.run.dir", "hydra.sweep.dir"
MULTIRUN: Final = "multirun.yaml"
_records: dict[Path, Path] = {}  # by folder that the user named, the subfolder by which this process claimed it


def make(path: Path) -> Path:
    """Makes a new folder, at `path` or at the first of `path-02`, `path-03`, … that does not exist."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for count in itertools.count(1):
        folder = path if count == 1 else path.with_name(f"{path.name}-{count:02}")
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        return folder
    raise AssertionError("counting never ends")


def claim_for_run(folder: Path, record: str) -> None:
    """Claims a folder that the user named for this run, by creating `record`, Hydra's subfolder.

    Raises ConfigError if the subfolder of another run exists.
    """
    subfolder = folder / record
    subfolder.parent.mkdir(parents=True, exist_ok=True)
    try:
        subfolder.mkdir()
    except FileExistsError:
        raise ConfigError(must(RUN, "be a folder that holds no other run", short(folder))) from None
    _records[folder.absolute()] = subfolder


def release(folder: Path) -> None:
    """Undoes `claim_for_run` of this process, for a run that did not begin."""
    if (subfolder := _records.pop(folder.absolute(), None)) is not None:
        shutil.rmtree(subfolder, ignore_errors=True)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Lets no other process train in a folder during the block. Raises ConfigError if one does."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which ends with the process, however it ends
        except BlockingIOError:
            raise ConfigError(must("run", "be a run that no other process trains", short(folder))) from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def claim_for_sweep(folder: Path, heading: str = "") -> None:
    """Claims a folder for a sweep, by a `multirun.yaml` that begins with the line `heading`.

    Raises ConfigError if the folder has the `multirun.yaml` of another sweep.
    """
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / MULTIRUN
    draft = (
        folder / f".{MULTIRUN}-{uuid.uuid4().hex}"
    )  # not by `tempfile`, whose files are readable by their owner only
    draft.write_text(heading, encoding="utf-8")
    try:
        if not _linked(draft, file) and (not heading or _first_line(file) != heading):
            raise ConfigError(must(SWEEP, "be a folder that holds no other sweep", short(folder)))
    finally:
        draft.unlink(missing_ok=True)


def is_of_sweep(folder: Path, heading: str) -> bool:
    """Whether a folder is that of the sweep with this heading; not if it is on another machine."""
    try:
        return _first_line(folder / MULTIRUN) == heading
    except OSError:
        return False


def _linked(draft: Path, file: Path) -> bool:
    """Links a draft to its final name. Returns false if the file exists."""
    try:
        os.link(draft, file)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        try:
            with file.open("xb") as target:
                target.write(draft.read_bytes())
        except FileExistsError:
            return False
    return True


def _first_line(file: Path) -> str:
    with file.open(encoding="utf-8", errors="replace") as text:
        return text.readline()


def short(folder: Path) -> Path:
    """A folder relative to the current folder, if it is inside it."""
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder
