"""The pixels of an image file: upright, with the wanted channels, and brought to one size.

>>> decoded(content, "cat.jpg", lambda image: pixels_of(image, (8, 8, 3), "resize")).shape
(8, 8, 3)

Needs NumPy and Pillow only: this module is part of every logged model. Pillow releases the interpreter lock while it
decodes, so large images use every core.
"""

import functools
import io
import math
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Literal, TypeVar

import numpy as np

from runner import limits
from runner.data.broken import BadFileError, BadSizeError, broken
from runner.data.orientation import turn_of, turned, upright
from runner.errors import must

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

FileFit = Literal["resize", "crop", "pad"]
Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a window, in pixels."""
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp")
MODES: Final = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
VERSION: Final = 3  # increase this when a change here decodes the same files to other pixels
_FORMATS = ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP")
_CHANNELS = {mode: channels for channels, mode in MODES.items()}
# Other modes that a file may have, and the mode to which each is converted.
_READ_AS = {"1": "L", "I": "L", "I;16": "L", "I;16B": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
# Pillow's errors for broken files of these formats.
_BROKEN = (
    *(
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
        LookupError,
        TypeError,
        AttributeError,
        ArithmeticError,
        RuntimeError,
    ),
    struct.error,
)

T = TypeVar("T")


def decoded(found: bytes, place: str, use: Callable[["Image"], T]) -> T:
    """Returns `use(image)` of a file's content. Raises BadFileError that names `place` if it cannot be decoded."""
    from PIL import Image, UnidentifiedImageError

    if found[:2] in (b"II", b"MM"):
        _silence_libtiff()
    try:
        with Image.open(io.BytesIO(found), formats=_FORMATS) as image:
            if image.width * image.height > limits.IMAGE_PIXELS:
                got = f"{image.width:,} × {image.height:,}"
                raise BadFileError(must(place, f"have at most {limits.IMAGE_PIXELS:,} pixels", got))
            if image.mode == "F" or (image.mode == "I" and image.format == "TIFF"):
                raise BadFileError(must(place, "have 8 or 16 bits for each channel", "32"))
            return use(image)
    except Image.DecompressionBombError as error:
        raise BadFileError(must(place, f"have at most {limits.IMAGE_PIXELS:,} pixels", "far more")) from error
    except UnidentifiedImageError as error:
        start = f"a file that starts with {found[:8].hex()}" if found else "an empty file"
        raise BadFileError(must(place, "be a JPEG, PNG, GIF, TIFF, BMP or WebP image", start)) from error
    except _BROKEN as error:
        raise BadFileError(*broken(place, "be an image that decodes", error).faults) from error


@functools.cache
def _silence_libtiff() -> None:
    """Keeps libtiff from printing the faults of a file, which Pillow raises as well; it stays silent."""
    import ctypes

    from PIL import _imaging

    with suppress(OSError, AttributeError):  # where Pillow has libtiff within itself
        library = ctypes.CDLL(_imaging.__file__)
        library.TIFFSetErrorHandler(None)
        library.TIFFSetWarningHandler(None)


def fitted_pixels(content: bytes, place: str, *, shape: tuple[int, int, int], how: FileFit, rule: str) -> np.ndarray:
    """The pixels of a file that is fitted to a size, uint8 (h, w, c). With a `rule`, it must have that size already."""

    def pixels(image: "Image") -> np.ndarray:
        if rule and (found := shape_of(image)) != shape:
            raise BadSizeError(must(place, rule, "×".join(map(str, found))))
        return pixels_of(image, shape, how)

    return decoded(content, place, pixels)


def shape_in(content: bytes, place: str, *, whole: bool) -> tuple[int, int, int]:
    """(h, w, c) of an image file after its rotation to upright. If `whole`, all of it is decoded."""
    return decoded(content, place, functools.partial(shape_of, whole=whole))


def shape_of(image: "Image", *, whole: bool = False) -> tuple[int, int, int]:
    """(h, w, c) of an open image after its rotation to upright. If `whole`, all of it is decoded."""
    if whole:
        image.load()
    turn = turn_of(image)  # first, as it may load the image
    mode = _READ_AS.get(image.mode, image.mode)
    width, height = turned(image.size, turn)
    return height, width, _CHANNELS.get(mode, 3)


def pixels_of(image: "Image", shape: tuple[int, int, int], how: FileFit) -> np.ndarray:
    """The pixels of an open image that is fitted to a size, uint8 (h, w, c)."""
    height, width, channels = shape
    fitted = _sized(_converted(image, shape, how), (width, height), how)
    return np.frombuffer(fitted.tobytes(), np.uint8).reshape(height, width, channels)


def window_of(image: "Image", shape: tuple[int, int, int], choose: Callable[[tuple[int, int]], Box]) -> np.ndarray:
    """The window of an open image that `choose` names for its upright size (h, w), resized to uint8 (h, w, c).

    Bilinear with antialiasing, as images are fitted.
    """
    from PIL import Image

    height, width, channels = shape
    turn = turn_of(image)
    wide, tall = turned(image.size, turn)
    left, top, right, bottom = choose((tall, wide))
    needed = math.ceil(2 * width * wide / (right - left)), math.ceil(2 * height * tall / (bottom - top))
    whole = _upright(image, turn, channels, needed)
    part = round(wide / whole.width)  # 1, 2, 4 or 8; the last row and column may stand for fewer pixels
    box = left / part, top / part, right / part, bottom / part
    found = whole.resize((width, height), Image.Resampling.BILINEAR, box=box)
    return np.frombuffer(found.tobytes(), np.uint8).reshape(shape)


def floats_of(values: np.ndarray, size: tuple[int, int], how: FileFit, black: np.ndarray) -> np.ndarray:
    """Values (h, w, c) that are fitted to a size (h, w) as images are, float32; borders have the value `black` (c,)."""
    from PIL import Image

    planes = [
        np.asarray(_sized(Image.fromarray(plane), (size[1], size[0]), how, color=float(border)))
        for plane, border in zip(np.moveaxis(values.astype(np.float32), -1, 0), black, strict=True)
    ]
    return np.stack(planes, axis=-1)


def _converted(image: "Image", shape: tuple[int, int, int], how: FileFit) -> "Image":
    """The image upright and in the wanted mode."""
    height, width, channels = shape
    turn = turn_of(image)
    is_resized = turned(image.size, turn) != (width, height) and how != "crop"
    return _upright(image, turn, channels, (2 * width, 2 * height) if is_resized else None)


def _upright(image: "Image", turn: "Transpose | None", channels: int, needed: tuple[int, int] | None) -> "Image":
    """The image upright and in the mode of so many channels.

    A JPEG is decoded at ½, ¼ or ⅛ size if that leaves the `needed` width and height, twice those of the result.
    """
    from PIL import Image

    if needed is not None:
        image.draft(None, turned(needed, turn))
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion would clip values at 255.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode != MODES[channels]:
        image = image.convert(MODES[channels])
    return upright(image, turn)


def _sized(image: "Image", target: tuple[int, int], how: FileFit, *, color: float | None = None) -> "Image":
    """The image in the wanted size (w, h), with its proportions kept."""
    from PIL import Image, ImageOps

    if image.size == target:
        return image
    if how == "resize":
        return ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    if how == "pad":
        # The value of a pixel of floats is a float.
        return ImageOps.pad(image, target, Image.Resampling.BILINEAR, color=color)  # type: ignore[arg-type]
    left, top = (image.width - target[0]) // 2, (image.height - target[1]) // 2
    return image.crop((left, top, left + target[0], top + target[1]))
