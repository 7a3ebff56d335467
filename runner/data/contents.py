"""Digests of files, computed once and remembered by what the file system says of each file.

    >>> Digests("sha256", memory, files=len(paths)).of(paths)

A file counts as unchanged while its device, inode, size, time of modification (mtime) and time of any change (ctime)
stay. A file that changed a moment ago is read again at the next start, since it may change again at the same time of
the clock ("racy git": https://git-scm.com/docs/racy-git).
"""

import functools
import hashlib
import os
import stat
import struct
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from runner.data import sealed
from runner.data.threads import in_threads
from runner.errors import DataError, must

# The coarsest clock of a file system in use, that of FAT.
_CLOCK_NANOSECONDS: Final = 2 * 10**9
_FACTS: Final = struct.Struct("<5Q")  # device, inode, size, mtime, ctime
_THREADS: Final = 16
_SPARE: Final = 1000  # entries that a memory may hold beyond two for each file


class Digests:
    """The digests of files by one of hashlib's algorithms. A file keeps the digest that it is first found to have.

    `memory` is a file of the cache that remembers them for the next start, for so many `files`.
    """

    def __init__(self, algorithm: str, memory: Path, *, files: int) -> None:
        self._algorithm = algorithm
        self._bytes = hashlib.new(algorithm, usedforsecurity=False).digest_size
        self._memory = memory
        self._most = 2 * files + _SPARE
        self._found: dict[Path, bytes] = {}
        self._settled: dict[bytes, bytes] = {}  # by facts, to be remembered

    def of(self, paths: Sequence[Path]) -> list[bytes]:
        """The digest of each file; none is read that was read before or is remembered.

        Raises OSError, or DataError where a path is no regular file.
        """
        for path in paths:
            if path not in self._found and (digest := self._known.get(_facts(regular(path)))) is not None:
                self._found[path] = digest
        unknown = [path for path in paths if path not in self._found]
        in_threads(len(unknown), lambda index: self._hash(unknown[index]), threads=_THREADS)
        self._remember()
        return [self._found[path] for path in paths]

    def read(self, path: Path, *, most: int) -> bytes:
        """The content of a file, whose digest is then known without reading it again.

        Raises DataError where it has more than `most` bytes, or is not what its digest was of.
        """
        started, before = time.time_ns(), regular(path)
        content = _content(path, before, most)
        self._note(path, before, started, hashlib.new(self._algorithm, content, usedforsecurity=False).digest())
        return content

    def _hash(self, path: Path) -> None:
        started, before = time.time_ns(), regular(path)
        self._note(path, before, started, self._digest(path))

    def _digest(self, path: Path) -> bytes:
        with path.open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(self._algorithm, usedforsecurity=False)).digest()

    def _note(self, path: Path, before: os.stat_result, started: int, digest: bytes) -> None:
        if self._found.setdefault(path, digest) != digest:
            raise DataError(must(str(path), "stay as it is while it is read", "another content"))
        after = path.stat()
        # Remembered are files that reading left as they were, and that last changed more than a step of the clock ago.
        if _facts(after) == _facts(before) and max(after.st_mtime_ns, after.st_ctime_ns) < started - _CLOCK_NANOSECONDS:
            self._settled[_facts(before)] = digest

    @functools.cached_property
    def _known(self) -> dict[bytes, bytes]:
        """The digests of earlier starts, by facts."""
        content = sealed.read(self._memory)
        rows = b"" if content is None else content.tobytes()
        size = _FACTS.size + self._bytes
        if len(rows) % size:
            return {}
        starts = range(0, len(rows), size)
        return {rows[start : start + _FACTS.size]: rows[start + _FACTS.size : start + size] for start in starts}

    def _remember(self) -> None:
        """Adds what is new; where there are too many, the oldest, whose files have changed or are gone, make room."""
        if self._settled.items() <= self._known.items():
            return
        self._known = dict(list((self._known | self._settled).items())[-self._most :])
        with suppress(OSError):  # without a memory the files are read again
            sealed.write(self._memory, b"".join(fact + digest for fact, digest in self._known.items()))


def content_of(path: Path, *, most: int) -> bytes:
    """The content of a regular file of at most so many bytes. Raises DataError where it is larger."""
    return _content(path, regular(path), most)


def _content(path: Path, found: os.stat_result, most: int) -> bytes:
    if found.st_size > most:
        raise too_large(str(path), found.st_size, most)
    return path.read_bytes()


def too_large(place: str, size: int, most: int) -> DataError:
    """The error for a file of `size` bytes where `most` are allowed."""
    return DataError(must(place, f"have {most:,} bytes at most", f"{size:,}"))


def regular(path: Path) -> os.stat_result:
    """What the file system says of a file; raises DataError where it is a folder, a device or a pipe."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise DataError(must(str(path), "be a regular file", "a folder, a device or a pipe"))
    return found


def _facts(found: os.stat_result) -> bytes:
    values = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return _FACTS.pack(*(value % 2**64 for value in values))
