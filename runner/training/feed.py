"""How training images come to the device: all of them once, or those of the next steps at every dispatch.

    >>> feeder = Feeder(examples, placement, batch_size=32, steps_per_epoch=5)
    >>> for chunk in feeder.chunks(order(seed=0, epoch=0, count=len(examples)), steps=5): ...

An accelerator holds the images and is told the order of an epoch, which it goes through in one dispatch. A CPU has
no memory of its own to save copies to: there a dispatch is given the images of its steps, so that the program knows
nothing of how many there are. It takes several steps where they are so short that dispatching each would be felt
(LeNet-5 at batch 32: 1.9 ms a step for 2.2), and where loops are no slower for what it computes.

Of several processes, each reads its own examples of every batch, and every dispatch is one step.

Images of `data.residence=host` or `stream` are copied or decoded by other threads, two dispatches ahead.
"""

import functools
import logging
import math
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

import jax
import numpy as np

from runner.data import Examples
from runner.data.source import Residence
from runner.data.threads import ahead
from runner.data.windows import Windows
from runner.experiment import Program
from runner.layers import sequence
from runner.placement import Placement
from runner.train import Feed

# Of an accelerator's memory, what images may take; the rest is the network's.
_RESIDENT_SHARE: Final = 0.4
# Steps in one dispatch where images do not fit: enough to hide the copying of the next.
STREAMED_STEPS: Final = 16
# Of large images, fewer: the images of up to five dispatches are in memory at once.
_DISPATCHED_BYTES: Final = 32 * 2**20
# The work of one dispatch on a CPU, in floating-point operations: a tenth of a second or less.
DISPATCHED_WORK: Final = 10e9


_log = logging.getLogger(__name__)


class Chunk(NamedTuple):
    """What one dispatch is given: images, the first batch among them, and how many batches there are."""

    feed: Feed
    start: np.int32
    steps: int


def order(seed: int, epoch: int, count: int) -> np.ndarray:
    """The order of `count` training images in an epoch: int32 (count,), the same on every machine."""
    # Random words sorted: NumPy promises the words of a bit generator for ever, and no permutation made of them.
    bits = np.random.Philox(np.random.SeedSequence((seed, zlib.crc32(b"order"), epoch)))
    return bits.random_raw(count).argsort(kind="stable").astype(np.int32)


