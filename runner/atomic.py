"""Files that are written whole: a reader sees the content before or after, also if the writer is killed.

>>> write(Path("notes.txt"), b"first, ", b"second")
"""

import os
import secrets
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

PARTIAL: Final = ".part"
"""The ending of a file that is being written; one that is old was left by a process that was killed."""


def write(path: Path, *parts: bytes | np.ndarray) -> None:
    """Writes the parts, one after another, to a file in an existing folder.

    Several processes may write the same file: it then has the content of one of them. Raises OSError if it cannot be
    written; what was there before is then unchanged.
    """
    write_from(parts, draft=path.parent / f"{secrets.token_hex(8)}{PARTIAL}", path=lambda: path)


def write_from(parts: Iterable[bytes | np.ndarray], *, draft: Path, path: Callable[[], Path]) -> None:
    """Writes the parts as they come to `draft`, a new file, and then renames it to `path()`, in the same folder.

    Raises OSError if it cannot be written. Whatever is raised, the draft is deleted, unless the process is killed.
    """
    try:
        with draft.open("xb") as file:  # permissions follow the umask, so that a group can share a cache
            for content in parts:
                file.write(memoryview(content))  # type: ignore[arg-type]  # NumPy declares no buffers to Python 3.11
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path())
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    persist(draft.parent)


def persist(path: Path) -> None:
    """Waits until a file, or the entries of a folder, are on the disk, in case of a power failure."""
    with suppress(OSError):  # Windows cannot open folders
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
