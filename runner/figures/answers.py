"""What a network answers to an image: a line that says whether it is right, and the probabilities of the classes."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from runner.figures.canvas import pictured
from runner.figures.sheet import Sheet, line_height, wrapped
from runner.figures.style import QUIET, RIGHT, TRAIN, VAL, WRONG, Array, percent, short_name

_BARS: Final = 10
TEXT: Final = 7.5  # points
_OTHER, _EDGE = "#BBBBBB", "#B3B3B3"
# Sizes in inches: an image, the names of classes beside it, the bars, the heading and the height of a bar.
IMAGE, NAMES, WIDE, HEADING, BAR = 1.9, 1.35, 2.0, 0.62, 0.215


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
    wide = IMAGE + NAMES + WIDE + 0.55
    bars = max(map(len, shown)) * BAR
    texts = [None if one.text is None else wrapped(one.text, TEXT, IMAGE, max(bars, IMAGE)) for one in answered]
    high = max(bars, *(IMAGE if lines is None else len(lines) * line_height(TEXT) for lines in texts))
    sheet = Sheet(wide * len(answered), HEADING + high + 0.2)
    for place, (one, kept, lines) in enumerate(zip(answered, shown, texts, strict=True)):
        left = place * wide + 0.12
        text, colour = verdict(one, classes)
        sheet.write(left, 0.2, text, 10.5, colour=colour, bold=True)
        sheet.write(left, 0.41, short_name(one.name, 36), 8, colour=QUIET)
        if lines is None:
            draw_input(sheet, one.image, left)
        else:
            sheet.paragraph(left, HEADING, lines, TEXT)
        _bars(sheet, one, kept, classes, left + IMAGE + NAMES)
    return sheet


def draw_input(sheet: Sheet, image: Array, left: float) -> None:
    """An image in its shape, or the curves of a signal (length, c)."""
    if image.ndim == 2:
        sheet.curves(image.astype(np.float32), left, HEADING, IMAGE, IMAGE, (TRAIN, VAL, QUIET))
        sheet.frame(left, HEADING, IMAGE, IMAGE, _EDGE)
        return
    longest = max(image.shape[:2])
    high, wide = (size / longest * IMAGE for size in image.shape[:2])
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
