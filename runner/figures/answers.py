"""What a network answers to an image: a line that says whether it is right, and the probabilities of the classes."""

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np

from runner.figures.canvas import pictured
from runner.figures.sheet import Sheet, line_height, wrapped
from runner.figures.style import QUIET, RIGHT, TRAIN, VAL, WRONG, Array, percent, short_name

_BARS: Final = 10
_TEXT: Final = 7.5  # points
_OTHER, _EDGE = "#BBBBBB", "#B3B3B3"
# Sizes in inches: an image, the names of classes beside it, the bars, the heading and the height of a bar.
_IMAGE, _NAMES, WIDE, HEADING, BAR = 1.9, 1.35, 2.0, 0.62, 0.215


class Answered(NamedTuple):
    """An image with its name, its true class if it is known, and the probabilities of the classes (k,).

    `text` is what a network of texts reads, in place of the image. `said` is the answer in words, where it is no class.
    """

    image: Array
    name: str
    truth: int | None
    probabilities: Array
    text: str | None = None
    said: str = ""

    @property
    def taken(self) -> int:
        """The class with the largest probability."""
        return int(self.probabilities.argmax())


def verdict(one: Answered, classes: Sequence[str]) -> tuple[str, str]:
    """What the network answers, in a line, and the line's colour."""
    if one.said:
        return short_name(one.said, 90), "black"
    taken, share = short_name(classes[one.taken], 18), percent(float(one.probabilities[one.taken]))
    if one.truth is None:
        return f"{taken}, {share}", "black"
    if one.truth == one.taken:
        return f"right: {taken}, {share}", RIGHT
    return f"wrong: {taken}, {share}; it is {short_name(classes[one.truth], 18)}", WRONG


def class_probabilities(answered: Sequence[Answered], classes: Sequence[str]) -> Sheet:
    """Each image or text with bars of its most probable classes, at most ten, and of the true one."""
    shown = [_shown(one) for one in answered]
    inputs = [Input(one.image, one.name, one.text, *verdict(one, classes)) for one in answered]
    return inputs_beside_bars(
        inputs,
        list(map(len, shown)),
        lambda sheet, place, left: _bars(sheet, answered[place], shown[place], classes, left),
    )


class Input(NamedTuple):
    """An image, or a text in place of it, with its name, and a line above it in a colour."""

    image: Array
    name: str
    text: str | None
    said: str
    colour: str


def inputs_beside_bars(
    inputs: Sequence[Input], bars: Sequence[int], draw: Callable[[Sheet, int, float], None], *, foot: float = 0.0
) -> Sheet:
    """A sheet with inputs beside each other, each with so many bars, and `foot` inches below.

    `draw` draws the bars of an input by its number, from so many inches on.
    """
    wide = _IMAGE + _NAMES + WIDE + 0.55
    room = max(bars) * BAR
    texts = [None if one.text is None else wrapped(one.text, _TEXT, _IMAGE, max(room, _IMAGE)) for one in inputs]
    high = max(room, *(_IMAGE if lines is None else len(lines) * line_height(_TEXT) for lines in texts))
    sheet = Sheet(wide * len(inputs), HEADING + high + 0.2 + foot)
    for place, (one, lines) in enumerate(zip(inputs, texts, strict=True)):
        left = place * wide + 0.12
        sheet.write(left, 0.2, one.said, 10.5, colour=one.colour, bold=True)
        sheet.write(left, 0.41, short_name(one.name, 36), 8, colour=QUIET)
        if lines is None:
            _input(sheet, one.image, left)
        else:
            sheet.paragraph(left, HEADING, lines, _TEXT)
        draw(sheet, place, left + _IMAGE + _NAMES)
    return sheet


def _input(sheet: Sheet, image: Array, left: float) -> None:
    """An image in its shape, or the curves of a signal (length, c)."""
    if image.ndim == 2:
        sheet.curves(image.astype(np.float32), left, HEADING, _IMAGE, _IMAGE, (TRAIN, VAL, QUIET))
        sheet.frame(left, HEADING, _IMAGE, _IMAGE, _EDGE)
        return
    longest = max(image.shape[:2])
    high, wide = (size / longest * _IMAGE for size in image.shape[:2])
    sheet.paste(pictured(image), left, HEADING, wide, high)
    sheet.frame(left, HEADING, wide, high, _EDGE)


def _shown(one: Answered) -> list[int]:
    """The classes that have a bar, the most probable first."""
    order = np.argsort(-one.probabilities, kind="stable")
    kept = [int(place) for place in order[:_BARS]]
    if one.truth is not None and one.truth not in kept:
        kept[-1] = one.truth
    return kept


def _bars(sheet: Sheet, one: Answered, kept: Sequence[int], classes: Sequence[str], left: float) -> None:
    for row, place in enumerate(kept):
        share, middle = float(one.probabilities[place]), HEADING + (row + 0.5) * BAR
        colour = RIGHT if place == one.truth else WRONG if place == one.taken and one.truth is not None else _OTHER
        if one.truth is None and row == 0:
            colour = RIGHT
        sheet.write(left - 0.06, middle, short_name(classes[place], 18), 8, ha="right")
        sheet.fill(left, middle - 0.36 * BAR, share * WIDE, 0.72 * BAR, colour)
        sheet.write(left + share * WIDE + 0.04, middle, percent(share), 7.5, colour=QUIET)
    sheet.fill(left, HEADING, 0, len(kept) * BAR, QUIET)
