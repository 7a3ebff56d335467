"""What figures have in common: colours, an empty figure, names and shares as texts.

The colours are those of Okabe & Ito, which colour-blind readers can distinguish (https://jfly.uni-koeln.de/color/).
"""

import re
import unicodedata
from typing import TYPE_CHECKING, Any, Final, Literal

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]

TRAIN, VAL, WRONG, RIGHT, QUIET = "#0072B2", "#D55E00", "#D55E00", "#0072B2", "#666666"
_LONGEST_NAME = 40
# Signs of matplotlib's own font beside Latin, Greek and Cyrillic letters: texts of these need no other font.
_SIGNS: Final = frozenset("…–—‘’“”•×÷→←↑↓−≤≥≈Σ½∞")


def empty_figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> "Figure":
    """An empty figure; sizes are in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def write(
    figure: "Figure",
    x: float,
    down: float,
    text: str,
    size: float,
    *,
    colour: str = "black",
    bold: bool = False,
    ha: Literal["left", "right"] = "left",
    va: Literal["top", "center", "bottom"] = "center",
) -> None:
    """Writes a text at so many inches from the left and from the top of a figure."""
    width, height = figure.get_size_inches()
    weight = "bold" if bold else "normal"
    figure.text(x / width, 1 - down / height, text, fontsize=size, color=colour, fontweight=weight, ha=ha, va=va)


def panel(figure: "Figure", x: float, down: float, wide: float, high: float) -> "Axes":
    """Axes of a size in inches, whose upper left corner is so many inches from the left and the top of a figure."""
    width, height = figure.get_size_inches()
    return figure.add_axes((x / width, 1 - (down + high) / height, wide / width, high / height))


def short_name(name: str, longest: int = _LONGEST_NAME) -> str:
    """A name in at most `longest` columns, without its middle if it is longer: many names differ only at their ends.

    Dollar signs are escaped, because they would start a formula.
    """
    text = name if is_plain(name) else _drawable(name)
    if columns(text) > longest:
        text = f"{_start(text, longest // 2)}…{_end(text, longest - longest // 2 - 1)}"
    if any(unicodedata.bidirectional(char) in ("R", "AL") for char in text):
        text += "\u200e"  # what follows an Arabic or Hebrew name is written to its right
    return text.replace("$", r"\$")


def short_place(place: str, longest: int) -> str:
    """The place or the path of a layer in at most `longest` columns; those of two layers stay different.

    The words for lists go first, then the kinds of the layers around it, and then that of the outermost one:
    `layers[2].stage.layers[0].residual.layers[1].conv` becomes `layers[2].stage[0].residual[1].conv`,
    `layers[2][0][1].conv` or `[2][0][1].conv`; `3_stage.layers.1_basic.layers.0_conv` becomes `3_stage.1_basic.0_conv`,
    `3_stage.1.0_conv` or `3.1.0_conv`.
    """
    if len(place) > longest:
        place = re.sub(r"\.(layers|paths)(?=[.\[])", "", place)
    if len(place) > longest:
        place = re.sub(r"\.(\d+)_[^.\[]+(?=\.)", r".\1", re.sub(r"\.[^.\[]+(?=\[)", "", place))
    if len(place) > longest:
        place = re.sub(r"^layers(?=\[)", "", re.sub(r"^(\d+)_[^.\[]+(?=\.)", r"\1", place))
    return short_name(place, longest)


def is_plain(text: str) -> bool:
    """Whether matplotlib's own font has all characters of a text, and none has to be escaped."""
    return all(
        (char.isprintable() and (char < "\u0250" or "\u0391" <= char <= "\u03c9" or "\u0400" <= char <= "\u045f"))
        or char in _SIGNS
        for char in text
    )  # fmt: skip


def _drawable(name: str) -> str:
    from runner.figures.fonts import drawable  # matplotlib takes its time

    return drawable(name)


def _start(text: str, longest: int) -> str:
    """The longest beginning of a text that fits in so many columns."""
    return text[: _fitting(text, longest)]


def _end(text: str, longest: int) -> str:
    """The longest ending of a text that fits in so many columns, and does not begin with a mark without its letter."""
    start = len(text) - _fitting(text[::-1], longest)
    while start < len(text) and unicodedata.category(text[start]).startswith("M"):
        start += 1
    return text[start:]


def _fitting(signs: str, longest: int) -> int:
    """How many of the first signs fit in so many columns."""
    width = 0
    for count, sign in enumerate(signs):
        width += columns(sign)
        if width > longest:
            return count
    return len(signs)


def columns(text: str) -> int:
    """The width of a text in columns of a terminal: Chinese characters have two, marks above letters none."""
    wide = sum(unicodedata.east_asian_width(char) in "WF" for char in text)
    return len(text) + wide - sum(unicodedata.category(char) in ("Mn", "Me", "Cf") for char in text)


def percent(share: float) -> str:
    """A share in per cent; a share below 1 is never rounded to 100%."""
    return "100%" if share == 1 else f"{min(share * 100, 99.9):.1f}%"
