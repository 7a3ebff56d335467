"""Whether a map of relevant pixels can be believed: it depends on what was learnt, and its pixels matter.

>>> likeness(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [3.0, 5.0]]))
1.0
"""

from typing import Final, NamedTuple

import numpy as np
from scipy.stats import rankdata

from runner.explaining.sight import Array, Sight

_STEPS: Final = 20
_RANDOM: Final = 4  # random orders whose mean is compared


class Deletion(NamedTuple):
    """The probability of a class while pixels are made grey: the shares of pixels and the probabilities, each (n,)."""

    shares: Array
    by_map: Array  # those of the largest values in the map first
    at_random: Array  # the mean of some random orders

    @property
    def areas(self) -> tuple[float, float]:
        """The areas under both curves; a good map has a much smaller one than a random order."""
        by_map, at_random = (float(np.trapezoid(curve, self.shares)) for curve in (self.by_map, self.at_random))
        return by_map, at_random


def likeness(one: Array, other: Array) -> float:
    """Spearman's rank correlation of two maps: 1 if they order the pixels alike, 0 if they have nothing in common.

    0 for a map that is the same everywhere.
    """
    ranks = [rankdata(values.ravel()) for values in (one, other)]
    if any(np.ptp(own) == 0 for own in ranks):
        return 0.0
    return float(np.corrcoef(*ranks)[0, 1])


def deletion(sight: Sight, image: Array, label: int, values: Array, *, steps: int = _STEPS, seed: int = 0) -> Deletion:
    """The deletion curve of a map (h, w) of an image (h, w, c).

    Source: Petsiuk, Das & Saenko 2018, arXiv:1806.07421, §4.1; here the pixels become the mean of the training images.
    """
    generator = np.random.default_rng(seed)
    pixels = values.size
    # Equal values in a random order, so that a map of zeros is no better than chance.
    shuffled = generator.permutation(pixels)
    by_map = shuffled[np.argsort(-values.ravel()[shuffled], kind="stable")]
    orders = [by_map, *(generator.permutation(pixels) for _ in range(_RANDOM))]
    counts = np.linspace(0, pixels, steps + 1).round().astype(int)
    flat = image.reshape(pixels, -1)
    images = np.repeat(flat[None], len(orders) * len(counts), axis=0)
    for place, (order, count) in enumerate((order, count) for order in orders for count in counts):
        images[place, order[:count]] = sight.grey
    found = sight.probabilities(images.reshape(-1, *image.shape))[:, label].reshape(len(orders), -1)
    return Deletion(counts / pixels, found[0], found[1:].mean(axis=0))
