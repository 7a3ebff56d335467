"""Digests of files, cached between starts.

    >>> Digests("sha256", cache_file, files=len(paths)).of(paths)

A file counts as unchanged if its device, inode, size, mtime and ctime are unchanged. A file that changed less than two
seconds ago is read again at the next start: a second change within one tick of the clock would have the same time
("racy git": https://git-scm.com/docs/racy-git).
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

# The coarsest file system clock in use, that of FAT.
_CLOCK_NANOSECONDS: Final = 2 * 10**9
_STAT: Final = struct.Struct("<5Q")  # device, inode, size, mtime, ctime
_THREADS: Final = 16
AnyPath = str | Path
SPARE: Final = 1000  # entries that a cache file may have beyond two for each file


class Digests:
    """Digests of files by one of hashlib's algorithms. The first digest of each file is kept.

    `cache_file` stores the digests for the next start; `files` is the number of files. Many paths are best given as
    strings: to make 60,000 Path objects and to hash them takes longer than all the rest.
    """

    def __init__(self, algorithm: str, cache_file: Path, *, files: int) -> None:
        self._algorithm = algorithm
        self._bytes = hashlib.new(algorithm, usedforsecurity=False).digest_size
        self._cache_file = cache_file
        self._max_entries = 2 * files + SPARE
        self._by_path: dict[AnyPath, bytes] = {}
        self._by_stat: dict[bytes, bytes] = {}  # of files whose digests may be cached

    def of(self, paths: Sequence[AnyPath]) -> list[bytes]:
        """The digest of each file. Only files without a known digest are read.

        Raises OSError, or DataError if a path is not a regular file.
        """
        for path in paths:
            if path not in self._by_path and (digest := self._cached.get(stat_key(regular_file(path)))) is not None:
                self._by_path[path] = digest
        unknown = [path for path in paths if path not in self._by_path]
        in_threads(len(unknown), lambda index: self._hash(unknown[index]), threads=_THREADS)
        self._save()
        return [self._by_path[path] for path in paths]

    def read(self, path: AnyPath, *, max_bytes: int) -> bytes:
        """Returns the content of a file and computes its digest from it.

        Raises DataError if it exceeds `max_bytes`, or if its content changed since its digest was computed.
        """
        started, before = time.time_ns(), regular_file(path)
        content = _content(path, before, max_bytes)
        self._note(path, before, started, hashlib.new(self._algorithm, content, usedforsecurity=False).digest())
        return content

    def _hash(self, path: AnyPath) -> None:
        started, before = time.time_ns(), regular_file(path)
        self._note(path, before, started, self._digest(path))

    def _digest(self, path: AnyPath) -> bytes:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, lambda: hashlib.new(self._algorithm, usedforsecurity=False)).digest()

    def _note(self, path: AnyPath, before: os.stat_result, started: int, digest: bytes) -> None:
        if self._by_path.setdefault(path, digest) != digest:
            raise DataError(must(str(path), "stay unchanged while it is read", "other content"))
        after = os.stat(path)  # noqa: PTH116 - without a Path object
        # Cached only if the file did not change during reading, nor within one tick of the clock before.
        if stat_key(after) == stat_key(before) and settled(after, started):
            self._by_stat[stat_key(before)] = digest

    @functools.cached_property
    def _cached(self) -> dict[bytes, bytes]:
        """The digests of earlier starts, by `stat_key`."""
        content = sealed.read(self._cache_file)
        rows = b"" if content is None else content.tobytes()
        size = _STAT.size + self._bytes
        if len(rows) % size:
            return {}
        starts = range(0, len(rows), size)
        return {rows[start : start + _STAT.size]: rows[start + _STAT.size : start + size] for start in starts}

    def _save(self) -> None:
        """Adds new digests to the cache file. If there are too many, the oldest are dropped: their files changed."""
        if self._by_stat.items() <= self._cached.items():
            return
        self._cached = dict(list((self._cached | self._by_stat).items())[-self._max_entries :])
        with suppress(OSError):  # without a cache file the files are read again
            sealed.write(self._cache_file, b"".join(key + digest for key, digest in self._cached.items()))


def content_of(path: AnyPath, *, max_bytes: int) -> bytes:
    """Returns the content of a regular file. Raises DataError if it exceeds `max_bytes`."""
    return _content(path, regular_file(path), max_bytes)


def _content(path: AnyPath, found: os.stat_result, max_bytes: int) -> bytes:
    if found.st_size > max_bytes:
        raise too_large(str(path), found.st_size, max_bytes)
    return Path(path).read_bytes()


def too_large(place: str, size: int, max_bytes: int) -> DataError:
    """The error for a file of `size` bytes if only `max_bytes` are allowed."""
    return DataError(must(place, f"have at most {max_bytes:,} bytes", f"{size:,}"))


def regular_file(path: AnyPath) -> os.stat_result:
    """Returns the stat of a file. Raises DataError if it is a folder, a device or a pipe."""
    found = os.stat(path)  # noqa: PTH116 - without a Path object
    if not stat.S_ISREG(found.st_mode):
        raise DataError(must(str(path), "be a regular file", "a folder, a device or a pipe"))
    return found


def settled(found: os.stat_result, nanoseconds: int) -> bool:
    """Whether a file did not change within one tick of the clock before a time, in nanoseconds since 1970."""
    return max(found.st_mtime_ns, found.st_ctime_ns) < nanoseconds - _CLOCK_NANOSECONDS


def stat_key(found: os.stat_result) -> bytes:
    """What tells that a file is unchanged: its device, inode, size, mtime and ctime."""
    values = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
    return _STAT.pack(*(value % 2**64 for value in values))
