"""Image files that are decoded with their own depth and channels, as float32 in the unit of the files."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from runner import limits
from runner.data.decode import Images, size_rule
from runner.data.files import FileTree, content
from runner.data.pixels.depth import fitted_values, values_of
from runner.data.source import ImageSize


class DeepImages(Images):
    """Image files whose values are not changed: 0 … 65535 for 16 bits. All must have the depth of the first file."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """float32, the type of all decoded images."""
        return np.dtype(np.float32)

    @functools.cached_property
    def _first(self) -> np.ndarray:
        return read_values(self.tree, self.paths[0])

    @functools.cached_property
    def _fitted_size(self) -> ImageSize:
        return self.size or size_of_values(self._first)

    @property
    def _stored_size(self) -> ImageSize:
        """The size of the bytes of one image: each value of a row has four."""
        size = self._fitted_size
        return ImageSize(height=size.height, width=size.width, channels=size.channels * self.dtype.itemsize)

    def __getitem__(self, index: Any, /) -> np.ndarray:
        """The images at these indices, float32 (n, h, w, c). Raises DataError that names the file at fault."""
        return super().__getitem__(index).view(self.dtype)

    def read(self, paths: Sequence[str]) -> np.ndarray:
        """These files, decoded by threads, float32 (n, h, w, c). Raises DataError that names the file at fault."""
        return super().read(paths).view(self.dtype)

    def identity(self, paths: Sequence[str]) -> tuple[np.ndarray, str]:
        """As that of `Images`."""
        contents, how = super().identity(paths)
        return contents, f"{how} depth: keep"

    def _key(self, chosen: Sequence[str], size: ImageSize) -> str:
        return super()._key(["", "depth: keep", *chosen], size)

    def _use(self, size: ImageSize) -> Callable[[bytes, str], np.ndarray]:
        rule = size_rule(self._fitted_size) if self.size is None else ""
        bits = 8 * self._first.dtype.itemsize
        return functools.partial(fitted_values, shape=self._fitted_size.shape, how=self.how, rule=rule, bits=bits)


def read_values(tree: FileTree, path: str) -> np.ndarray:
    """The values of a file, uint8 or uint16 (h, w, c). Raises BadFileError that names it."""
    return values_of(content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES), f"{tree.root}/{path}")


def size_of_values(values: np.ndarray) -> ImageSize:
    """The size of one image (h, w, c)."""
    height, width, channels = values.shape
    return ImageSize(height=height, width=width, channels=channels)
