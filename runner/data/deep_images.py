"""Image files that are decoded with their own depth and channels, as float32 in the unit of the files."""

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np

from runner import limits
from runner.data.broken import BadFileError, BadSizeError
from runner.data.decode import Images, size_rule
from runner.data.files import FileTree, content
from runner.data.pixels.depth import fitted, values_of
from runner.data.source import ImageSize
from runner.errors import must


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

    def _key(self, chosen: Sequence[str], size: ImageSize) -> str:
        return super()._key(["", "depth: keep", *chosen], size)

    def _pixels(self, path: str, size: ImageSize) -> np.ndarray:
        values, place = read_values(self.tree, path), f"{self.tree.root}/{path}"
        if self.size is None and size_of_values(values) != self._fitted_size:
            raise BadSizeError(must(place, size_rule(self._fitted_size), size_of_values(values)))
        if values.dtype != self._first.dtype:
            rule = f"have {8 * self._first.dtype.itemsize} bits for each channel, like the first image"
            raise BadFileError(must(place, rule, 8 * values.dtype.itemsize))
        return fitted(values, self._fitted_size.shape, self.how, place).view(np.uint8)


def read_values(tree: FileTree, path: str) -> np.ndarray:
    """The values of a file, uint8 or uint16 (h, w, c). Raises BadFileError that names it."""
    return values_of(content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES), f"{tree.root}/{path}")


def size_of_values(values: np.ndarray) -> ImageSize:
    """The size of one image (h, w, c)."""
    height, width, channels = values.shape
    return ImageSize(height=height, width=width, channels=channels)
