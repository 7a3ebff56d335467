"""Decodes JPEG, PNG, GIF, TIFF, BMP and WebP files to arrays of one size, in threads; animations by their first frame.

Pillow releases the interpreter lock while it decodes, so large images use every core.
"""

import functools
import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from runner import cores, limits
from runner.data.broken import BadFileError, BadSizeError, broken
from runner.data.examples import Report
from runner.data.files import FileTree, content
from runner.data.image_cache import cached
from runner.data.orientation import turn_of, turned, upright
from runner.data.source import ImageSize
from runner.data.threads import in_tenths, in_threads
from runner.errors import must, shown

if TYPE_CHECKING:
    from PIL.Image import Image

FileFit = Literal["resize", "crop", "pad"]
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".tif", ".tiff", ".bmp", ".webp")
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
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
_VERSION = 3  # increase this when a change here decodes the same files to other pixels

T = TypeVar("T")


@dataclass(frozen=True)
class Images:
    """Image files that are decoded when they are indexed.

    With a `size`, each image is fitted to it; without, all must have the size and channels of the first file.
    """

    tree: FileTree
    paths: Sequence[str]
    size: ImageSize | None
    how: FileFit
    report: Report

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, the type of all decoded images."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c). Raises DataError if the size is that of the first file, and it cannot be read."""
        return (len(self.paths), *self._fitted_size.shape)

    @functools.cached_property
    def _fitted_size(self) -> ImageSize:
        # The first of all files, not of the chosen ones, so that every part has the same size.
        with without_warnings():
            return self.size or opened(self.tree, self.paths[0], size_of)

    def __getitem__(self, index: Any, /) -> np.ndarray:
        """The images at these indices, uint8 (n, h, w, c). Raises DataError that names the file at fault."""
        chosen = [self.paths[place] for place in np.asarray(index)]
        size = self._fitted_size
        with without_warnings():
            return cached(
                self._key(chosen, size),
                (len(chosen), *size.shape),
                digest=functools.partial(self._digest, chosen),
                decode=functools.partial(self._decoded, chosen, size),
            )

    def _key(self, chosen: list[str], size: ImageSize) -> str:
        """A digest of the files' paths and of the way they are decoded."""
        return short_digest(repr((*decoder(), size.shape, self.size is None, self.how, chosen)).encode())

    def _digest(self, chosen: list[str]) -> str:
        """A digest of the files' contents."""
        return short_digest(b"".join(self.tree.digests(chosen)))

    def _decoded(self, chosen: list[str], size: ImageSize) -> np.ndarray:
        images = np.empty((len(chosen), *size.shape), np.uint8)

        def decode(index: int) -> None:
            images[index] = self._pixels(chosen[index], size)

        progress = in_tenths(len(chosen), "decoded", "images", report=self.report)
        in_threads(len(chosen), decode, threads=min(cores.available(), 16), progress=progress)
        return images

    def _pixels(self, path: str, size: ImageSize) -> np.ndarray:
        def pixels(image: "Image") -> np.ndarray:
            if self.size is None and size_of(image) != size:
                raise BadSizeError(must(f"{self.tree.root}/{path}", size_rule(size), size_of(image)))
            return pixels_of(image, size, self.how)

        return opened(self.tree, path, pixels)


def opened(tree: FileTree, path: str, use: Callable[["Image"], T]) -> T:
    """Returns `use(image)` of an opened file. Raises BadFileError that names the file if it cannot be decoded."""
    from PIL import Image, UnidentifiedImageError

    place = f"{tree.root}/{path}"
    found = content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES)
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


def decoder() -> tuple[int, str]:
    """What the pixels of a file depend on: the versions of this module and of Pillow."""
    from PIL import __version__

    return _VERSION, __version__


def short_digest(content: bytes) -> str:
    """The first 32 hexadecimal digits of the SHA-256."""
    return hashlib.sha256(content).hexdigest()[:32]


@contextmanager
def without_warnings() -> Iterator[None]:
    """Hides Pillow's warnings about large images and broken EXIF; this module handles both itself.

    Used in the main thread only, because Python's warning filters are shared by all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def size_rule(size: ImageSize) -> str:
    """The rule of images that are not fitted to a size, with the setting that fits them to one."""
    return f"be {size} like the first image, or be fitted to it by 'data.image={shown(size.model_dump())}'"


def size_of(image: "Image", *, whole: bool = False) -> ImageSize:
    """The size of an open image after its rotation to upright, and its channels. If `whole`, all of it is decoded."""
    if whole:
        image.load()
    turn = turn_of(image)  # first, as it may load the image
    mode = _READ_AS.get(image.mode, image.mode)
    width, height = turned(image.size, turn)
    return ImageSize(height=height, width=width, channels=_CHANNELS.get(mode, 3))


def pixels_of(image: "Image", size: ImageSize, how: FileFit) -> np.ndarray:
    """The pixels of an open image that is fitted to a size, uint8 (h, w, c)."""
    return np.frombuffer(_fitted(image, size, how).tobytes(), np.uint8).reshape(size.shape)


def _fitted(image: "Image", size: ImageSize, how: FileFit) -> "Image":
    """The image upright, in the wanted mode and size, with its proportions kept."""
    from PIL import Image, ImageOps

    target, mode, turn = (size.width, size.height), MODES[size.channels], turn_of(image)
    if turned(image.size, turn) != target and how != "crop":
        # A JPEG is decoded at ½, ¼ or ⅛ size if that leaves at least twice the needed width and height.
        image.draft(None, turned((2 * size.width, 2 * size.height), turn))
    if image.mode.startswith("I"):
        # 16-bit grey: Pillow's own conversion would clip values at 255.
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode != mode:
        image = image.convert(mode)
    image = upright(image, turn)
    if image.size == target:
        return image
    if how == "resize":
        return ImageOps.fit(image, target, Image.Resampling.BILINEAR)
    if how == "pad":
        return ImageOps.pad(image, target, Image.Resampling.BILINEAR)
    left, top = (image.width - size.width) // 2, (image.height - size.height) // 2
    return image.crop((left, top, left + size.width, top + size.height))
