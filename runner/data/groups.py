"""Held-out parts and folds of examples in groups, such as the images of one patient: no group stands in two parts.

    >>> labels, groups = np.array([0, 1, 0, 1, 0, 1]), ["a", "a", "b", "b", "c", "c"]
    >>> kept, held = hold_out_groups(labels, groups, 0.3, seed=0, purpose="val")
    >>> len(kept), len(held)
    (4, 2)

Groups are given to parts one by one, large ones first, each to the part that it leaves nearest to its share of every
class. The idea is that of scikit-learn's StratifiedGroupKFold; parts may have any shares here.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from runner.data.split import seeded
from runner.errors import DataError, must


def hold_out_groups(
    labels: np.ndarray, groups: Sequence[str], fraction: float, *, seed: int, purpose: str
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kept and the held-out indices, both ascending; each has at least one group. Needs two groups."""
    part = _parts(labels, groups, (fraction, 1 - fraction), seed=seed, purpose=purpose)
    return np.flatnonzero(part == 1), np.flatnonzero(part == 0)


def fold_out_groups(
    labels: np.ndarray, groups: Sequence[str], folds: int, fold: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the kept indices and those of one of `folds` parts, both ascending. Needs as many groups as folds."""
    part = _parts(labels, groups, (1 / folds,) * folds, seed=seed, purpose="folds")
    return np.flatnonzero(part != fold), np.flatnonzero(part == fold)


def check_apart(sets: Mapping[str, Sequence[str]]) -> None:
    """Raises DataError if a group stands in two sets. `sets` are the groups of the examples of each set."""
    names, unique = list(sets), [set(groups) for groups in sets.values()]
    for later in range(len(names)):
        for earlier in range(later):
            if both := sorted(unique[earlier] & unique[later]):
                rule = f"name groups of which none stands in {names[earlier]} and in {names[later]}"
                raise DataError(must("data.group_by", rule, f"{len(both):,} that do, such as {both[0]}"))


def _parts(
    labels: np.ndarray, groups: Sequence[str], shares: Sequence[float], *, seed: int, purpose: str
) -> np.ndarray:
    """The part of each example, int (n,). `shares` are those of the parts, and sum to 1."""
    _, group = np.unique(np.asarray(groups, object).astype(str), return_inverse=True)
    counts = _counts(labels, group)
    order = seeded(len(counts), seed=seed, purpose=purpose)
    # A group weighs what it has of each class: Σ (share of the class)². Equal weights keep the random order.
    order = order[np.argsort([-np.sum(counts[number][1] ** 2) for number in order], kind="stable")]
    each = np.asarray(shares)
    held = np.zeros((len(shares), int(labels.max()) + 1))  # (parts, classes), each as a share of the class
    sizes, chosen = np.zeros(len(shares)), np.empty(len(counts), int)
    for number in order:
        classes, of_class = counts[number]
        # How much the sum of squared distances from the shares, each divided by the share, grows.
        growth = (2 * held[:, classes] + of_class) @ of_class / each
        best = np.flatnonzero(growth <= growth.min() * (1 + 1e-9))
        part = best[np.argmin(sizes[best] / each[best])]
        held[part, classes] += of_class
        sizes[part] += 1
        chosen[number] = part
    for empty in np.flatnonzero(sizes == 0):  # a part with a small share takes the smallest group
        chosen[order[-1]] = empty
    return np.asarray(chosen[group])


def _counts(labels: np.ndarray, group: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """The classes of each group, and the share of each class that it has."""
    classes = int(labels.max()) + 1
    pairs, counts = np.unique(group * classes + labels, return_counts=True)
    shares = counts / np.bincount(labels)[pairs % classes]
    starts = np.searchsorted(pairs // classes, np.arange(1, group.max() + 1))
    return list(zip(np.split(pairs % classes, starts), np.split(shares, starts), strict=True))
