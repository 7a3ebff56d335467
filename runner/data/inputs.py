"""What a trained network reads, from files, images, arrays and texts, with exactly the preprocessing of its training.

>>> Inputs((8, 8, 3), "uint8").of_array(np.zeros((30, 20, 3), np.uint8)).shape
(8, 8, 3)

Needs NumPy and Pillow only: this module is part of every logged model.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from runner.data.broken import BadFileError
from runner.data.pixels import MODES, FileFit, decoded, floats_of, pixels_of
from runner.data.pixels.depth import fitted, values_of
from runner.data.vocabulary import tokens, words
from runner.errors import DataError, Fault, must

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class Inputs:
    """The form of a network's inputs: the shape and the type of one, as they were in the training data.

    `fit` is how an image comes to this size. `range` has the values of black and white for each channel or for all,
    None for bytes, or if they are unknown. `vocabulary` is empty if inputs are not tokens. If it
    `keeps_depth`, values of files are not changed, as `data.depth=keep` reads them.
    """

    shape: tuple[int, ...]
    dtype: str
    fit: FileFit = "resize"
    range: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    vocabulary: tuple[str, ...] = ()
    keeps_depth: bool = False

    @property
    def what(self) -> str:
        """The word for one input: image, text or input."""
        if self.vocabulary:
            return "text"
        return "image" if len(self.shape) == 3 else "input"

    @property
    def rule(self) -> str:
        """The rule for the values of arrays, for errors and the metadata of a logged model."""
        if self.dtype == "uint8":
            return "whole numbers from 0 to 255, of any integer type"
        if self.dtype == "int32":
            last = f" to {len(self.vocabulary) - 1}" if self.vocabulary else ""
            return f"tokens, whole numbers from 0{last}, of any integer type"
        trained = "" if self.range is None else f", in the unit of training: {_ends(*self._extremes(self.range))}"
        return f"finite numbers that fit float32{trained}"

    @property
    def described(self) -> str:
        """What the network reads, in words."""
        arrays = f"arrays (n, {', '.join(map(str, self.shape))})"
        if self.vocabulary:
            return f"texts, or {arrays} of {self.rule}"
        if self.what == "image" and (self.keeps_depth or self.shape[-1] in MODES):
            return f"image files in base64, or arrays (n, height, width, {self.shape[-1]}) of {self.rule}"
        return f"{arrays} of {self.rule}"

    def of_file(self, content: bytes, place: str) -> np.ndarray:
        """The input (h, w, c) of an image file's content. Raises DataError that names `place` if it cannot be used."""
        if self.keeps_depth:
            return self._unchanged(values_of(content, place), place)
        shape = self._image_shape(place)
        return self._in_units(decoded(content, place, lambda image: pixels_of(image, shape, self.fit)))

    def of_image(self, image: "Image", place: str = "images") -> np.ndarray:
        """The input (h, w, c) of a PIL image."""
        return self._in_units(pixels_of(image, self._image_shape(place), self.fit))

    def of_texts(self, texts: Iterable[str]) -> np.ndarray:
        """The inputs (n, length, 1) of texts."""
        return tokens(map(words, texts), self.vocabulary, length=self.shape[0])

    def of_array(self, values: Any, place: str = "images") -> np.ndarray:
        """The input of one array: of an image (h, w[, c]) of any size, or of another input in its own shape.

        Values of uint8 are bytes, for which 0 is black and 255 is white; others have the unit of the training. Raises
        DataError if they have another one, or if the array cannot be an input.
        """
        array = np.asarray(values)
        array = array[..., None] if array.ndim == 2 and len(self.shape) == 3 else array
        as_bytes = self._are_bytes(array)
        if array.shape == self.shape and not as_bytes:
            return self.checked(array, place)
        if len(self.shape) != 3 or array.ndim != 3 or 0 in array.shape:
            raise DataError(must(place, f"have the shape {_shape(self.shape)}{self._or_any()}", _shape(array.shape)))
        if as_bytes or self.dtype == "uint8":
            pixels = (array if as_bytes else self.checked(array, place)).astype(np.uint8)
            if array.shape[-1] in MODES and self.shape[-1] in MODES:
                from PIL import Image

                return self.of_image(Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels))
        elif array.shape[-1] == self.shape[-1]:
            black = np.broadcast_to(np.asarray(self.range[0] if self.range else 0.0, np.float32), self.shape[-1:])
            return floats_of(self.checked(array, place), self._size, self.fit, black).astype(self.dtype)
        raise DataError(must(place, f"have {self.shape[-1]} channels", f"{array.shape[-1]}, in {_shape(array.shape)}"))

    def of_arrays(self, values: np.ndarray) -> np.ndarray:
        """The inputs of an array (n, …); see `of_array`. Images are (n, h, w, c), or (n, h, w) in their own size."""
        own = values.shape[1:]
        if own == self.shape and not self._are_bytes(values):
            return self.checked(values, f"{self.what}s")
        if len(self.shape) == 3 and len(own) != 3 and own != self._size:
            raise DataError(must(f"{self.what}s", "have the shape (n, height, width, channels)", _shape(values.shape)))
        found = [self.of_array(value, f"{self.what}s[{index}]") for index, value in enumerate(values)]
        return np.stack(found) if found else self.nothing()

    def checked(self, values: np.ndarray, place: str = "images") -> np.ndarray:
        """Converts arrays to the type of the inputs; values are unchanged.

        Raises DataError if that is impossible: fractions or 300 for bytes, tokens beyond the vocabulary, infinities.
        Also rejects floats farther from black and white than these are from each other: another unit, 0 … 255 for
        0 … 1.
        """
        dtype = np.dtype(self.dtype)
        if dtype.kind in "ui":
            if values.dtype.kind not in "ui":
                hint = "; multiply 0 … 1 by 255 and round" if self.dtype == "uint8" else ""
                raise DataError(Fault(place, f"must be {self.rule}, got {values.dtype}{hint}"))
            least, most = 0.0, float(len(self.vocabulary) - 1 if self.vocabulary else np.iinfo(dtype).max)
        else:
            if values.dtype.kind not in "uif":
                raise DataError(Fault(place, f"must be {self.rule}, got {values.dtype}"))
            most = float(np.finfo(np.float32).max)
            least = -most
            if self.range is not None:
                black, white = self._extremes(self.range)
                least, most = max(least, 2 * black - white), min(most, 2 * white - black)
        if values.size and not (least <= values.min() and values.max() <= most):
            raise DataError(Fault(place, f"must be {self.rule}, got {values.min():g} to {values.max():g}"))
        return values.astype(dtype, copy=False)

    def nothing(self) -> np.ndarray:
        """No inputs, (0, …)."""
        return np.zeros((0, *self.shape), self.dtype)

    @property
    def _size(self) -> tuple[int, int]:
        return self.shape[0], self.shape[1]

    def _are_bytes(self, array: np.ndarray) -> bool:
        """Whether an array has the bytes of images for a network whose own unit is another one."""
        return bool(array.dtype == np.uint8 and self.dtype not in ("uint8", "int32") and len(self.shape) == 3)

    def _image_shape(self, place: str) -> tuple[int, int, int]:
        if len(self.shape) != 3 or self.shape[-1] not in MODES:
            raise DataError(Fault(place, f"must be arrays for a network that reads {_shape(self.shape)}, got an image"))
        height, width, channels = self.shape
        return height, width, channels

    def _in_units(self, pixels: np.ndarray) -> np.ndarray:
        """Bytes in the type and unit of the training data: black and white are what they were there."""
        if self.dtype == "uint8":
            return pixels
        black, white = (np.asarray(values, np.float32) for values in self.range or ((0.0,), (1.0,)))
        return (black + pixels.astype(np.float32) / 255 * (white - black)).astype(self.dtype)

    def _unchanged(self, values: np.ndarray, place: str) -> np.ndarray:
        """Values of a file in the size of the input. Raises DataError if they have less depth than in training."""
        if (
            values.dtype == np.uint8
            and self.range is not None
            and self._extremes(self.range)[1] > np.iinfo(np.uint8).max
        ):
            raise BadFileError(must(place, "have 16 bits for each channel, as the training images have", 8))
        return self.checked(fitted(values, self.shape, self.fit, place), place)

    def _or_any(self) -> str:
        return " or another height and width" if len(self.shape) == 3 else ""

    @staticmethod
    def _extremes(values: tuple[tuple[float, ...], tuple[float, ...]]) -> tuple[float, float]:
        return min(values[0]), max(values[1])


def _ends(black: float, white: float) -> str:
    return f"{black:g} … {white:g}"


def _shape(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"
