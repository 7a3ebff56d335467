"""Random windows of image files: where each is cut out, drawn for each place in the order of an epoch.

>>> windows = Windows(seed=0, epoch=0, size=(224, 224), least_area=0.08, ratio=4 / 3)
>>> windows.at(5, (375, 500))     # left, top, right and bottom, in pixels
(35, 25, 474, 368)

A window depends on nothing but the seed, the epoch, the place and the size of the file: not on who decodes it, or when.
"""

import functools
import math
import zlib
from dataclasses import dataclass
from typing import Final

import numpy as np

from runner.data.pixels import Box

_TRIES: Final = 10
_WORDS: Final = 2 * _TRIES + 2
_BITS: Final = 53  # of a float64 in 0 … 1


@dataclass(frozen=True)
class Windows:
    """The windows of one epoch, each resized to `size` (h, w).

    The share of the image's area is uniform in least_area … 1, the logarithm of width / height in ±log(ratio).
    Source: Szegedy et al. 2014, arXiv:1409.4842; ranges and rounding are those of torchvision's RandomResizedCrop.
    """

    seed: int
    epoch: int
    size: tuple[int, int]
    least_area: float
    ratio: float

    def at(self, place: int, shape: tuple[int, int]) -> Box:
        """The window of the image at this place in the order, of `shape` (h, w): the first of ten draws that fits.

        If none does, it is the largest one in the middle whose sides have the ratio.
        """
        height, width = shape
        draws = self._draws(place)
        for chance, slant in zip(draws[:_TRIES], draws[_TRIES : 2 * _TRIES], strict=True):
            area = height * width * (self.least_area + chance * (1 - self.least_area))
            aspect = math.exp((2 * slant - 1) * math.log(self.ratio))
            w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
            if 0 < w <= width and 0 < h <= height:
                top, left = math.floor(draws[-2] * (height - h + 1)), math.floor(draws[-1] * (width - w + 1))
                return left, top, left + w, top + h
        w = min(width, max(1, round(height * self.ratio)))
        h = min(height, max(1, round(width * self.ratio)))
        top, left = (height - h) // 2, (width - w) // 2
        return left, top, left + w, top + h

    def _draws(self, place: int) -> list[float]:
        """Uniform numbers in 0 … 1; NumPy promises the words of a bit generator for ever."""
        words = np.random.Philox(key=self._key, counter=[0, place, 0, 0]).random_raw(_WORDS)
        return ((words >> np.uint64(64 - _BITS)) * 2.0**-_BITS).tolist()  # type: ignore[no-any-return]

    @functools.cached_property
    def _key(self) -> np.ndarray:
        words = np.random.SeedSequence((self.seed, zlib.crc32(b"windows"), self.epoch))
        return words.generate_state(2, np.uint64)
