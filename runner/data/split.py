"""Chooses held-out and used examples: seeded, stratified, and the same on every machine.

Every choice is a prefix of one order. Each prefix contains the classes in their overall proportions.
"""

import zlib

import numpy as np


def seeded(count: int, *, seed: int, purpose: str) -> np.ndarray:
    """A random order of `count` numbers from 0."""
    # NumPy keeps the stream of a bit generator stable between versions, but not that of Generator.permutation (NEP 19).
    bits = np.random.PCG64([seed, zlib.crc32(purpose.encode())])
    return np.argsort(bits.random_raw(count), kind="stable")


def stratified_order(labels: np.ndarray, *, seed: int, purpose: str) -> np.ndarray:
    """A shuffled order of the examples. Each prefix has each class in its share, to within one example.

    The j-th of the m examples of a class, in random order, is placed at (j + ½)/m; ties are broken at random.
    """
    shuffled = seeded(len(labels), seed=seed, purpose=purpose)
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    ranks = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    places = np.empty(len(labels))
    places[by_class] = (ranks + 0.5) / np.repeat(counts, counts)
    return np.asarray(shuffled[np.argsort(places[shuffled], kind="stable")])


def hold_out(labels: np.ndarray, fraction: float, *, seed: int, purpose: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kept and the held-out indices, both ascending; at least one is held out."""
    order = stratified_order(labels, seed=seed, purpose=purpose)
    count = max(1, round(fraction * len(labels)))
    return np.sort(order[count:]), np.sort(order[:count])


def fold_out(labels: np.ndarray, folds: int, fold: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kept indices and those of one of `folds` equal parts, both ascending.

    The parts are disjoint, differ by at most one in size, and have each class in its share to within two examples.
    """
    order = stratified_order(labels, seed=seed, purpose="folds")
    start, stop = (len(labels) * end // folds for end in (fold, fold + 1))
    return np.sort(np.delete(order, np.s_[start:stop])), np.sort(order[start:stop])


def limited(labels: np.ndarray, limit: int | None, *, seed: int) -> np.ndarray:
    """Ascending indices of at most `limit` examples, with the classes in proportion."""
    if limit is None or limit >= len(labels):
        return np.arange(len(labels))
    return np.sort(stratified_order(labels, seed=seed, purpose="limit")[:limit])
