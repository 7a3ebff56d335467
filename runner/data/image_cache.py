"""A cache of decoded images, and of images that are slow to read, indexed by the content of their files.

    >>> cached(key, (500, 32, 32, 3), about="/photos", digest=digest, decode=decode).dtype     # (n, h, w, c)
    dtype('uint8')

Images are written as they are decoded, some megabytes at a time, and then mapped into memory: a set larger than memory
is decoded and read, and processes that train on the same images share one copy. Reading an entry costs only the
checksum of `sealed`. One process decodes, while others that want the same images wait for it. If the entries exceed
their limit, those that were used least recently are deleted; a process that has mapped one keeps it.
"""

import json
import math
import os
import shutil
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from pydantic import ByteSize, TypeAdapter, ValidationError

from runner import atomic
from runner.data import sealed
from runner.data.download import cache_folder
from runner.data.locks import is_held, only_one
from runner.errors import ConfigError, must

FOLDER: Final = "images"
LIMIT: Final = "CONVRUNNER_CACHE_SIZE"
"""The variable of the environment that says how much all entries may take on disk together."""
# Without it: the share of the disk space that is free, or taken by entries.
_SHARE: Final = 0.2
# Of the free space that one entry may fill.
_FILLED: Final = 0.9
_ENTRY: Final = ".sealed"
_NOTE: Final = struct.Struct("<I")  # the length of the note in front of it
_NOTE_BYTES: Final = 1000  # of its text, at most


class Entry(NamedTuple):
    """Images on disk: what they were made from, their shape (n, h, w, c), of image files (n,), and their last use."""

    path: Path
    about: str
    shape: tuple[int, ...]
    size_bytes: int
    used: float  # seconds since 1970


class Wanted(NamedTuple):
    """What an entry holds: the images of `parts`, one part after the other, of `shape` (n, …); see `cached`.

    It takes `size_bytes`, more or less. `is_whole` tells if a content can be it. What finds damages itself needs not
    be `checked`, which reads all of it. `verb` says in messages what makes it.
    """

    key: str
    shape: tuple[int, ...]
    about: str
    digest: Callable[[], str]
    parts: Callable[[], Iterable[bytes | np.ndarray]]
    size_bytes: int
    is_whole: Callable[[np.ndarray], bool]
    checked: bool = True
    verb: str = "decodes"


def cached(
    key: str,
    shape: tuple[int, ...],
    *,
    about: str,
    digest: Callable[[], str],
    decode: Callable[[], Iterable[np.ndarray]],
    report: Callable[[str], None] = lambda line: None,
) -> np.ndarray:
    """Returns the images from the cache, uint8 of `shape`; if they are not there, decodes and stores them.

    `decode` makes the images part by part. `about` says in `entries` what they are.

    The name of an entry is two digests: `key`, of the files' paths and the way of decoding, and `digest()`, of their
    contents. If no entry has this key, the files are decoded first, so that they are read only once. Damaged entries
    are replaced. Nothing is stored if the limit is too small, or the disk is nearly full or read-only: the images are
    then decoded into memory. Raises ConfigError if `LIMIT` is no size.
    """
    size = math.prod(shape)
    wanted = Wanted(key, shape, about, digest, decode, size, lambda content: len(content) == size)
    if (found := stored(wanted, report=report)) is not None:
        return found.reshape(shape)
    images, start = np.empty(shape, np.uint8), 0
    for part in decode():
        images[start : start + len(part)] = part
        start += len(part)
    return images


def stored(wanted: Wanted, *, report: Callable[[str], None] = lambda line: None) -> np.ndarray | None:
    """The content of an entry, uint8 (size,), mapped into memory; made and stored if it is not there.

    None if it cannot be stored, as `cached` says. Raises ConfigError if `LIMIT` is no size.
    """
    folder, most = cache_folder() / FOLDER, _limit()

    def path() -> Path:
        return folder / f"{wanted.key}{wanted.digest()}{_ENTRY}"

    def known() -> np.ndarray | None:
        return _read(path(), wanted) if any(folder.glob(f"{wanted.key}*{_ENTRY}")) else None

    if (found := known()) is not None:
        return found
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.npy"):  # of versions whose entries were not indexed by content
            old.unlink(missing_ok=True)
        waiting = f"another process {wanted.verb} these images; waiting for it"
        with only_one(folder / f"{wanted.key}.lock", waiting=lambda: report(waiting)) as has_waited:
            if has_waited and (found := known()) is not None:
                return found
            if _make_room(folder, wanted.size_bytes + _NOTE_BYTES, most):
                return _written(folder / f"{wanted.key}{atomic.PARTIAL}", path, wanted)
    except OSError:
        pass
    return None