def balanced_order(seed: int, epoch: int, labels: np.ndarray) -> np.ndarray:
    """An order of an epoch in which each class comes equally often, to within one: int32 (n,), as many as `labels`.

    The images of a class come in random order, and again in another one when all were there: of a frequent class some
    are left out.
    """
    bits = np.random.Philox(np.random.SeedSequence((seed, zlib.crc32(b"balanced order"), epoch)))

    def shuffled(values: np.ndarray) -> np.ndarray:
        return np.asarray(values[bits.random_raw(len(values)).argsort(kind="stable")])

    present, count = shuffled(np.unique(labels)), len(labels)
    chosen = []
    for rank, label in enumerate(present):
        own = np.flatnonzero(labels == label)
        wanted = count // len(present) + (rank < count % len(present))
        rounds = [shuffled(own) for _ in range(-(-wanted // len(own)))]
        chosen.append(np.concatenate([np.empty(0, own.dtype), *rounds])[:wanted])
    return shuffled(np.concatenate(chosen)).astype(np.int32)


class Feeder:
    """Training images on their way to the device."""

    def __init__(
        self,
        examples: Examples,
        placement: Placement,
        *,
        batch_size: int,
        steps_per_epoch: int,
        steps_on_cpu: int = 1,
        residence: Residence = "auto",
    ) -> None:
        self.examples, self.batch_size = examples, batch_size
        on_cpu, room = placement.platform == "cpu", _RESIDENT_SHARE * placement.memory_bytes
        fits = residence == "device" or (residence == "auto" and examples.inputs.nbytes < room)
        self.resident = not on_cpu and fits and not examples.streamed and placement.processes == 1
        if not on_cpu and residence == "auto" and not fits and not examples.streamed:
            _log.info("training images stay on the host, as they would take more than 40 % of the device's memory")
        batch_bytes = max(1, batch_size * math.prod(examples.inputs.shape[1:]) * examples.inputs.dtype.itemsize)
        most = max(1, min(steps_on_cpu if on_cpu else STREAMED_STEPS, _DISPATCHED_BYTES // batch_bytes))
        if placement.processes > 1:  # a batch is divided among devices, and a dispatch of several is not one batch
            most = 1
        self.steps = steps_per_epoch if self.resident else most
        self._placement = placement
        self._held = _held(examples, placement) if self.resident else None
        self._ahead = examples.streamed or residence == "host"

    def chunks(
        self, order: np.ndarray, steps: int, *, start: int = 0, windows: Windows | None = None
    ) -> Iterator[Chunk]:
        """The dispatches of an epoch of `steps` steps, of which `start` have been taken.

        `order` is (n,), or of several members (m, n). With `windows`, images are windows of their files.
        """
        firsts = range(start, steps, self.steps)
        if self._held is not None:
            for first in firsts:
                yield Chunk(self._held._replace(order=order), np.int32(first), min(self.steps, steps - first))
            return

        def made(first: int) -> Chunk:
            return self._copied(order, first, min(self.steps, steps - first), windows)

        yield from ahead(made, firsts) if self._ahead else map(made, firsts)

    def _copied(self, order: np.ndarray, first: int, count: int, windows: Windows | None) -> Chunk:
        """The images of `count` steps from step `first` on."""
        start = first * self.batch_size
        chosen = order[..., start : start + count * self.batch_size]
        places, shared = np.arange(start, start + chosen.shape[-1]), self._placement.processes > 1
        if shared:
            own = self._placement.share(len(chosen))
            chosen, places = chosen[own], places[own]
        images, labels = self._read(chosen, places, windows)
        if shared:
            divided = self._placement.divided
            return Chunk(Feed(divided(images), divided(labels), None), np.int32(0), count)
        missing = (self.steps - count) * self.batch_size
        if missing:  # of a size that the program knows; what fills it up is not looked at
            images, labels = (_filled(array, missing, axis=order.ndim - 1) for array in (images, labels))
        return Chunk(Feed(images, labels, None), np.int32(0), count)

    def _read(self, chosen: np.ndarray, places: np.ndarray, windows: Windows | None) -> tuple[np.ndarray, np.ndarray]:
        """Images and labels of the examples `chosen`, (n,) or (m, n), at these places (n,) in the order of an epoch."""
        inputs = self.examples.inputs
        images = inputs[chosen] if windows is None else inputs.windows(chosen, places, windows)
        return images, self.examples.labels[chosen]


def _filled(array: np.ndarray, missing: int, *, axis: int) -> np.ndarray:
    """The array with so many zeros more along an axis."""
    return np.pad(array, [(0, missing if place == axis else 0) for place in range(array.ndim)])


def steps_on_cpu(program: Program, multiply_adds: int) -> int:
    """Steps in one dispatch on a CPU, for a network of so many multiply-adds for an image."""
    # XLA's own gradients of convolutions are many times slower inside a loop; with groups there are no others.
    if program.lowering == "reference" or any(layer.grouped for layer in sequence.every(program.network.layers)):
        return 1
    work = 6 * multiply_adds * program.batch_size  # a step is three passes, and a multiply-add two operations
    return max(1, min(STREAMED_STEPS, int(DISPATCHED_WORK / max(work, 1))))


# Members of a sweep share the images on the device, whatever their batch sizes; of other data nothing is kept.
@functools.lru_cache(maxsize=2)
def _held(examples: Examples, placement: Placement) -> Feed:
    """The images on the device, filled up so that data of about the same size share a program."""
    count = len(examples)
    grain = 2 ** max(math.ceil(math.log2(count)) - 3, 0)
    missing = -count % grain
    arrays = (examples.inputs, examples.labels)
    padded = (np.pad(array, ((0, missing),) + ((0, 0),) * (array.ndim - 1)) for array in arrays)
    inputs, labels = (jax.device_put(array, placement.everywhere) for array in padded)
    return Feed(inputs, labels, None)
