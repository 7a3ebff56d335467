"""Batches that come to the device one after another, while later ones are made by other threads.

>>> batches = Batches(examples, 256, placement)
>>> for batch in batches: print(batch.inputs.shape, float(batch.weights.sum()))
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

import jax
import numpy as np

from runner.data import Examples
from runner.data.threads import ahead
from runner.placement import Placement

T = TypeVar("T")
_AHEAD: Final = 2  # results that the host does not wait for


class Batch(NamedTuple):
    """Examples on the device; `weights` (n,) are 0 for those that only fill the batch up."""

    inputs: jax.Array
    labels: jax.Array
    weights: jax.Array


@dataclass(frozen=True, eq=False)
class Batches:
    """Examples cut into batches of one size, made anew in every iteration; the last is filled up with weight 0."""

    examples: Examples
    size: int
    placement: Placement

    def __iter__(self) -> Iterator[Batch]:
        for arrays in ahead(self._made, range(0, len(self.examples), self.size)):
            yield placed(arrays, self.placement)

    def _made(self, start: int) -> tuple[np.ndarray, ...]:
        return filled(self.examples, start, self.size, self.placement)


def placed(arrays: Iterable[np.ndarray], placement: Placement) -> Batch:
    """A batch on the device, of what `filled` gave this process."""
    put = placement.put if placement.processes == 1 else placement.divided
    return Batch(*map(put, arrays))


def filled(examples: Examples, start: int, size: int, placement: Placement) -> tuple[np.ndarray, ...]:
    """Inputs, labels and weights of a batch, filled up with zeros to `size`; of several processes this one's share."""
    share = placement.share(size)
    start, size = start + share.start, share.stop - share.start
    inputs, labels = (array[start : start + size] for array in (examples.inputs, examples.labels))
    missing = size - len(labels)
    weights = np.ones(len(labels), np.float32)
    return tuple(
        np.pad(array, ((0, missing),) + ((0, 0),) * (array.ndim - 1)) if missing else array
        for array in (inputs, labels, weights)
    )


def paced(results: Iterable[T]) -> Iterator[T]:
    """The same results, of which only a few are computed at once: those that wait hold their batches in memory."""
    pending = deque[T]()
    for result in results:
        pending.append(result)
        if len(pending) > _AHEAD:
            jax.block_until_ready(pending.popleft())
        yield result
