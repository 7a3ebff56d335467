"""Images that are decoded when a batch of them is needed, and never kept.

>>> inputs.shape, inputs[:2].shape, inputs[np.array([[3, 1], [1, 1]])].shape, inputs[-1].shape
((8, 4, 4, 3), (2, 4, 4, 3), (2, 2, 4, 4, 3), (4, 4, 3))
"""

import functools
import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from runner import atomic
from runner.data import examples
from runner.data.decode import Images, short_digest
from runner.data.download import cache_folder
from runner.data.threads import ahead
from runner.data.windows import Windows

FOLDER: Final = "statistics"
_MEASURING: Final = {
    "u": "measuring mean and deviation of {:,} images; data.mean and data.std give them",
    "f": "measuring mean, deviation and range of {:,} images; data.mean, data.std and data.range give them",
}
_BLOCK_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, eq=False)
class Streamed:
    """Some image files, indexed as an array of their pixels, uint8 or float32 (n, h, w, c), which waits for decoding.

    Raises DataError that names the file at fault.
    """

    images: Images
    paths: tuple[str, ...]

    @functools.cached_property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c)."""
        return (len(self.paths), *self.images.shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, or float32 for images that keep their depth."""
        return self.images.dtype

    @property
    def ndim(self) -> int:
        """4."""
        return len(self.shape)

    @property
    def nbytes(self) -> int:
        """The bytes that the decoded images would take."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: Any, /) -> np.ndarray:
        """The images at an index, a slice, or an array of indices of any shape; each file is decoded once."""
        chosen = np.arange(len(self.paths))[index]
        each, places = np.unique(chosen, return_inverse=True)
        if chosen.ndim == 1 and len(each) == len(chosen):
            return self.images.read([self.paths[place] for place in chosen])
        found = self.images.read([self.paths[place] for place in each])
        return found[places].reshape(*chosen.shape, *found.shape[1:])

    def windows(self, index: np.ndarray, places: np.ndarray, windows: Windows) -> np.ndarray:
        """Windows of the files at these indices, (n,) or of several members (m, n), as uint8 (n, h, w, c) or (m, …).

        `places` (n,) are theirs in the order of the epoch. Each window is cut out once for all members.
        """
        places = np.broadcast_to(places, index.shape)
        each, where = np.unique(np.stack([index.ravel(), places.ravel()]), axis=1, return_inverse=True)
        found = self.images.windows([self.paths[place] for place in each[0]], each[1].tolist(), windows)
        return found[where.reshape(-1)].reshape(*index.shape, *found.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self[:], dtype)

    def statistics(self) -> examples.Statistics:
        """Those of `examples.statistics`, the same bits."""
        mean, std, *_ = self._measured
        return mean, std

    @property
    def extremes(self) -> tuple[np.ndarray, np.ndarray]:
        """The minimum and maximum of each channel of floats, float32 (c,)."""
        _, _, low, high = self._measured
        return np.array(low, np.float32), np.array(high, np.float32)

    @functools.cached_property
    def _measured(self) -> tuple[tuple[float, ...], ...]:
        """Mean and deviation, and of floats minimum and maximum, in one pass of bounded memory; kept for later runs."""
        contents, how = self.images.identity(self.paths)
        path = cache_folder() / FOLDER / f"{short_digest(how.encode() + contents.tobytes())}.json"
        with suppress(OSError, ValueError, TypeError):
            known = json.loads(path.read_text(encoding="ascii"))
            if len(known) == (4 if self.dtype.kind == "f" else 2):
                return tuple(tuple(map(float, values)) for values in known)
        self.images.report(_MEASURING[self.dtype.kind].format(len(self)))
        watched = _Watched(self.images, self.paths)
        found: tuple[tuple[float, ...], ...] = examples.statistics(watched)
        if self.dtype.kind == "f":
            found += (tuple(watched.low.tolist()), tuple(watched.high.tolist()))
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(path, json.dumps(found).encode())
        return found

    def blocks(self, multiple: int) -> Iterator[np.ndarray]:
        """All images in order, some megabytes at a time: each block but the last has a multiple of so many."""
        each = math.prod(self.shape[1:]) * self.dtype.itemsize * multiple
        step = multiple * max(1, _BLOCK_BYTES // each)
        yield from ahead(lambda start: self[start : start + step], range(0, len(self), step))


@dataclass(frozen=True, eq=False)
class _Watched(Streamed):
    """The same images, which notes the minimum and the maximum of each channel (c,) of all blocks that it makes."""

    low: np.ndarray = field(init=False)
    high: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        for name, value in (("low", np.inf), ("high", -np.inf)):
            object.__setattr__(self, name, np.full(self.shape[-1], value, np.float32))

    def blocks(self, multiple: int) -> Iterator[np.ndarray]:
        for block in super().blocks(multiple):
            if self.dtype.kind == "f":
                np.minimum(self.low, block.min(axis=(0, 1, 2)), out=self.low)
                np.maximum(self.high, block.max(axis=(0, 1, 2)), out=self.high)
            yield block
