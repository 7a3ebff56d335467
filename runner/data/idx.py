"""The IDX files of MNIST and of data sets in the same format.

Source of the format: LeCun, Cortes & Burges, the MNIST database, "File formats".
"""

import gzip
import math
import zlib
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from runner import limits
from runner.data.broken import broken
from runner.data.download import Published, fetched
from runner.data.examples import Part, Parts, Report
from runner.data.source import Source
from runner.errors import DataError, must

IMAGES, LABELS = 3, 1  # axes of an IDX file
UNSIGNED_BYTE = 0x08


class Idx(Source):
    """Two pairs of IDX files of unsigned bytes: images and labels, gzipped or not."""

    source: Literal["idx"]
    mirrors: tuple[str, ...] = Field(default=(), description="URLs to download from, tried in order.")
    train_images: Published = Field(description="Training images, (n, h, w).")
    train_labels: Published = Field(description="Training labels, (n,).")
    test_images: Published = Field(description="Test images, (n, h, w).")
    test_labels: Published = Field(description="Test labels, (n,).")

    def read(self, report: Report) -> Parts:
        """Reads both pairs."""
        files = (self.train_images, self.train_labels, self.test_images, self.test_labels)
        paths = fetched(files, root=self.folder, mirrors=self.mirrors, folder=self.name, report=report)
        return Parts(train=_pair(*paths[:2]), test=_pair(*paths[2:]))


def _pair(images_path: Path, labels_path: Path) -> Part:
    images, labels = read_idx(images_path, axes=IMAGES), read_idx(labels_path, axes=LABELS)
    if images.size == 0:
        raise DataError(must(str(images_path), "hold images", f"shape {images.shape}"))
    return Part(images[..., None], labels, str(images_path), str(labels_path))


def read_idx(path: Path, *, axes: int) -> np.ndarray:
    """Reads an IDX file of unsigned bytes as an array of `axes` axes; a file named .gz is decompressed.

    Raises DataError that names the file if it has another format.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            shape = _shape(path, file.read(4 + 4 * axes), axes)
            size_bytes = math.prod(shape)
            if size_bytes > limits.IDX_BYTES:
                raise DataError(must(str(path), f"hold at most {limits.IDX_BYTES:,} bytes", f"{size_bytes:,}"))
            content = file.read(size_bytes + 1)  # bounds the memory, whatever a .gz unpacks to
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise broken(path, "be a whole gzip file", error) from error
    if len(content) != size_bytes:
        header = 4 + 4 * axes
        got = f"{header + len(content)} bytes" if len(content) < size_bytes else "more"
        raise DataError(must(str(path), f"hold {header + size_bytes} bytes, as its header says", got))
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(path: Path, header: bytes, axes: int) -> tuple[int, ...]:
    magic = bytes((0, 0, UNSIGNED_BYTE, axes))
    if header[:4] != magic:
        raise DataError(must(str(path), f"start with the magic number {magic.hex()}", header[:4].hex() or "no bytes"))
    if len(header) < 4 + 4 * axes:
        raise DataError(must(str(path), f"have a header of {4 + 4 * axes} bytes", f"{len(header)} bytes"))
    return tuple(int(size) for size in np.frombuffer(header, ">u4", axes, 4))
