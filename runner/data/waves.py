"""Signals of four forms, computed from a seed: one-dimensional data that need no files.

>>> Waves(source="waves").form("square", np.array([0.1, 0.6]))
array([ 1., -1.])
"""

import math
import zlib
from typing import Final, Literal

import numpy as np
from pydantic import Field

from runner.data.arrays import SignalSize
from runner.data.examples import Part, Parts, Report
from runner.data.source import Undivided
from runner.data.value_range import Range

_FORMS: Final = ("sine", "square", "triangle", "sawtooth")


class Waves(Undivided):
    """Sine, square, triangle and sawtooth waves of any phase with noise; two to six periods in a signal."""

    source: Literal["waves"]
    name: str = Field(default="waves", min_length=1, description="Name of the data set.")
    signal: SignalSize = Field(SignalSize(length=128, channels=1), description="Length of the signals; one channel.")
    count: int = Field(default=800, ge=8, le=1_000_000, description="Number of signals, of four forms in turn.")
    noise: float = Field(default=0.2, ge=0, description="Largest value that is added to or taken from a sample.")
    classes: int | None = Field(default=4, ge=2, description="Number of classes: 4.")
    class_names: tuple[str, ...] | None = Field(default=_FORMS, min_length=2, description="Names of the forms.")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of a signal, (length, 1)."""
        return self.signal.length, 1

    @property
    def declared_range(self) -> Range:
        return Range((-1 - self.noise,), (1 + self.noise,))

    def read(self, report: Report) -> Parts:
        """Computes the signals, float32; the same on every machine."""
        length, labels = self.signal.length, np.arange(self.count, dtype=np.int32) % len(_FORMS)
        # NumPy promises the words of a bit generator for ever, but not the numbers of its distributions.
        words = np.random.Philox(np.random.SeedSequence((self.split_seed, zlib.crc32(b"waves"))))
        drawn = words.random_raw(self.count * (length + 2)).reshape(self.count, -1) / 2.0**64
        periods, phase, noise = 2 + 4 * drawn[:, :1], drawn[:, 1:2], drawn[:, 2:]
        at = (periods * np.arange(length) / length + phase) % 1
        signals = np.stack([self.form(_FORMS[label], row) for label, row in zip(labels, at, strict=True)])
        signals = signals + self.noise * (2 * noise - 1)
        return Parts(train=Part(signals[..., None].astype(np.float32), labels), classes=self.names(len(_FORMS)))

    @staticmethod
    def form(name: str, at: np.ndarray) -> np.ndarray:
        """Values −1 … 1 of a wave at shares of its period, 0 … 1."""
        match name:
            case "sine":
                return np.sin(2 * math.pi * at)
            case "square":
                return np.where(at < 0.5, 1.0, -1.0)
            case "triangle":
                return 4 * np.abs(at - 0.5) - 1
            case _:
                return 2 * at - 1
