"""The entries of a .tar, read header by header; contents are skipped.

>>> [(entry.name, entry.size) for entry in entries(descriptor, "photos.tar")]
[('1.jpg', 3), ('1.cls', 1)]

Python's tarfile keeps an object for each entry, takes 0.1 ms for it, and takes a broken header for the end of the file.
Reads ustar, pax and GNU headers (POSIX.1-2017, pax; GNU tar manual, Basic Tar Format).
"""

import os
from collections.abc import Iterator
from typing import Final, NamedTuple

from runner.errors import DataError, must

BLOCK: Final = 512
_WINDOW: Final = 8 * BLOCK  # read at once: headers of small neighbours, and the content of a label
_CHECKSUM: Final = slice(148, 156)
_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL, _SPARSE = b"L", b"K", b"x", b"g", b"S"
_LINKS: Final = (b"1", b"2")
_WITHOUT_CONTENT: Final = (*_LINKS, b"3", b"4", b"5", b"6")  # links, devices, folders, pipes
_NO_FILES: Final = (b"3", b"4", b"5", b"6", b"V", b"M", b"N")
_LONGEST: Final = 2**20  # bytes of a long name, or of a pax header


class Entry(NamedTuple):
    """A file in the .tar: its name, where its content begins, and its size, in bytes; why it has no own content."""

    name: str
    offset: int
    size: int
    fault: str = ""


class _Window:
    """Reads a file forwards, some blocks at a time."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._start, self._content = descriptor, 0, b""

    def at(self, offset: int, size: int) -> bytes:
        """So many bytes from there on; fewer where the file ends."""
        if not self._start <= offset <= offset + size <= self._start + len(self._content):
            self._start, self._content = offset, os.pread(self._descriptor, max(size, _WINDOW), offset)
        return self._content[offset - self._start : offset - self._start + size]


def entries(descriptor: int, place: str) -> Iterator[Entry]:
    """The files of an open .tar. Raises DataError that names `place` if it is broken or ends too early."""
    window, size, offset = _Window(descriptor), os.fstat(descriptor).st_size, 0
    told: dict[str, str] = {}  # of the next entry, by headers before it
    while True:
        header = window.at(offset, BLOCK)
        if len(header) == BLOCK and not header.strip(b"\0"):
            _check_end(descriptor, offset, place)
            return
        if len(header) < BLOCK:
            raise DataError(must(place, "end in a block of zeros, as a whole .tar does", f"{size:,} bytes without one"))
        kind, length = _checked(header, offset, place)
        if "size" in told:
            length = _number(told["size"].encode(), 10, offset, place)
        start, content = offset, offset + BLOCK
        offset = content + (0 if kind in _WITHOUT_CONTENT else -(-length // BLOCK) * BLOCK)
        if offset > size:
            got = f"{size:,} bytes, which end in the entry at byte {start:,}"
            raise DataError(must(place, "be a whole .tar", got))
        if kind in (_LONG_NAME, _LONG_LINK, _PAX, _PAX_GLOBAL):
            if length > _LONGEST:
                raise _broken(place, start, "a header that is too long")
            found = window.at(content, length)
            told |= _told(kind, found, content, place)
            continue
        name = told.get("path") or _name(header)
        is_sparse = kind == _SPARSE or any(key.startswith("GNU.sparse.") for key in told)
        told = {}
        if kind in _NO_FILES or name.endswith("/"):
            continue
        fault = "a link to another entry" if kind in _LINKS else "a sparse file" if is_sparse else ""
        yield Entry(name, content, length, fault)


def _check_end(descriptor: int, offset: int, place: str) -> None:
    """Refuses several .tar files that were joined: readers see only the first one."""
    if os.pread(descriptor, 2**20, offset).strip(b"\0"):
        raise DataError(must(place, "be one .tar", f"more entries after its end at byte {offset:,}"))


def _checked(header: bytes, offset: int, place: str) -> tuple[bytes, int]:
    """The kind of an entry and the bytes of its content. Raises DataError if the checksum is another one."""
    total = _number(header[_CHECKSUM], 8, offset, place)
    # The sum of all bytes, with spaces for the sum itself.
    if total != sum(header[: _CHECKSUM.start]) + 8 * ord(" ") + sum(header[_CHECKSUM.stop :]):
        raise _broken(place, offset, "a header with a wrong checksum")
    size = header[124:136]
    # GNU writes sizes from 8 GiB on as a binary number.
    length = int.from_bytes(size[1:]) if size[0] == 0x80 else _number(size, 8, offset, place)
    return header[156:157], length


def _number(text: bytes, base: int, offset: int, place: str) -> int:
    found = text.split(b"\0")[0].strip(b" ") or b"0"
    if not found.isdigit() or (base == 8 and not found.strip(b"01234567") == b""):
        raise _broken(place, offset, "a header without numbers")
    return int(found, base)


def _name(header: bytes) -> str:
    name, prefix = (header[part].split(b"\0")[0] for part in (slice(0, 100), slice(345, 500)))
    # In the old format of GNU tar other things stand in place of the prefix.
    return _text(prefix + b"/" + name if prefix and header[257:263] == b"ustar\0" else name)


def _told(kind: bytes, content: bytes, offset: int, place: str) -> dict[str, str]:
    """What a header says of the entry after it: `path`, `size`, or that it is sparse."""
    if kind == _LONG_NAME:
        return {"path": _text(content.split(b"\0")[0])}
    found, start = {}, 0
    while kind == _PAX and start < len(content):
        digits, space, _ = content[start : start + 20].partition(b" ")
        length = int(digits) if digits.isdigit() else 0
        key, equals, value = content[start + len(digits) + 1 : start + length - 1].partition(b"=")
        if not space or not equals or not len(digits) + 2 < length <= len(content) - start:
            raise _broken(place, offset, "a pax header that is none")
        found[_text(key)] = _text(value)
        start += length
    return {key: value for key, value in found.items() if key in ("path", "size") or key.startswith("GNU.sparse.")}


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")


def _broken(place: str, offset: int, what: str) -> DataError:
    return DataError(must(place, "be a whole .tar, not compressed", f"{what} at byte {offset:,}"))
