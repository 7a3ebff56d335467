"""Several labels of an example: the probability of each, and whether it is given rightly."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from runner.figures.answers import BAR, HEADING, WIDE, Input, inputs_beside_bars
from runner.figures.sheet import DPI, Sheet
from runner.figures.style import QUIET, RIGHT, WRONG, Array, percent, short_name

_BARS: Final = 12
_FOOT: Final = 0.2


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
    inputs = [Input(one.image, one.name, one.text, *_verdict(one, threshold)) for one in examples]
    sheet = inputs_beside_bars(
        inputs,
        list(map(len, shown)),
        lambda sheet, place, left: _bars(sheet, examples[place], shown[place], names, threshold, left),
        foot=_FOOT,
    )
    note = f"bold: the label holds; blue: given or left out rightly, orange: wrongly; line: the threshold {threshold:g}"
    sheet.write(0.12, sheet.size[1] / DPI - 0.15, note, 7.5, colour=QUIET)
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
