"""Reads the arrays of an .npz after checking their sizes.

    >>> sorted(read_npz(Path("a.npz"), ("x_train", "y_train")))
    ['x_train', 'y_train']

Each array begins with a header of its type and shape, and the archive's directory states the size of each member. The
two must agree, and the total must stay within `runner.limits`. Python objects are never unpickled.
"""

import os
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path

import numpy as np
from numpy.lib import format as npy

from runner import limits
from runner.data.broken import broken
from runner.errors import DataError, must

_HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}


def read_npz(path: Path, wanted: Collection[str]) -> dict[str, np.ndarray]:
    """The wanted arrays that the file contains, by name. Raises DataError that names the file and the array."""
    if not zipfile.is_zipfile(path):
        raise DataError(must(str(path), "be an .npz archive", "another kind of file, or an incomplete one"))
    try:
        # Opened here, because NumPy leaves a file open that it cannot read.
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            members = {
                entry.filename.removesuffix(".npy"): entry
                for entry in archive.infolist()
                if entry.filename.removesuffix(".npy") in wanted
            }
            for name, entry in members.items():
                _check_header(f"{path}: {name}", archive, entry)
            check_sizes(path, members.values())
            return {name: _array(archive, entry) for name, entry in members.items()}
    except (OSError, ValueError, EOFError, NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise broken(path, "be an .npz of plain arrays", error) from error


def _array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as member:
        array: np.ndarray = npy.read_array(member, allow_pickle=False)
        return array


def _check_header(place: str, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> None:
    with archive.open(entry) as member:
        version = npy.read_magic(member)
        if version not in _HEADERS:
            raise DataError(must(place, "be an array of numbers", f"a header of version {version}"))
        shape, _, dtype = _HEADERS[version](member)
        header_bytes = member.tell()
    if dtype.kind not in "buifc":
        raise DataError(must(place, "hold numbers", f"values of type {dtype}"))
    size_bytes = dtype.itemsize
    for size in shape:
        size_bytes *= size
    if size_bytes < 0 or header_bytes + size_bytes != entry.file_size:
        rule = f"hold the {readable(size_bytes)} of shape {shape} that its header promises"
        raise DataError(must(place, rule, readable(entry.file_size - header_bytes)))


def check_sizes(path: Path, entries: Collection[zipfile.ZipInfo]) -> None:
    """Raises DataError if the entries of an .npz unpack to more than the limits or the memory allow."""
    total = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    most = max(limits.NPZ_BYTES, limits.NPZ_RATIO * packed)
    if total > most:
        rule = f"unpack to at most {readable(most)}, for {readable(packed)} compressed"
        raise DataError(must(str(path), rule, readable(total)))
    memory = memory_bytes()
    if memory is not None and total > memory:
        raise DataError(must(str(path), f"fit into the {readable(memory)} of memory here", readable(total)))


def memory_bytes() -> int | None:
    """The memory of this machine in bytes; None if the system does not report it."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def readable(count: int) -> str:
    """A number of bytes in the largest binary unit below it: 888.2 PiB."""
    size, units = float(min(count, 10**300)), iter(("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"))
    unit = next(units)
    for larger in units:
        if abs(size) < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"
