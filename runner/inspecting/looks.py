"""Images that look alike: a perceptual hash of each, and the pairs whose hashes and thumbnails hardly differ.

    >>> images = np.random.default_rng(0).integers(0, 256, (50, 32, 32, 1), np.uint8)
    >>> alike(looks_of(np.concatenate([images, images[7:8] // 2]))).pairs.tolist()
    [[7, 50]]

The hash has a bit for each of the 64 lowest frequencies of the image in grey: whether it is above the median of them
(pHash: Zauner 2010, Implementation and benchmarking of perceptual image hash functions). Frequencies of brightness
itself are left out. A hash alone calls many simple drawings equal, so a pair counts only if the thumbnails agree too.
"""

import functools
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

DISTANCE: Final = 6
"""The most bits in which the hashes of images that look alike differ."""

CORRELATION: Final = 0.97
"""The least correlation of their thumbnails."""

SMALLEST: Final = 32
"""Pixels of the shorter side of an image that has enough detail to be recognised by its hash."""

_BITS: Final = 64
_FREQUENCIES: Final = 12  # along each axis, of which the 64 lowest are taken
_THUMB: Final = 8
_CHUNK_BYTES: Final = 8_000_000
_MOST_CANDIDATES: Final = 30_000_000
_MOST_PAIRS: Final = 100_000  # of 6,000 frames of one film all 18 million pairs may look alike
_LUMA: Final = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts RGB to grey

Array = np.ndarray[Any, Any]


class Looks(NamedTuple):
    """What images are compared by: hashes uint64 (n,), and thumbnails float32 (n, k) of mean 0 and length 1.

    The thumbnail of an image of one colour is zero: it looks like no other.
    """

    hashes: Array
    thumbnails: Array


class Alike(NamedTuple):
    """Pairs (p, 2) of images that look alike, and whether these are all, which very many of them prevent."""

    pairs: Array
    complete: bool


