"""Rotates photographs upright by the EXIF orientation of their files, as every viewer does.

>>> image.size, upright(image, turn_of(image)).size     # of a camera that was held upright
((4, 2), (2, 4))

Source of the values: CIPA DC-008 (Exif 2.32), tag 274, Orientation.
"""

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

_ORIENTATION = 274
# Pillow's errors for a broken EXIF block. Viewers show such a file unrotated.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, struct.error)


def turn_of(image: "Image") -> "Transpose | None":
    """The transposition that makes an open image upright, or None. Does not decode a JPEG, so `draft` still works."""
    from PIL.Image import Transpose

    # The EXIF of a PNG may follow the pixels; Pillow itself turns a TIFF when it loads it, and deletes its orientation.
    if image.format in ("PNG", "TIFF"):
        image.load()  # outside `try`, as broken pixels are an error
    try:
        value = image.getexif().get(_ORIENTATION)
    except _BROKEN:
        return None
    turns = (
        Transpose.FLIP_LEFT_RIGHT,
        Transpose.ROTATE_180,
        Transpose.FLIP_TOP_BOTTOM,
        Transpose.TRANSPOSE,
        Transpose.ROTATE_270,
        Transpose.TRANSVERSE,
        Transpose.ROTATE_90,
    )
    return turns[value - 2] if isinstance(value, int) and 2 <= value <= 8 else None


def turned(size: tuple[int, int], turn: "Transpose | None") -> tuple[int, int]:
    """Exchanges width and height if the transposition does."""
    from PIL.Image import Transpose

    sideways = (Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)
    return (size[1], size[0]) if turn in sideways else size


def upright(image: "Image", turn: "Transpose | None") -> "Image":
    """The image after its transposition."""
    return image if turn is None else image.transpose(turn)
