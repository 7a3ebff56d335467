"""Photographs as the camera was held: the turn that a file's EXIF tells, which every viewer applies.

>>> image.size, upright(image, turn_of(image)).size     # of a camera that was held upright
((4, 2), (2, 4))

Source of the values: CIPA DC-008 (Exif 2.32), tag 274, Orientation.
"""

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image, Transpose

_ORIENTATION = 274
# What Pillow raises for an EXIF block that is broken: viewers show such a file as it is stored.
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, LookupError, TypeError, AttributeError, struct.error)


def turn_of(image: "Image") -> "Transpose | None":
    """The turn that makes an open image upright, or None. A JPEG is not decoded by it, so that `draft` still works."""
    from PIL.Image import Transpose

    if image.format == "PNG":
        image.load()  # its EXIF may come after the pixels; a fault of these is not one of the EXIF
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
    """Width and height after a turn, or before it."""
    from PIL.Image import Transpose

    sideways = (Transpose.TRANSPOSE, Transpose.ROTATE_270, Transpose.TRANSVERSE, Transpose.ROTATE_90)
    return (size[1], size[0]) if turn in sideways else size


def upright(image: "Image", turn: "Transpose | None") -> "Image":
    """The image after its turn."""
    return image if turn is None else image.transpose(turn)
