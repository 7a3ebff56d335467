"""JPEG, PNG, BMP and WebP files to arrays of one size, decoded in threads.

Pillow lets other threads run while it decodes, so that large images use every core.
"""

import functools
import hashlib
import io
import struct
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from runner import cores, limits
from runner.data.broken import broken
from runner.data.decoded import kept
from runner.data.examples import Report
from runner.data.files import Tree
from runner.data.orientation import turn_of, turned, upright
from runner.data.source import ImageSize
from runner.data.threads import in_threads
from runner.errors import DataError, must

if TYPE_CHECKING:
    from PIL.Image import Image

FileFit = Literal["resize", "crop", "pad"]
SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")
MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_FORMATS = ("JPEG", "PNG", "BMP", "WEBP")
_CHANNELS = {mode: channels for channels, mode in MODES.items()}
# What a file may hold beside these modes, and the one that it is read as.
_READ_AS = {"1": "L", "I": "L", "I;16": "L", "I;16B": "L", "La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
_TOLD = 500  # a line tells how many images are decoded after every so many of them, and at each tenth at most
_FORM = 3  # to be raised when the same files come to other pixels here

T = TypeVar("T")


@dataclass(frozen=True)
class Images:
    """Image files that are decoded when they are asked for.

    With a `size` each is fitted to it; without, all must have the size and the mode of the first file.
    """

    tree: Tree
    paths: Sequence[str]
    size: ImageSize | None
    how: FileFit
    report: Report

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """uint8, as every file is decoded to."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, h, w, c). Raises DataError where the size is to be the first file's, and that cannot be read."""
        return (len(self.paths), *self._fitted_size.shape)

    @functools.cached_property
    def _fitted_size(self) -> ImageSize:
        # The first file of all, not of the chosen ones, so that what is held out has its size too.
        with _without_warnings():
            return self.size or self._opened(self.paths[0], _size_of)

    def __getitem__(self, index: Any, /) -> np.ndarray:
        """The images at these indices, uint8 (n, h, w, c). Raises DataError that names the file at fault."""
        chosen = [self.paths[place] for place in np.asarray(index)]
        size = self._fitted_size
        with _without_warnings():
            return kept(
                self._form(chosen, size),
                (len(chosen), *size.shape),
                contents=functools.partial(self._contents, chosen),
                decode=functools.partial(self._decoded, chosen, size),
            )

    def _form(self, chosen: list[str], size: ImageSize) -> str:
        """Names the files by their paths, and how they are decoded."""
        from PIL import __version__

        return _short(repr((_FORM, __version__, size.shape, self.size is None, self.how, chosen)).encode())

    def _contents(self, chosen: list[str]) -> str:
        """Names what the files hold."""
        return _short(b"".join(self.tree.contents(chosen)))

    def _decoded(self, chosen: list[str], size: ImageSize) -> np.ndarray:
        count, tenths = len(chosen), 0
        images = np.empty((count, *size.shape), np.uint8)

        def decode(index: int) -> None:
            images[index] = self._pixels(chosen[index], size)

        def tell(done: int) -> None:
            nonlocal tenths
            shown = done if done == count else done - done % _TOLD
            if 10 * shown // count > tenths:
                tenths = 10 * shown // count
                self.report(f"decoded {shown:,} of {count:,} images")

        in_threads(count, decode, threads=min(cores.available(), 16), told=tell)
        return images

    def _pixels(self, path: str, size: ImageSize) -> np.ndarray:
        def pixels(image: "Image") -> np.ndarray:
            if self.size is None and _size_of(image) != size:
                rule = f"be {size} like the first image, or data.image be set"
                raise DataError(must(f"{self.tree.root}/{path}", rule, _size_of(image)))
            fitted = _fitted(image, size, self.how)
            return np.frombuffer(fitted.tobytes(), np.uint8).reshape(size.shape)

        return self._opened(path, pixels)

    def _opened(self, path: str, use: Callable[["Image"], T]) -> T:
        """`use` of an image file; whatever is wrong with the file is an error that names it."""
        from PIL import Image, UnidentifiedImageError

        content = self.tree.read(path, most=limits.IMAGE_FILE_BYTES)
        place = f"{self.tree.root}/{path}"
        faults = (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, struct.error)
        try:
            with Image.open(io.BytesIO(content), formats=_FORMATS) as image:
                if image.width * image.height > limits.IMAGE_PIXELS:
                    got = f"{image.width:,} × {image.height:,}"
                    raise DataError(must(place, f"have {limits.IMAGE_PIXELS:,} pixels at most", got))
                return use(image)
        except Image.DecompressionBombError as error:
            raise DataError(must(place, f"have {limits.IMAGE_PIXELS:,} pixels at most", "far more")) from error
        except UnidentifiedImageError as error:
            start = f"a file that starts with {content[:8].hex()}" if content else "an empty file"
            raise DataError(must(place, "be a JPEG, PNG, BMP or WebP image", start)) from error
        except faults as error:
            raise broken(place, "be an image that decodes", error) from error


def _short(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keeps Pillow's warnings of large images and of broken EXIF from the terminal: this module decides about both.

    Entered by the thread that waits for the others, since Python's filters belong to all threads.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield


def _size_of(image: "Image") -> ImageSize:
    """The size of an open image once it is upright, and its channels."""
    mode = _READ_AS.get(image.mode, image.mode)
    width, height = turned(image.size, turn_of(image))
    return ImageSize(height=height, width=width, channels=_CHANNELS.get(mode, 3))


def _fitted(image: "Image", size: ImageSize, how: FileFit) -> "Image":
    """An image upright, in the mode and size that is asked for, its proportions kept."""
    from PIL import Image, ImageOps

    target, mode, turn = (size.width, size.height), MODES[size.channels], turn_of(image)
    if turned(image.size, turn) != target and how != "crop":
        # A JPEG is decoded at ½, ¼ or ⅛ where that leaves at least twice the pixels that are needed.
        image.draft(None, turned((2 * size.width, 2 * size.height), turn))
    if image.mode.startswith("I"):
        # 16-bit greys: Pillow's own conversion would clip them at 255.
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
