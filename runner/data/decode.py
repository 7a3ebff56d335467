"""Decodes JPEG, PNG, GIF, TIFF, BMP and WebP files to arrays of one size; of animations the first frame."""

import functools
import hashlib
import math
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from runner import cores, limits
from runner.data.broken import BadFileError
from runner.data.examples import Report
from runner.data.files import FileTree, content
from runner.data.image_cache import cached
from runner.data.pixels import VERSION, FileFit, decoded, fitted_pixels, shape_of, window_of
from runner.data.small_files import reader
from runner.data.source import ImageSize
from runner.data.threads import in_tenths, in_threads
from runner.data.windows import Windows
from runner.errors import shown

if TYPE_CHECKING:
    from PIL.Image import Image

T = TypeVar("T")
_PARTS: Final = 10  # in which contents are hashed, so that those of a start that was interrupted are kept
_SILENT_SECONDS: Final = 2.0
_BLOCK_BYTES: Final = 32 * 2**20  # of decoded images that are held while a set is decoded


@dataclass(frozen=True)
class Images:
    """Image files that are decoded when they are indexed.

    With a `size`, each image is fitted to it; without, all must have the size and channels of the first file.
    """

    tree: FileTree
    paths: Sequence[str]
    size: ImageSize | None
    how: FileFit
    report: Report

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, the type of all decoded images."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c). Raises DataError if the size is that of the first file, and it cannot be read."""
        return (len(self.paths), *self._fitted_size.shape)

    @functools.cached_property
    def _fitted_size(self) -> ImageSize:
        # The first of all files, not of the chosen ones, so that every part has the same size.
        with without_warnings():
            return self.size or opened(self.tree, self.paths[0], size_of)

    @property
    def _stored_size(self) -> ImageSize:
        """The size of one image as bytes."""
        return self._fitted_size

    def __getitem__(self, index: Any, /) -> np.ndarray:
        """The images at these indices, uint8 (n, h, w, c). Raises DataError that names the file at fault."""
        chosen = [self.paths[place] for place in np.asarray(index)]
        size = self._stored_size
        with without_warnings():
            return cached(
                self._key(chosen, size),
                (len(chosen), *size.shape),
                about=str(self.tree.root),
                digest=functools.partial(self._digest, chosen),
                decode=functools.partial(self._decoded, chosen, size),
                report=self.report,
            )

    def read(self, paths: Sequence[str]) -> np.ndarray:
        """These files, decoded by threads, uint8 (n, h, w, c). Raises DataError that names the file at fault."""
        size = self._stored_size
        return _in_order(len(paths), size.shape, lambda index: self._pixels(paths[index], size))

    def windows(self, paths: Sequence[str], places: Sequence[int], windows: Windows) -> np.ndarray:
        """A window of each file, that of its place in the order of an epoch, uint8 (n, h, w, c)."""
        shape = (*windows.size, self._fitted_size.channels)

        def cut(index: int) -> np.ndarray:
            choose = functools.partial(windows.at, places[index])
            return opened(self.tree, paths[index], lambda image: window_of(image, shape, choose))

        return _in_order(len(paths), shape, cut)

    def identity(self, paths: Sequence[str]) -> tuple[np.ndarray, str]:
        """Digests of the files' contents, uint8 (n, 32), and how they are decoded; no file is decoded.

        Tells how far it is if it takes long: contents that no earlier start has read are read as a whole.
        """
        told, began = in_tenths(len(paths), "hashed", "files", report=self.report), time.monotonic()
        found, step = list[bytes](), max(1, -(-len(paths) // _PARTS))
        for start in range(0, len(paths), step):
            found += self.tree.contents(paths[start : start + step])
            if time.monotonic() - began > _SILENT_SECONDS:
                told(len(found))
        how = repr((*decoder(), self._fitted_size.shape, self.how))
        return np.frombuffer(b"".join(found), np.uint8).reshape(len(paths), -1), how

    def _key(self, chosen: list[str], size: ImageSize) -> str:
        """A digest of the files' paths and of the way they are decoded."""
        return short_digest(repr((*decoder(), size.shape, self.size is None, self.how, chosen)).encode())

    def _digest(self, chosen: list[str]) -> str:
        """A digest of the files' contents."""
        return short_digest(b"".join(self.tree.digests(chosen)))

    def _decoded(self, chosen: list[str], size: ImageSize) -> Iterator[np.ndarray]:
        """The images in order, some megabytes at a time."""
        told = in_tenths(len(chosen), "decoded", "images", report=self.report)
        step = max(1, _BLOCK_BYTES // math.prod(size.shape))
        with reader(self.tree, chosen) as each:
            for start in range(0, len(chosen), step):
                paths = chosen[start : start + step]
                images = np.empty((len(paths), *size.shape), np.uint8)

                def take(index: int, found: np.ndarray | BadFileError, images: np.ndarray = images) -> None:
                    if isinstance(found, BadFileError):
                        raise found
                    images[index] = found.view(np.uint8)

                def progress(done: int, start: int = start) -> None:
                    told(start + done)

                each(paths, self._use(size), take, progress=progress)
                yield images

    def _use(self, size: ImageSize) -> Callable[[bytes, str], np.ndarray]:
        """What makes the pixels of a file's content, whose bytes are those of the stored size."""
        rule = size_rule(size) if self.size is None else ""
        return functools.partial(fitted_pixels, shape=size.shape, how=self.how, rule=rule)

    def _pixels(self, path: str, size: ImageSize) -> np.ndarray:
        found = content(self.tree, path, max_bytes=limits.IMAGE_FILE_BYTES)
        return self._use(size)(found, f"{self.tree.root}/{path}").view(np.uint8)


def _in_order(count: int, shape: tuple[int, ...], make: Callable[[int], np.ndarray]) -> np.ndarray:
    """What `make` returns for each index, made by threads, uint8 (n, *shape)."""
    images = np.empty((count, *shape), np.uint8)

    def put(index: int) -> None:
        images[index] = make(index)

    in_threads(count, put, threads=min(cores.available(), 16))
    return images


def opened(tree: FileTree, path: str, use: Callable[["Image"], T]) -> T:
    """Returns `use(image)` of an opened file. Raises BadFileError that names the file if it cannot be decoded."""
    return decoded(content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES), f"{tree.root}/{path}", use)


def decoder() -> tuple[int, str]:
    """What the pixels of a file depend on: the versions of `pixels` and of Pillow."""
    from PIL import __version__

    return VERSION, __version__


def short_digest(content: bytes) -> str:
    """The first 32 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hides Pillow's warnings about large images and broken EXIF; this module handles both itself.

    Used in the main thread only, because Python's warning filters are shared by all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def size_rule(size: ImageSize) -> str:
    """The rule of images that are not fitted to a size, with the setting that fits them to one."""
    return f"be {size} like the first image, or be fitted to it by 'data.image={shown(size.model_dump())}'"


def size_of(image: "Image") -> ImageSize:
    """The size of an open image after its rotation to upright, and its channels."""
    height, width, channels = shape_of(image)
    return ImageSize(height=height, width=width, channels=channels)
