"""A white picture with texts, pictures and bars at places in inches, drawn by Pillow.

matplotlib takes half a second to import, which is most of what a figure of a short run would cost. Only texts with
letters that are not plain (`style.is_plain`) are drawn by it, as it finds their fonts and joins their letters.

>>> sheet = Sheet(2, 1)
>>> sheet.write(0.1, 0.5, "layers[0].conv", 8)
>>> sheet.size
(300, 150)
"""

import functools
import importlib.util
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runner.figures.style import Array, columns, is_plain, short_name

DPI: Final = 150
_FINE: Final = 4  # curves are drawn this many times as large, and made smaller

Across = Literal["left", "right"]
Along = Literal["top", "center", "bottom"]


class Written(NamedTuple):
    """A text of a sheet, and the pixels that it covers: left, top, right, bottom."""

    text: str
    box: tuple[float, float, float, float]


class Sheet:
    """A white picture of so many inches."""

    def __init__(self, width: float, height: float) -> None:
        self._image = Image.new("RGB", (round(width * DPI), round(height * DPI)), "white")
        self._draw = ImageDraw.Draw(self._image)
        self.texts: list[Written] = []

    @property
    def size(self) -> tuple[int, int]:
        """The width and the height in pixels."""
        return self._image.size

    def write(
        self,
        x: float,
        down: float,
        text: str,
        size: float,
        *,
        colour: str = "black",
        bold: bool = False,
        ha: Across = "left",
        va: Along = "center",
    ) -> None:
        """Writes a text of so many points at so many inches from the left and from the top."""
        text = text.replace(r"\$", "$")
        left, top = x * DPI, down * DPI
        if not is_plain(text):
            self._picture_of_text(left, top, text, size, colour, bold, ha, va)
            return
        font = _font(size, bold)
        anchor = ("l" if ha == "left" else "r") + {"top": "a", "center": "m", "bottom": "d"}[va]
        self._draw.text((left, top), text, fill=colour, font=font, anchor=anchor)
        self.texts.append(Written(text, self._draw.textbbox((left, top), text, font=font, anchor=anchor)))

    def paragraph(self, x: float, down: float, lines: Sequence[str], size: float) -> None:
        """Writes lines below each other."""
        for number, line in enumerate(lines):
            self.write(x, down + (number + 0.5) * line_height(size), line, size)

    def _picture_of_text(
        self, left: float, top: float, text: str, size: float, colour: str, bold: bool, ha: Across, va: Along
    ) -> None:
        from runner.figures.fonts import text_picture

        picture = Image.fromarray(text_picture(text, size, DPI, colour=colour, bold=bold))
        x = round(left if ha == "left" else left - picture.width)
        y = round(top - {"top": 0.0, "center": 0.5, "bottom": 1.0}[va] * picture.height)
        self._image.paste(picture, (x, y), picture)
        self.texts.append(Written(text, (x, y, x + picture.width, y + picture.height)))

    def paste(
        self, picture: Array, x: float, down: float, wide: float | None = None, high: float | None = None
    ) -> None:
        """Puts a picture (h, w, 3) in 0 … 1 there: pixel by pixel, or in so many inches."""
        pixels = Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))
        if wide is not None and high is not None:
            pixels = pixels.resize((round(wide * DPI), round(high * DPI)), Image.Resampling.NEAREST)
        self._image.paste(pixels, (round(x * DPI), round(down * DPI)))

    def fill(self, x: float, down: float, wide: float, high: float, colour: str) -> None:
        """Fills a rectangle; one without a width or a height is a line."""
        left, top = round(x * DPI), round(down * DPI)
        right, bottom = round((x + wide) * DPI), round((down + high) * DPI)
        self._draw.rectangle((left, top, max(right - 1, left), max(bottom - 1, top)), fill=colour)

    def frame(self, x: float, down: float, wide: float, high: float, colour: str) -> None:
        """Draws a thin line around a rectangle."""
        corners = (round(x * DPI), round(down * DPI), round((x + wide) * DPI), round((down + high) * DPI))
        self._draw.rectangle(corners, outline=colour)

    def curves(self, values: Array, x: float, down: float, wide: float, high: float, colours: tuple[str, ...]) -> None:
        """Draws the columns of values (n, c) as curves that fill a rectangle."""
        width, height = round(wide * DPI) * _FINE, round(high * DPI) * _FINE
        fine = Image.new("RGB", (width, height), "white")
        draw, margin = ImageDraw.Draw(fine), 0.04 * height
        low, span = float(values.min()), float(np.ptp(values)) or 1.0
        across = np.linspace(margin, width - margin, len(values))
        for number, column in enumerate(values.T):
            up = height - margin - (column - low) / span * (height - 2 * margin)
            points = list(zip(across.tolist(), up.tolist(), strict=True))
            draw.line(points, fill=colours[number % len(colours)], width=round(1.7 * _FINE), joint="curve")
        self._image.paste(fine.reduce(_FINE), (round(x * DPI), round(down * DPI)))

    def png(self) -> bytes:
        """The sheet as a file."""
        buffer = io.BytesIO()
        self._image.save(buffer, format="png", compress_level=3, dpi=(DPI, DPI))
        return buffer.getvalue()

    @property
    def pixels(self) -> Array:
        """The colours (h, w, 3), uint8."""
        return np.asarray(self._image)


def line_height(size: float) -> float:
    """The height in inches of a line of a paragraph, in letters of so many points."""
    return 1.35 * size / 72


def wrapped(text: str, size: float, wide: float, high: float) -> list[str]:
    """The words of a text in lines that fill a rectangle of so many inches, as many as it has room for."""
    most, lines = max(int(high / line_height(size)), 1), [""]
    for word in text.split():
        longer = f"{lines[-1]} {short_name(word, 24)}".lstrip()
        if not lines[-1] or inches(longer, size) <= wide:
            lines[-1] = longer
        else:
            lines.append(short_name(word, 24))
    return lines if len(lines) <= most else [*lines[: most - 1], "…"]


def inches(text: str, size: float, *, bold: bool = False) -> float:
    """The width of a text of so many points; only about that of one which matplotlib draws."""
    text = text.replace(r"\$", "$")
    if is_plain(text):
        return _font(size, bold).getlength(text) / DPI
    return 0.65 * size / 72 * columns(text)


@functools.cache
def _font(size: float, bold: bool) -> ImageFont.FreeTypeFont:
    """The font that comes with matplotlib, in so many points."""
    spec = importlib.util.find_spec("matplotlib")
    assert spec is not None, "it is installed with this package"
    assert spec.origin is not None, "a package has a file"
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(spec.origin).parent / "mpl-data/fonts/ttf" / name
    return ImageFont.truetype(str(path), size * DPI / 72, layout_engine=ImageFont.Layout.BASIC)