def room() -> float:
    """The bytes of the largest entry that can be stored now. Raises ConfigError if `LIMIT` is no size."""
    folder = cache_folder()
    while not folder.exists():
        folder = folder.parent
    return _most(folder, entries(), _limit())


def entries() -> list[Entry]:
    """The decoded images on disk, the latest used first."""
    found = []
    for path in (cache_folder() / FOLDER).glob(f"*{_ENTRY}"):
        with suppress(OSError):
            state = path.stat()
            about, shape = _noted(path)
            found.append(Entry(path, about, shape, state.st_size, state.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> int:
    """Deletes the decoded images on disk, and what killed processes left. Returns the bytes that were freed.

    Images that a process is decoding now are left to it, and a process that has mapped an entry keeps it.
    """
    folder = cache_folder() / FOLDER
    freed = 0
    for path in [*folder.glob(f"*{_ENTRY}"), *folder.glob(f"*{atomic.PARTIAL}"), *folder.glob("*.lock")]:
        if not is_held(path.with_suffix(".lock")):
            with suppress(OSError):
                size = path.stat().st_size
                path.unlink()
                freed += size
    return freed


def _written(draft: Path, path: Callable[[], Path], wanted: Wanted) -> np.ndarray:
    """Makes the content of an entry in a file, and maps it. Raises OSError."""
    note = json.dumps({"about": wanted.about[-_NOTE_BYTES // 2 :], "shape": wanted.shape}).encode()

    def parts() -> Iterator[bytes | np.ndarray]:
        yield from wanted.parts()
        yield note + _NOTE.pack(len(note))

    draft.unlink(missing_ok=True)  # of a process that was killed: nobody else writes it now
    sealed.write_from(parts(), draft=draft, path=path)
    content = _read(path(), wanted, is_new=True)
    if content is None:
        raise FileNotFoundError(path())
    return content


def _read(path: Path, wanted: Wanted, *, is_new: bool = False) -> np.ndarray | None:
    """The content of an entry, mapped; None if it is missing or damaged."""
    content = sealed.read(path, checked=wanted.checked and not is_new)
    if content is None or len(content) < _NOTE.size:
        return None
    [length] = _NOTE.unpack(content[-_NOTE.size :].data)
    end = len(content) - length - _NOTE.size
    if end < 0 or not wanted.is_whole(content[:end]):
        return None
    with suppress(OSError):
        os.utime(path)
    return content[:end]


def _noted(path: Path) -> tuple[str, tuple[int, ...]]:
    """What an entry says of itself; nothing if it is damaged. Raises OSError."""
    try:
        [length] = _NOTE.unpack(sealed.tail(path, _NOTE.size))
        note = json.loads(sealed.tail(path, min(length, _NOTE_BYTES) + _NOTE.size)[: -_NOTE.size])
        return str(note["about"]), tuple(map(int, note["shape"]))
    except (struct.error, ValueError, KeyError, TypeError):
        return "", ()


def _limit() -> int | None:
    """The bytes that `LIMIT` allows; None if it is not set."""
    given = os.environ.get(LIMIT)
    if not given:
        return None
    try:
        return int(TypeAdapter(ByteSize).validate_python(given))
    except ValidationError:
        raise ConfigError(must(LIMIT, "be a size such as 20GB", given)) from None


def _most(folder: Path, known: Sequence[Entry], limit: int | None) -> float:
    """The bytes that all entries may take: `limit`, if the disk has so much, or else a share of the disk."""
    space = shutil.disk_usage(folder).free + sum(entry.size_bytes for entry in known)
    return _SHARE * space if limit is None else min(limit, _FILLED * space)


def _make_room(folder: Path, size_bytes: int, most: int | None) -> bool:
    """Deletes the entries that were used least recently until one of this size fits. Returns whether it does."""
    known = entries()
    limit = _most(folder, known, most)
    if size_bytes > limit:
        return False
    taken = sum(entry.size_bytes for entry in known)
    for entry in reversed(known):
        if taken + size_bytes <= limit and size_bytes <= _FILLED * shutil.disk_usage(folder).free:
            break
        entry.path.unlink(missing_ok=True)
        taken -= entry.size_bytes
    return size_bytes <= _FILLED * shutil.disk_usage(folder).free
