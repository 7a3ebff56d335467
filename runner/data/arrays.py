"""Arrays saved by NumPy: an .npz with x_train and y_train, and optionally x_val, y_val, x_test and y_test."""

from pathlib import Path
from typing import Literal, Self

import numpy as np
from pydantic import Field, model_validator

from runner.data.examples import Part, Parts, Report
from runner.data.npz import read_npz
from runner.data.source import Name, Ranged
from runner.errors import DataError, must
from runner.records import Record

_NAMES = tuple(f"{axis}_{split}" for axis in "xy" for split in ("train", "val", "test"))


class SignalSize(Record):
    """Length and channels of a one-dimensional input."""

    length: int = Field(ge=1, examples=[128], description="Samples along the axis.")
    channels: int = Field(ge=1, examples=[1], description="Values per sample.")


class Arrays(Ranged):
    """An .npz of uint8 or float32 inputs and integer labels."""

    source: Literal["arrays"]
    name: Name = "arrays"
    axes: Literal["hwc", "lc"] = Field(
        default="hwc", description="Images (n, h, w[, c]), or one-dimensional inputs (n, length[, c])."
    )
    signal: SignalSize | None = Field(default=None, description="Size of one-dimensional inputs; replaces `image`.")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        name = "signal" if self.axes == "hwc" else "image"
        size = getattr(self, name)
        if size is not None:
            raise ValueError(must("", f"leave {name} null for axes={self.axes}", size.model_dump()).text)
        return self

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The declared shape of one input: (h, w, c) or (length, c)."""
        return (self.signal.length, self.signal.channels) if self.signal else super().shape

    def read(self, report: Report) -> Parts:
        """Reads all pairs of the file. Integer inputs other than uint8 are refused, because their range is unknown."""
        path = self.folder
        if path is None or not path.is_file():
            raise DataError(must("data.root", "be an .npz file of arrays", self.root))
        arrays = read_npz(path, _NAMES)
        parts = {name: self._part(path, arrays, name) for name in ("train", "val", "test")}
        train = parts["train"]
        if train is None:
            raise DataError(must(str(path), "hold x_train and y_train", sorted(arrays)))
        return Parts(train=train, val=parts["val"], test=parts["test"])

    def _part(self, path: Path, arrays: dict[str, np.ndarray], name: str) -> Part | None:
        x, y = arrays.get(f"x_{name}"), arrays.get(f"y_{name}")
        if x is None and y is None:
            return None
        if x is None or y is None:
            here, missing = (f"x_{name}", f"y_{name}") if y is None else (f"y_{name}", f"x_{name}")
            raise DataError(must(str(path), f"hold {missing} beside {here}", sorted(arrays)))
        if y.ndim == 2 and y.shape[1] == 1:
            y = y[:, 0]  # the form of Keras' data sets
        place = f"{path}: x_{name}"
        return Part(self._inputs(place, x), y, place, f"{path}: y_{name}")

    def _inputs(self, place: str, x: np.ndarray) -> np.ndarray:
        rank = 1 + len(self.axes)
        if x.ndim == rank - 1:
            x = x[..., None]
        if x.ndim != rank or x.size == 0:
            axes = "(n, h, w[, c])" if self.axes == "hwc" else "(n, length[, c])"
            raise DataError(must(place, f"have the axes {axes}", f"shape {x.shape}"))
        if x.dtype.kind == "f":
            return self._in_range(place, as_float32(place, x))
        if x.dtype != np.uint8:
            raise DataError(must(place, "be of type uint8 or float32", x.dtype))
        if self.range is not None:
            raise DataError(must("data.range", "be null for uint8, whose range is 0 … 255", self.range))
        return x

    def _in_range(self, place: str, x: np.ndarray) -> np.ndarray:
        if self.range is not None:
            black, white = (np.float32(value) for value in self.range)
            low, high = x.min(), x.max()
            if low < black or high > white:
                raise DataError(
                    must(place, f"hold values in data.range ({black:g} to {white:g})", f"{low:g} to {high:g}")
                )
        return x


def as_float32(place: str, values: np.ndarray) -> np.ndarray:
    """Converts floats to float32. Raises DataError with the place and the value that does not fit."""
    if not np.isfinite(values).all():
        raise DataError(must(place, "be finite", "NaN or infinite values"))
    limit = float(np.finfo(np.float32).max)
    low, high = float(values.min()), float(values.max())
    if max(-low, high) > limit:
        raise DataError(
            must(place, f"hold values that fit float32 (±{limit:.2g})", f"{high if high > limit else low:g}")
        )
    if high - low > limit:
        rule = f"hold values that differ by no more than float32 can hold ({limit:.2g})"
        raise DataError(must(place, rule, f"{low:g} to {high:g}"))
    return values.astype(np.float32, copy=False)
