"""Image files that are slow to read in any order, copied once to the cache as they are, and read from there.

    >>> tree = copied(ParquetTree(Path("."), {"shard.parquet": "image"}), print)
    copied 1 of 1 images
    >>> tree.read("shard.parquet/0", max_bytes=1000)[:4]
    b'\\x89PNG'

A row group of a Parquet file is decompressed as a whole: to read one image costs as much as to read all of its row
group. The copy is written in bounded memory, and has a size limit, a lock for two writers and eviction, as decoded
images have. Each image has a checksum, which is compared when the image is read; the whole copy is never read at a
start.
"""

import hashlib
import os
import weakref
import zlib
from collections.abc import Iterator, Sequence
from typing import Final, Protocol

import numpy as np

from runner.data.digests import too_large
from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.image_cache import Wanted, stored
from runner.data.threads import in_tenths
from runner.errors import DataError, must

_VERSION: Final = 1  # of the form of a copy
_ROW: Final = np.dtype([("start", "<u8"), ("size", "<i8"), ("checksum", "<u4"), ("digest", "u1", (32,))])
_MISSING: Final = -1  # the size where a row has no image
_BLOCK_BYTES: Final = 8 * 2**20  # that are written at a time


class InOrder(FileTree, Protocol):
    """A tree whose files are fast to read in their order alone."""

    @property
    def size_bytes(self) -> int:
        """The bytes of all files, more or less."""
        ...

    def in_order(self) -> Iterator[bytes | None]:
        """The content of each of `files`, or None where there is none."""
        ...

    def whole_digest(self) -> bytes:
        """A digest of all files and of their order."""
        ...


class CopiedTree:
    """The files of a tree, from a copy: their contents one after the other, and then a row for each file.

    Contents are not read from the map: Python would stop all threads for each page that comes from the disk.
    """

    def __init__(self, tree: InOrder, copy: np.memmap) -> None:
        """Raises OSError if the copy was deleted since it was mapped."""
        self.root, self.files, self.folders = tree.root, tree.files, tree.folders
        self._rows = _rows(copy, len(self.files))
        self._descriptor = os.open(str(copy.filename), os.O_RDONLY)  # it stays readable if it is deleted
        weakref.finalize(self, os.close, self._descriptor)
        self._places = {path: number for number, path in enumerate(self.files)}

    def read(self, path: str, *, max_bytes: int) -> bytes:
        place, row = f"{self.root}/{path}", self._row(path)
        size = int(row["size"])
        if size > max_bytes:
            raise too_large(place, size, max_bytes)
        content = os.pread(self._descriptor, size, int(row["start"]))
        if zlib.crc32(content) != int(row["checksum"]):
            rule = "stay in the cache as it was copied ('runner cache clear=images' copies it again)"
            raise DataError(must(place, rule, "other content"))
        return content

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        return [self._row(path)["digest"].tobytes() for path in paths]

    digests = contents

    def _row(self, path: str) -> np.void:
        row: np.void = self._rows[self._places[path]]
        if row["size"] == _MISSING:
            raise DataError(must(f"{self.root}/{path}", "have the bytes of an image", "none"))
        return row


def copied(tree: InOrder, report: Report) -> FileTree:
    """The same files, from a copy in the cache, which is made if it is not there; `tree` itself if it cannot be stored.

    Raises DataError if a file cannot be read.
    """
    from rich.filesize import decimal

    count, digest = len(tree.files), tree.whole_digest().hex()

    def is_whole(content: np.ndarray) -> bool:
        rows = _rows(content, count)
        if len(rows) != count:
            return False
        sizes = np.maximum(rows["size"], 0)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        return bool((rows["start"] == starts[:-1]).all()) and starts[-1] + rows.nbytes == len(content)

    wanted = Wanted(
        f"files{_VERSION}-{digest[32:]}-",
        (count,),
        str(tree.root),
        lambda: digest[:32],
        lambda: _parts(tree, report),
        tree.size_bytes + count * _ROW.itemsize,
        is_whole,
        checked=False,
        verb="copies",
    )
    content = stored(wanted, report=report)
    if isinstance(content, np.memmap):
        return CopiedTree(tree, content)
    needed = decimal(wanted.size_bytes)
    report(
        f"the cache has no room for {needed} of images: each is read with its row group, which is slow; "
        "CONVRUNNER_CACHE_SIZE makes room"
    )
    return tree


def _parts(tree: InOrder, report: Report) -> Iterator[bytes | np.ndarray]:
    """The contents, some megabytes at a time, and then the rows."""
    rows, start, block = np.zeros(len(tree.files), _ROW), 0, bytearray()
    progress = in_tenths(len(rows), "copied", "images", report=report)
    for number, content in enumerate(tree.in_order()):
        rows[number]["start"], rows[number]["size"] = start, _MISSING
        if content is not None:
            digest = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
            rows[number] = start, len(content), zlib.crc32(content), digest
            start += len(content)
            block += content
        if len(block) >= _BLOCK_BYTES:
            yield bytes(block)
            block.clear()
            progress(number + 1)
    yield bytes(block)
    progress(len(rows))
    yield rows.view(np.uint8)


def _rows(content: np.ndarray, count: int) -> np.ndarray:
    """The rows of a copy; none if it is too short."""
    size = count * _ROW.itemsize
    return np.frombuffer(content[len(content) - size :].tobytes() if size <= len(content) else b"", _ROW)
