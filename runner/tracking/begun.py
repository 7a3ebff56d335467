"""Which runs have begun, on disk from the first moment: before MLflow is imported, and if its store never answers.

A run's folder has `run.json`. Until the store has the run, a note beside the store names that folder, so that a run
that was killed before is found.

>>> write(folder, Begun(identity="ab12", name="lenet5", overrides=(), command="runner", uri="sqlite:///outputs/m.db"))
>>> read(folder).name
'lenet5'
"""

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Final

from runner import atomic
from runner.processes import Process
from runner.tracking.settings import database_file

RUN: Final = "run.json"
_NOTES: Final = ".begun"


@dataclass(frozen=True)
class Begun:
    """A run as its command began it. `identity` is a tag of the run in the store."""

    identity: str
    name: str
    overrides: tuple[str, ...]
    command: str
    uri: str  # of the store, without passwords
    began: float = field(default_factory=time.time)  # seconds since 1970
    process: str = field(default_factory=lambda: Process.here().text)
    working_folder: str = field(default_factory=lambda: str(Path.cwd()))  # from which relative paths count
    ended: str = ""  # FINISHED or FAILED; empty while it trains, and if it was killed


def write(folder: Path, begun: Begun) -> None:
    """Writes `run.json`. Raises OSError if it cannot be written."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{begun.identity}{atomic.PARTIAL}"
    part.write_text(json.dumps(asdict(begun), indent=1, ensure_ascii=False), encoding="utf-8")
    part.replace(folder / RUN)  # without waiting for the disk: a sweep has thousands of runs


def read(folder: Path) -> Begun | None:
    """What `run.json` of a folder says; None if there is none, or if it cannot be read."""
    try:
        found = json.loads((folder / RUN).read_text(encoding="utf-8"))
        return Begun(**{**found, "overrides": tuple(found["overrides"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def end(folder: Path, status: str) -> None:
    """Adds to `run.json` how the run ended. Raises OSError if it cannot be written."""
    if (found := read(folder)) is not None:
        write(folder, replace(found, ended=status))


def note(uri: str, identity: str, folder: Path) -> None:
    """Notes beside the store that a run has begun which the store does not have. Raises OSError."""
    path = _notes(uri) / identity
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(str(folder), encoding="utf-8")


def forget(uri: str, identity: str) -> None:
    """Removes the note: the store has the run, or the run left nothing."""
    with suppress(OSError):
        (_notes(uri) / identity).unlink(missing_ok=True)


def noted(uri: str) -> Iterator[tuple[Path, Begun]]:
    """The runs that a store does not have, by their notes: the folder of each, and what began there."""
    for path in sorted(_notes(uri).glob("*")):
        with suppress(OSError, UnicodeError):
            folder = Path(path.read_text(encoding="utf-8"))
            begun = read(folder)
            if begun is None or begun.identity != path.name:  # the folder was removed, or is another run's now
                path.unlink(missing_ok=True)
            else:
                yield folder, begun


def named(uri: str, start: str) -> tuple[Path, Begun] | None:
    """The only run that a store does not have whose identity begins with a text; None if there is not exactly one."""
    found = [one for one in noted(uri) if one[1].identity.startswith(start)]
    return found[0] if len(found) == 1 else None


def _notes(uri: str) -> Path:
    """The folder of notes, beside an SQLite store, else in `outputs`."""
    file = database_file(uri)
    return (file.parent if file else Path("outputs").absolute()) / _NOTES
