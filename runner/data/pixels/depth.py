"""The values of an image file with the depth and the channels that it has: 8 or 16 bits, any number of channels.

>>> values = values_of(content, "cat.png")     # (h, w, c)
>>> values.shape, values.dtype
((375, 500, 3), dtype('uint8'))

Pillow keeps 16 bits of grey images alone, and reads at most four channels. Other files need tifffile and imagecodecs.
This module is part of every logged model.
"""

import functools
import io
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

from runner import limits
from runner.data.broken import BadFileError, BadSizeError, broken
from runner.data.orientation import turn_of, upright
from runner.data.pixels import MODES, FileFit, decoded, floats_of, shape_of
from runner.errors import Fault, must

if TYPE_CHECKING:
    from PIL.Image import Image

Depth = Literal["bytes", "keep"]
_PNG: Final = b"\x89PNG\r\n\x1a\n"
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PNG_GREY: Final = 0
_ORIENTATION: Final = 274
# How an image becomes upright, by the value of its EXIF orientation.
_TURNS: Final[dict[int, Callable[[np.ndarray], np.ndarray]]] = {
    2: lambda values: values[:, ::-1],
    3: lambda values: values[::-1, ::-1],
    4: lambda values: values[::-1],
    5: lambda values: values.swapaxes(0, 1),
    6: lambda values: np.rot90(values, -1),
    7: lambda values: values[::-1, ::-1].swapaxes(0, 1),
    8: lambda values: np.rot90(values),
}


def bits_of(image: "Image") -> int:
    """The bits of a channel in the file of an image that was just opened: 16, or 8 and fewer as 8."""
    # Pillow names the form of the file's pixels, such as RGB;16B, in the tiles that it will decode.
    return 16 if image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in getattr(image, "tile", ())) else 8


def values_of(content: bytes, place: str) -> np.ndarray:
    """The values of an image, uint8 or uint16 (h, w, c), upright.

    Of a TIFF with several pages the first one, unless the pages are its channels. Raises BadFileError that names
    `place`.
    """
    if content[:4] in _TIFF:
        values = _of_tiff(content, place)
    elif content[:8] == _PNG and len(content) > 26 and content[24] == 16 and content[25] != _PNG_GREY:
        values = _of_deep_png(content, place)
    else:
        values = decoded(content, place, functools.partial(_of_pillow, place=place))
    values = values[..., None] if values.ndim == 2 else values
    if values.dtype not in (np.uint8, np.uint16):
        raise BadFileError(must(place, "have 8 or 16 bits for each channel", values.dtype))
    return values


def fitted_values(
    content: bytes, place: str, *, shape: tuple[int, int, int], how: FileFit, rule: str, bits: int
) -> np.ndarray:
    """The values of a file that is fitted to a size, float32 (h, w, c). With a `rule`, it must have that size.

    All files must have the same bits for each channel as the first one. Raises BadFileError that names `place`.
    """
    values = values_of(content, place)
    if rule and values.shape != shape:
        raise BadSizeError(must(place, rule, "×".join(map(str, values.shape))))
    if (own := 8 * values.dtype.itemsize) != bits:
        raise BadFileError(must(place, f"have {bits} bits for each channel, like the first image", own))
    return fitted(values, shape, how, place)


def shape_of_values(content: bytes, place: str) -> tuple[int, int, int]:
    """(h, w, c) of the values of a file. Raises BadFileError that names `place`."""
    height, width, channels = values_of(content, place).shape
    return height, width, channels


def kind_in(content: bytes, place: str) -> tuple[str, str, str]:
    """The format (`JPEG`), the mode of Pillow (`RGB`) and the size (`375×500×3`) of an image, read from its header."""
    try:
        return decoded(content, place, _kind)
    except BadFileError:  # such as a TIFF of more channels than Pillow reads
        values = values_of(content, place)
        mode = f"{values.shape[-1]} channels ({8 * values.dtype.itemsize} bits)"
        return "TIFF", mode, "×".join(map(str, values.shape))


