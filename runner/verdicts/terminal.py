"""A verdict in a few lines of text: for the end of a run, and for predictions of files whose classes are known."""

import textwrap

from runner.errors import printable
from runner.verdicts.verdict import Verdict

_WEAKEST = 3  # classes that are named
_LONGEST_NAME = 24


def lines(found: Verdict, width: int, *, of: str = "test examples") -> list[str]:
    """The interval of the accuracy, what is reached without a network, and the weakest classes; `of` names examples.

    No line has more than `width` columns. The JSON has all the rest.
    """
    share = found.accuracy
    told = [f"95 % interval {share.low:.2%} to {share.high:.2%} ({found.examples:,} {of})"]
    if found.baselines is not None:
        told.append(_without_network(found))
    told.append(f"balanced accuracy {found.balanced_accuracy.value:.2%}, macro F1 {found.macro[2].value:.4f}")
    if weakest := _weakest(found):
        told.append(weakest)
    chance = f"by chance alone it would be up to {found.ece_by_chance:.4f}"
    told.append(f"calibration error {found.reliability.ece:.4f}; {chance}")
    return [line for text in told for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")]


def _without_network(found: Verdict) -> str:
    """The accuracy of the most frequent class, and of the linear classifier."""
    known = found.baselines
    assert known is not None, "asked only where there are some"
    most = f"the most frequent class {known.majority.accuracy:.2%}"
    if known.linear is None:
        return f"without a network: {most}; no linear classifier, as {known.why_not}"
    side = known.linear.block
    of = "" if side == 1 else f" on means of {side}×{side} pixels"
    return f"without a network: a linear classifier{of} {known.linear.right / found.examples:.2%}, {most}"


def _weakest(found: Verdict) -> str:
    """The classes with examples that have the lowest F1; empty if all answers are right."""
    scores = found.classes.f1
    known = [number for number, support in enumerate(found.classes.support) if support and scores[number] < 1]
    ranked = sorted(known, key=lambda number: float(scores[number]))[:_WEAKEST]
    named = ", ".join(f"{_short(found.names[number])} ({scores[number]:.4f})" for number in ranked)
    return f"lowest F1: {named}" if named else ""


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _LONGEST_NAME else f"{text[: _LONGEST_NAME - 1]}…"
