"""95 % intervals: Wilson's for shares of examples, the bootstrap's for what is computed from all of them.

    >>> found = wilson(98, 100)
    >>> round(found.low, 3), round(found.high, 3)
    (0.93, 0.994)

They say how much a number would change with other test examples of the same kind, not with another training.
"""

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from runner.verdicts.calibration import bin_of
from runner.verdicts.classes import ByClass, of_counts

Array = np.ndarray[Any, Any]
RESAMPLES: Final = 1000
ENDS: Final = (2.5, 97.5)  # in per cent of the resamples
_Z: Final = 1.959963984540054  # between −z and z lie 95 % of a normal distribution
SEED: Final = 0
_TOGETHER: Final = 2**20  # numbers that are drawn at once
_DRAWN: Final = 5_000_000  # numbers that are drawn in all: with many classes or examples there are fewer resamples
LEAST_RESAMPLES: Final = 100


class Measured(NamedTuple):
    """A number and its interval."""

    value: float
    low: float
    high: float


def said_interval(found: Measured, examples: int, form: str = ".4f") -> str:
    """An interval in brackets; empty for one example, which says nothing of others."""
    return f" (95 % interval {found.low:{form}} to {found.high:{form}})" if examples > 1 else ""


def counted(count: int, what: str) -> str:
    """A number of things: `1 test example`, `359 test examples`."""
    return f"{count:,} {what.removesuffix('s') if count == 1 else what}"


def wilson(right: int, count: int) -> Measured:
    """A share of `count` examples, at least one. Source: Wilson 1927, JASA 22:209–212."""
    share, spread = right / count, _Z**2 / count
    middle = (share + spread / 2) / (1 + spread)
    half = _Z / (1 + spread) * float(np.sqrt(share * (1 - share) / count + spread / (4 * count)))
    low, high = max(middle - half, 0.0), min(middle + half, 1.0)
    # Of no or only right answers one end is the share itself, which rounding may miss.
    return Measured(share, low if right else 0.0, high if right < count else 1.0)


def of_classes(counts: Array, values: Callable[[ByClass], Array], *, resamples: int = RESAMPLES) -> list[Measured]:
    """The intervals of numbers (m,) that `values` computes from the classes of counts (k, k), rows being true classes.

    `values` takes arrays (…, k) and returns (…, m). Drawing examples with replacement draws a multinomial number of
    each cell of the counts, so that the examples themselves are not needed.
    Source: Efron & Tibshirani 1993, An Introduction to the Bootstrap, §13.3 (percentiles).
    """
    classes = len(counts)
    rows, columns = np.nonzero(counts)
    cells = counts[rows, columns]
    right = rows == columns
    across = np.argsort(columns, kind="stable")
    resamples = bounded(resamples, len(cells))
    generator, found = np.random.default_rng(SEED), []
    for start in range(0, resamples, size := max(1, _TOGETHER // len(cells))):
        drawn = generator.multinomial(cells.sum(), cells / cells.sum(), size=min(size, resamples - start))
        hits, support, taken = (np.zeros((len(drawn), classes), np.int64) for _ in range(3))
        hits[:, rows[right]] = drawn[:, right]
        _add(support, drawn, rows)
        _add(taken, drawn[:, across], columns[across])
        found.append(values(of_counts(hits, support, taken)))
    here = values(of_counts(np.diagonal(counts), counts.sum(axis=1), counts.sum(axis=0)))
    low, high = np.percentile(np.concatenate(found), ENDS, axis=0)
    return [Measured(*map(float, each)) for each in zip(here, low, high, strict=True)]


def of_sums(each: Array, values: Callable[[Array], Array], *, resamples: int = RESAMPLES) -> list[Measured]:
    """The intervals of numbers (m,) that `values` computes from the mean (q,) of what examples have, `each` (n, q).

    `values` takes means (…, q) and returns (…, m). Examples are drawn with replacement.
    """
    count = len(each)
    resamples = bounded(resamples, count)
    generator, found = np.random.default_rng(SEED), []
    for start in range(0, resamples, size := max(1, _TOGETHER // count)):
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=min(size, resamples - start))
        found.append(values(drawn @ each / count))
    drawn_values = np.concatenate(found)
    known = np.isfinite(drawn_values).all(axis=0)
    low, high = np.percentile(np.where(known, drawn_values, 0.0), ENDS, axis=0)
    low, high = np.where(known, (low, high), np.nan)
    return [Measured(*map(float, own)) for own in zip(values(each.mean(axis=0)), low, high, strict=True)]


def _add(sums: Array, drawn: Array, places: Array) -> None:
    """Adds columns (…, m) to the columns of `sums` at ascending places (m,)."""
    firsts = np.flatnonzero(np.diff(places, prepend=-1))
    sums[:, places[firsts]] = np.add.reduceat(drawn, firsts, axis=1)


def ece_by_chance(confidences: Array, *, resamples: int = RESAMPLES) -> float:
    """The calibration error that 95 % of perfectly calibrated networks with these confidences (n,) stay below.

    A network that is right exactly as often as it says still has an error, as each bin has few answers; an error below
    this one is no sign that a network is badly calibrated. An interval by resampling examples would count the noise of
    the bins twice. Source: Bröcker & Smith 2007, Weather and Forecasting 22:651–661 (consistency resampling).
    """
    bins = bin_of(confidences)
    order = np.argsort(bins, kind="stable")
    ordered, firsts = confidences[order], np.flatnonzero(np.diff(bins[order], prepend=-1))
    sums, count = np.add.reduceat(ordered, firsts), len(ordered)
    resamples = bounded(resamples, count)
    generator, found = np.random.default_rng(SEED), []
    for start in range(0, resamples, size := max(1, _TOGETHER // count)):
        right = generator.random((min(size, resamples - start), count), dtype=np.float32) < ordered
        found.append(np.abs(np.add.reduceat(right, firsts, axis=1, dtype=np.int64) - sums).sum(axis=1) / count)
    return float(np.percentile(np.concatenate(found), 95))


def bounded(resamples: int, each: int) -> int:
    """How many resamples are drawn, each of so many numbers."""
    return min(resamples, max(_DRAWN // each, LEAST_RESAMPLES))