def _kind(image: "Image") -> tuple[str, str, str]:
    mode = f"{image.mode} (16 bits)" if bits_of(image) > 8 and ";16" not in image.mode else image.mode
    return image.format or "unknown", mode, "×".join(map(str, shape_of(image)))


def fitted(values: np.ndarray, shape: tuple[int, ...], how: FileFit, place: str) -> np.ndarray:
    """Values (h, w, c) that are fitted to a size, float32 (h, w, c). Raises BadFileError for other channels."""
    height, width, channels = shape
    if values.shape[-1] != channels:
        raise BadFileError(must(place, f"have {channels} channels", values.shape[-1]))
    if values.shape == shape:
        return values.astype(np.float32)
    return floats_of(values, (height, width), how, np.zeros(channels))


def _of_pillow(image: "Image", place: str) -> np.ndarray:
    if bits_of(image) == 16 and not image.mode.startswith("I"):
        raise _missing(place)
    turn = turn_of(image)
    if not image.mode.startswith("I") and image.mode not in MODES.values():
        image = image.convert("L" if image.mode == "1" else "RGB")
    values = np.asarray(upright(image, turn))
    return values if values.dtype == np.uint8 else values.astype(np.uint16)


def _of_deep_png(content: bytes, place: str) -> np.ndarray:
    """A PNG of 16 bits in colour, or with transparency."""
    try:
        import imagecodecs
    except ImportError as error:
        raise _missing(place) from error
    _check_pixels(struct.unpack(">II", content[16:24]), place)
    orientation = decoded(content, place, lambda image: (image.load(), image.getexif().get(_ORIENTATION))[1])
    return _turned(_read(lambda: imagecodecs.png_decode(content), place), orientation)


def _of_tiff(content: bytes, place: str) -> np.ndarray:
    try:
        import tifffile
    except ImportError as error:
        try:
            return decoded(content, place, functools.partial(_of_pillow, place=place))
        except BadFileError:
            raise _missing(place) from error

    def values() -> np.ndarray | None:
        with tifffile.TiffFile(io.BytesIO(content)) as file:
            page = file.pages.first
            if page.bitspersample < 8 or page.photometric in (tifffile.PHOTOMETRIC.PALETTE, tifffile.PHOTOMETRIC.YCBCR):
                return None
            # The channels of some programs are pages.
            whole = file.series[0] if sorted(file.series[0].axes) == ["C", "X", "Y"] else page
            _check_pixels([size for axis, size in zip(whole.axes, whole.shape, strict=True) if axis in "XY"], place)
            found = whole.asarray()
            if whole.axes[0] in "CS":
                found = np.moveaxis(found, 0, -1)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and found.dtype.kind == "u":
                found = np.iinfo(found.dtype).max - found
            tag = page.tags.get(_ORIENTATION)
            return _turned(found, tag and tag.value)

    found = _read(values, place)
    return decoded(content, place, functools.partial(_of_pillow, place=place)) if found is None else found


def _turned(values: np.ndarray, orientation: Any) -> np.ndarray:
    return np.ascontiguousarray(_TURNS[orientation](values)) if orientation in _TURNS else values


def _check_pixels(size: Any, place: str) -> None:
    height, width = size
    if height * width > limits.IMAGE_PIXELS:
        got = f"{width:,} × {height:,}"
        raise BadFileError(must(place, f"have at most {limits.IMAGE_PIXELS:,} pixels", got))


def _read(values: Callable[[], Any], place: str) -> Any:
    """What a library reads. Raises BadFileError for whatever it raises: it parses what anybody may have written."""
    try:
        return values()
    except BadFileError:
        raise
    except Exception as error:
        raise BadFileError(*broken(place, "be an image that decodes", error).faults) from error


def _missing(place: str) -> BadFileError:
    needed = "must be read by tifffile and imagecodecs, which are not installed: pip install 'convrunner[depth]'"
    return BadFileError(Fault(place, needed))
