"""Several labels of an example: the probability of each, and whether it is given rightly."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from runner.figures.answers import BAR, HEADING, IMAGE, NAMES, TEXT, WIDE, draw_input
from runner.figures.sheet import Sheet, line_height, wrapped
from runner.figures.style import QUIET, RIGHT, WRONG, Array, percent, short_name

_BARS: Final = 12
_FOOT: Final = 0.3


class Labelled(NamedTuple):
    """An example with its name, the probabilities of the labels (k,) and, if known, which of them hold (k,).

    `text` is what a network of texts reads, in place of the image.
    """

    image: Array
    name: str
    probabilities: Array
    holds: Array | None
    text: str | None = None


def label_probabilities(examples: Sequence[Labelled], names: Sequence[str], threshold: float) -> Sheet:
    """Each example with bars of its labels; of many the most probable and those that hold."""
    shown = [_shown(one) for one in examples]
    wide = IMAGE + NAMES + WIDE + 0.55
    bars = max(map(len, shown)) * BAR
    texts = [None if one.text is None else wrapped(one.text, TEXT, IMAGE, max(bars, IMAGE)) for one in examples]
    high = max(bars, *(IMAGE if lines is None else len(lines) * line_height(TEXT) for lines in texts))
    sheet = Sheet(wide * len(examples), HEADING + high + _FOOT + 0.1)
    for place, (one, kept, lines) in enumerate(zip(examples, shown, texts, strict=True)):
        left = place * wide + 0.12
        text, colour = _verdict(one, threshold)
        sheet.write(left, 0.2, text, 10.5, colour=colour, bold=True)
        sheet.write(left, 0.41, short_name(one.name, 36), 8, colour=QUIET)
        if lines is None:
            draw_input(sheet, one.image, left)
        else:
            sheet.paragraph(left, HEADING, lines, TEXT)
        _bars(sheet, one, kept, names, threshold, left + IMAGE + NAMES)
    note = f"bold: the label holds; blue: given or left out rightly, orange: wrongly; line: the threshold {threshold:g}"
    sheet.write(0.12, HEADING + high + _FOOT - 0.05, note, 7.5, colour=QUIET)
    return sheet


def _shown(one: Labelled) -> list[int]:
    """The labels that have a bar, in their own order."""
    count = len(one.probabilities)
    holds = np.zeros(count) if one.holds is None else one.holds
    kept = np.argsort(-(one.probabilities + holds), kind="stable")[:_BARS]
    return sorted(map(int, kept))


def _verdict(one: Labelled, threshold: float) -> tuple[str, str]:
    if one.holds is None:
        return "", "black"
    wrong = int(((one.probabilities >= threshold) != (one.holds > 0)).sum())
    if not wrong:
        return "all labels right", RIGHT
    return f"{wrong} of {len(one.probabilities)} labels wrong", WRONG


def _bars(
    sheet: Sheet, one: Labelled, kept: Sequence[int], names: Sequence[str], threshold: float, left: float
) -> None:
    for row, place in enumerate(kept):
        share, middle = float(one.probabilities[place]), HEADING + (row + 0.5) * BAR
        holds = one.holds is not None and bool(one.holds[place] > 0)
        is_right = one.holds is None or (share >= threshold) == holds
        sheet.write(left - 0.06, middle, short_name(names[place], 18), 8, ha="right", bold=holds)
        sheet.fill(left, middle - 0.36 * BAR, share * WIDE, 0.72 * BAR, RIGHT if is_right else WRONG)
        sheet.write(left + max(share, threshold) * WIDE + 0.04, middle, percent(share), 7.5, colour=QUIET)
    sheet.fill(left, HEADING, 0, len(kept) * BAR, QUIET)
    sheet.fill(left + threshold * WIDE, HEADING, 0, len(kept) * BAR, QUIET)
