"""Digests of files, computed once and remembered by what the file system says of each file.

    >>> Digests("sha256", memory).of(paths)

A file counts as unchanged while its device, inode, size, time of modification (mtime) and time of any change (ctime)
stay. A file that changed a moment ago is read again at the next start, since it may change again at the same time of
the clock ("racy git": https://git-scm.com/docs/racy-git).
"""

import hashlib
import os
import stat
import struct
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

from runner.data import sealed
from runner.errors import DataError, must

# The coarsest clock of a file system in use, that of FAT.
_CLOCK_NANOSECONDS: Final = 2 * 10**9
_FACTS: Final = struct.Struct("<5Q")  # device, inode, size, mtime, ctime
_BATCH: Final = 200  # files that a thread reads at a time
_THREADS: Final = 16
_SPARE: Final = 1000  # entries that a memory may hold beyond twice the files of the last call


class Digests:
    """The digests of files by one of hashlib's algorithms; `memory` is a file of the cache."""

    def __init__(self, algorithm: str, memory: Path) -> None:
        self._algorithm = algorithm
        self._bytes = hashlib.new(algorithm, usedforsecurity=False).digest_size
        self._memory = memory
        self._known: dict[bytes, bytes] | None = None

    def of(self, paths: Sequence[Path]) -> list[bytes]:
        """The digest of each file. Raises OSError, or DataError where a path is no regular file."""
        if self._known is None:
            self._known = self._remembered()
        started = time.time_ns()
        facts = [_facts(regular(path)) for path in paths]
        unknown = [index for index, fact in enumerate(facts) if fact not in self._known]
        fresh = dict(zip(unknown, self._computed([paths[index] for index in unknown]), strict=True))
        found = [fresh[index] if index in fresh else self._known[fact] for index, fact in enumerate(facts)]
        # Remembered are files that reading left as they were, and that last changed more than a step of the clock ago.
        settled = {
            facts[index]: digest
            for index, digest in fresh.items()
            if (after := paths[index].stat())
            and _facts(after) == facts[index]
            and max(after.st_mtime_ns, after.st_ctime_ns) < started - _CLOCK_NANOSECONDS
        }
        if settled:
            self._remember(settled, most=2 * len(paths) + _SPARE)
        return found

    def _computed(self, paths: Sequence[Path]) -> list[bytes]:
        """The digests of files, read in threads: hashing lets other threads run."""

        def digests(start: int) -> list[bytes]:
            return [self._digest(path) for path in paths[start : start + _BATCH]]

        pool = ThreadPoolExecutor(_THREADS)
        try:
            return [digest for batch in pool.map(digests, range(0, len(paths), _BATCH)) for digest in batch]
        finally:
            pool.shutdown(cancel_futures=True)

    def _digest(self, path: Path) -> bytes:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(self._algorithm, usedforsecurity=False)).digest()

    def _remembered(self) -> dict[bytes, bytes]:
        content = sealed.read(self._memory)
        rows = b"" if content is None else content.tobytes()
        size = _FACTS.size + self._bytes
        if len(rows) % size:
            return {}
        starts = range(0, len(rows), size)
        return {rows[start : start + _FACTS.size]: rows[start + _FACTS.size : start + size] for start in starts}

    def _remember(self, settled: dict[bytes, bytes], *, most: int) -> None:
        """Adds these; of more than `most` entries the oldest, whose files have changed or are gone, make room."""
        self._known = dict(list(((self._known or {}) | settled).items())[-most:])
        with suppress(OSError):  # without a memory the files are read again
            sealed.write(self._memory, b"".join(fact + digest for fact, digest in self._known.items()))


def regular(path: Path) -> os.stat_result:
    """What the file system says of a file; raises DataError where it is a folder, a device or a pipe."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise DataError(must(str(path), "be a regular file", "a folder, a device or a pipe"))
    return found


def _facts(found: os.stat_result) -> bytes:
    values = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return _FACTS.pack(*(value % 2**64 for value in values))
