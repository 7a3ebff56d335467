"""CIFAR-10 and CIFAR-100 in their published binary format.

Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images; the format is described under
"Binary version" at https://www.cs.toronto.edu/~kriz/cifar.html.
"""

import bz2
import gzip
import io
import lzma
import tarfile
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from runner import limits
from runner.data.broken import broken
from runner.data.class_names import nfc
from runner.data.download import Published, fetched
from runner.data.examples import Part, Parts, Report
from runner.data.source import ImageSize, Source
from runner.errors import DataError, must

SIDE = 32
PIXELS = 3 * SIDE * SIDE  # bytes of an image: red, green and blue planes, each row by row


@dataclass(frozen=True)
class _Layout:
    """The files of a variant. A record is one byte for each kind of label, then the image."""

    folder: str
    train: tuple[str, ...]
    test: str
    labels: tuple[tuple[str, int, str], ...]  # kind, classes, file of their names


_LAYOUTS = {
    "cifar10": _Layout(
        folder="cifar-10-batches-bin",
        train=tuple(f"data_batch_{number}.bin" for number in range(1, 6)),
        test="test_batch.bin",
        labels=(("fine", 10, "batches.meta.txt"),),
    ),
    "cifar100": _Layout(
        folder="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        labels=(("coarse", 20, "coarse_label_names.txt"), ("fine", 100, "fine_label_names.txt")),
    ),
}


class Cifar(Source):
    """The binary archive of CIFAR-10 or CIFAR-100, packed or unpacked."""

    source: Literal["cifar"]
    variant: Literal["cifar10", "cifar100"] = Field(description="Which of the two data sets.")
    labels: Literal["fine", "coarse"] = Field(
        default="fine", description="fine: the 100 classes of CIFAR-100; coarse: its 20 superclasses."
    )
    image: ImageSize | None = Field(
        default=ImageSize(height=SIDE, width=SIDE, channels=3), description="Size of the images: 32×32×3."
    )
    archive: Published = Field(description="The .tar.gz; a folder with its unpacked files works as well.")
    mirrors: tuple[str, ...] = Field(default=(), description="URLs to download from, tried in order.")

    @model_validator(mode="after")
    def _has_labels(self) -> Self:
        kinds = {kind: count for kind, count, _ in _LAYOUTS[self.variant].labels}
        if self.labels not in kinds:
            raise ValueError(must("", f"have labels=fine for {self.variant}", self.labels).text)
        if super().class_count not in (None, kinds[self.labels]):
            rule = f"have {kinds[self.labels]} classes for {self.variant} with {self.labels} labels"
            raise ValueError(must("", rule, super().class_count).text)
        return self

    @property
    def class_count(self) -> int:
        """10, 20 or 100, known without the files."""
        return next(count for kind, count, _ in _LAYOUTS[self.variant].labels if kind == self.labels)

    def read(self, report: Report) -> Parts:
        """Reads both parts, and the class names if their file exists."""
        layout = _LAYOUTS[self.variant]
        column = [kind for kind, _, _ in layout.labels].index(self.labels)
        place, files = self._files(layout, report)
        parts = [
            _part(place, {name: files[name] for name in names}, layout, column)
            for names in (layout.train, (layout.test,))
        ]
        names = nfc(files.get(layout.labels[column][2], b"").decode("utf-8", "replace")).split()
        if self.class_names and set(self.class_names) == set(names) and list(self.class_names) != names:
            # Other names are translations. The same names in another order would swap cats and dogs.
            rule = f"keep the order of the labels ({', '.join(names)})"
            raise DataError(must("data.class_names", rule, self.class_names))
        found = tuple(names) if len(names) == self.class_count else self.names(self.class_count)
        return Parts(train=parts[0], test=parts[1], classes=self.class_names or found)

    def _files(self, layout: _Layout, report: Report) -> tuple[Path, dict[str, bytes]]:
        """The folder or archive of the files, and their contents by name."""
        needed = (*layout.train, layout.test)
        root = self.folder
        wanted = (*needed, *(file for _, _, file in layout.labels))
        for folder in (root, root / layout.folder) if root else ():
            present = [name for name in wanted if (folder / name).is_file()]
            if not set(needed).isdisjoint(present):
                _check_complete(folder, needed, present)
                return folder, {name: (folder / name).read_bytes() for name in present}
        if root and root.is_file():
            path = root
        else:
            [path] = fetched((self.archive,), root=root, mirrors=self.mirrors, folder=self.name, report=report)
        files = _unpacked(path)
        _check_complete(path, needed, files)
        return path, files


def _check_complete(place: Path, needed: tuple[str, ...], present: Collection[str]) -> None:
    missing = [name for name in needed if name not in present]
    if missing:
        raise DataError(must(str(place), f"hold {', '.join(needed)}", f"none of {', '.join(missing)}"))


def _unpacked(path: Path) -> dict[str, bytes]:
    """The files of a tar archive, by name without folder."""
    files: dict[str, bytes] = {}
    try:
        with _decompressed(path) as stream, tarfile.open(fileobj=stream, mode="r:") as archive:
            size_bytes = 0
            for member in archive:
                # A sparse member unpacks to more bytes than the archive stores.
                size_bytes += member.size
                if size_bytes > limits.TAR_BYTES:
                    raise _too_large(path)
                content = archive.extractfile(member) if member.isfile() else None
                if content is not None:
                    files[Path(member.name).name] = content.read()
    except (tarfile.TarError, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError) as error:
        raise broken(path, "be a whole .tar.gz archive", error) from error
    return files


def _decompressed(path: Path) -> io.BytesIO:
    """The decompressed archive. Raises DataError if it exceeds `TAR_BYTES`, whatever sizes its members claim."""
    with path.open("rb") as file:
        kind = {b"\x1f\x8b": gzip.GzipFile, b"BZ": bz2.BZ2File, b"\xfd7": lzma.LZMAFile}.get(file.read(2))
    with kind(path) if kind else path.open("rb") as stream:
        content = stream.read(limits.TAR_BYTES + 1)
    if len(content) > limits.TAR_BYTES:
        raise _too_large(path)
    return io.BytesIO(content)


def _too_large(path: Path) -> DataError:
    return DataError(must(str(path), f"unpack to at most {limits.TAR_BYTES:,} bytes", "more"))


def _part(place: Path, files: dict[str, bytes], layout: _Layout, column: int) -> Part:
    inputs, labels = [], []
    size_bytes = len(layout.labels) + PIXELS
    for name, content in files.items():
        if not content or len(content) % size_bytes:
            raise DataError(
                must(f"{place}/{name}", f"hold whole records of {size_bytes} bytes", f"{len(content)} bytes")
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, size_bytes)
        planes = records[:, len(layout.labels) :].reshape(-1, 3, SIDE, SIDE)
        inputs.append(planes.transpose(0, 2, 3, 1))  # (n, h, w, c)
        labels.append(records[:, column])
    names = list(files)
    shown = names[0] if len(names) == 1 else f"{names[0]} … {names[-1]}"
    return Part(np.concatenate(inputs), np.concatenate(labels), f"{place}/{shown}")