def looks_of(images: Array) -> Looks:
    """The looks of images (n, h, w, c)."""
    count, height, width, _ = images.shape
    down, across = _waves(height), _waves(width)
    rows, columns = _means(height), _means(width)
    chosen = _lowest(len(down), len(across))
    hashes = np.zeros(count, np.uint64)
    thumbnails = np.zeros((count, len(rows) * len(columns)), np.float32)
    step = max(1, _CHUNK_BYTES // max(1, 4 * height * width))
    for start in range(0, count, step):
        grey = _grey(images[start : start + step])  # (n, h, w)
        waves = np.matmul(np.matmul(down, grey), across.T).reshape(len(grey), -1)[:, chosen]  # (n, 64)
        bits = waves > np.median(waves, axis=1, keepdims=True)
        packed = np.packbits(np.pad(bits, ((0, 0), (0, _BITS - bits.shape[1]))), axis=1)
        hashes[start : start + step] = np.ascontiguousarray(packed).view(">u8")[:, 0]
        small = np.matmul(np.matmul(rows, grey), columns.T).reshape(len(grey), -1)
        small -= small.mean(axis=1, keepdims=True)
        length = np.linalg.norm(small, axis=1, keepdims=True)
        thumbnails[start : start + step] = small / np.where(length > 1e-3, length, np.inf)
    return Looks(hashes, thumbnails)


def alike(looks: Looks, *, distance: int = DISTANCE, correlation: float = CORRELATION) -> Alike:
    """The pairs of images whose hashes differ in at most `distance` bits and whose thumbnails correlate so much."""
    count = len(looks.hashes)
    found = np.zeros(0, np.int64)  # first · count + second, in order
    left = _MOST_CANDIDATES
    for pairs in _candidates(looks.hashes, distance):
        left -= len(pairs)
        if left < 0 or len(found) > _MOST_PAIRS:
            return Alike(_pairs(found[:_MOST_PAIRS], count), complete=False)
        first, second = pairs.T
        pairs = pairs[np.bitwise_count(looks.hashes[first] ^ looks.hashes[second]) <= distance]
        first, second = pairs[_correlated(looks.thumbnails, pairs) >= correlation].T
        found = np.unique(np.concatenate([found, first * count + second]))
    return Alike(_pairs(found[:_MOST_PAIRS], count), complete=len(found) <= _MOST_PAIRS)


def _pairs(numbers: Array, count: int) -> Array:
    return np.stack(np.divmod(numbers, count), axis=1)


def _candidates(hashes: Array, distance: int) -> Iterator[Array]:
    """Pairs (p, 2) that contain every pair within `distance`, in portions; some come more than once.

    Two hashes that differ in at most d bits differ in at most ⌊d/4⌋ bits of one of their four quarters (multi-index
    hashing: Norouzi, Punjani & Fleet 2012, Fast search in Hamming space). So each quarter is looked up with so few of
    its bits changed, among the sorted quarters of all hashes.
    """
    changes = _changes(16, distance // 4)
    for quarter in range(4):
        keys = (hashes >> np.uint64(16 * quarter)).astype(np.uint16)
        order = np.argsort(keys, kind="stable")
        sizes = np.bincount(keys, minlength=1 << 16)
        starts = np.concatenate([[0], np.cumsum(sizes)])
        for change in changes:
            wanted = keys ^ change
            for part in _portions(sizes[wanted]):
                counts = sizes[wanted[part]]
                first = np.repeat(np.arange(part.start, part.stop), counts)
                offsets = np.arange(len(first)) - np.repeat(np.cumsum(counts) - counts, counts)
                second = order[np.repeat(starts[wanted[part]], counts) + offsets]
                ordered = first < second
                yield np.stack([first[ordered], second[ordered]], axis=1)


def _portions(counts: Array, most: int = 2_000_000) -> Iterator[slice]:
    """Slices of counts whose sums are about `most`, so that pairs fit into memory."""
    sums = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = sums[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(sums, before + most, side="right")))
        yield slice(start, stop)
        start = stop


@functools.cache
def _changes(bits: int, most: int) -> Array:
    """The numbers of so many bits in which at most `most` are set."""
    every = np.arange(1 << bits, dtype=np.uint16)
    found: Array = every[np.bitwise_count(every) <= most]
    return found


def _correlated(thumbnails: Array, pairs: Array) -> Array:
    """The correlation (p,) of the thumbnails of each pair."""
    found = np.empty(len(pairs), np.float32)
    for start in range(0, len(pairs), 50_000):
        first, second = pairs[start : start + 50_000].T
        found[start : start + 50_000] = np.einsum("pk,pk->p", thumbnails[first], thumbnails[second])
    return found


def _grey(images: Array) -> Array:
    """Images in grey, float32 (n, h, w)."""
    channels = images.shape[-1]
    if channels == 1:
        return images[..., 0].astype(np.float32)
    weights = np.array(_LUMA if channels == 3 else (1 / channels,) * channels, np.float32)
    grey: Array = np.matmul(images.astype(np.float32), weights)
    return grey


@functools.lru_cache(maxsize=8)
def _waves(size: int) -> Array:
    """The lowest cosines of a discrete cosine transform (DCT-II) along an axis of so many pixels: (f, size)."""
    frequencies = np.arange(min(_FREQUENCIES, size))[:, None]
    places = (2 * np.arange(size) + 1)[None] / (2 * size)
    found: Array = (np.cos(np.pi * frequencies * places) / size).astype(np.float32)
    return found


@functools.lru_cache(maxsize=8)
def _means(size: int) -> Array:
    """The means over 8 equal parts of an axis, pixels at borders in shares: (8, size)."""
    parts = min(_THUMB, size)
    ends = np.arange(parts + 1) * (size / parts)
    low, high = ends[:-1, None], ends[1:, None]
    pixels = np.arange(size)[None]
    share = np.clip(np.minimum(high, pixels + 1) - np.maximum(low, pixels), 0, 1)
    found: Array = (share * (parts / size)).astype(np.float32)
    return found


@functools.cache
def _lowest(down: int, across: int) -> Array:
    """The places of the lowest frequencies but the mean, at most 64, in the flat (down, across)."""
    both = [(row + column, row, row * across + column) for row in range(down) for column in range(across)]
    return np.array([place for *_, place in sorted(both)[1 : _BITS + 1]])
