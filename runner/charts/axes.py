"""Axes: where values are placed, and ticks whose labels are always different."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

Value = int | float | bool | str | None
Place = Callable[[Value], float]

# The ratio of largest to smallest value from which an axis is logarithmic.
_LOGARITHMIC_RATIO: Final = 30
_FEW: Final = 6
_INTERVALS: Final = 7
_MARGIN: Final = 0.04
_NEAR: Final = 0.002  # of an axis: a pixel
_LARGEST: Final = 1e300  # beyond it, the length of an axis may overflow
_UNITS: Final = ((12, "T"), (9, "G"), (6, "M"))


@dataclass(frozen=True)
class Tick:
    """A label at a place of an axis."""

    at: float
    text: str


@dataclass(frozen=True)
class Axis:
    """The ticks of an axis, ascending, with different texts. `words`: each is a category."""

    title: str
    ticks: tuple[Tick, ...]
    words: bool = False
    log: bool = False


def scale(
    values: Iterable[Value], title: str, *, share: bool = False, each: bool = False, bars: bool = False
) -> tuple[Axis, Place]:
    """An axis on which all values have a place, and the function that gives it.

    Words, truths and null are categories, and make categories of all others. Positive numbers over decades are on a
    logarithmic axis. `share`: numbers are shares, shown in per cent. `each`: a few different numbers have a tick each.
    `bars`: the axis begins at 0. Numbers without a place (NaN,
    infinite) are left out.
    """
    known = [value for value in values if has_place(value)]
    if any(not _is_number(value) for value in known):
        return _of_words(known, title)
    numbers = sorted({value for value in known if isinstance(value, int | float)})
    return _of_numbers([0, *numbers] if bars else numbers or [0], title, share=share, each=each, bars=bars)


def has_place(value: Value) -> bool:
    """Whether a value can be drawn: words can, NaN and infinity cannot."""
    return not _is_number(value) or (isinstance(value, int | float) and abs(value) <= _LARGEST)


def number_text(number: Decimal) -> str:
    """A number as a label, exactly: 0.05, 40,000, 2.5M, 1e-4. Different numbers have different texts."""
    number = number.normalize()
    exponent = number.adjusted()
    if number and not -4 < exponent < 15:
        digits = f"{number.scaleb(-exponent).normalize():f}"
        return f"{digits}e{exponent}"
    for power, unit in _UNITS:
        in_unit = number.scaleb(-power).normalize()
        if exponent >= power and _decimals(in_unit) <= 2:
            return f"{in_unit:f}{unit}"
    return f"{number:,f}"


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _of_words(values: Sequence[Value], title: str) -> tuple[Axis, Place]:
    numbers = sorted(value for value in values if isinstance(value, int | float) and not isinstance(value, bool))
    words = list(dict.fromkeys(_word(value) for value in (*numbers, *(v for v in values if not _is_number(v)))))
    places = {word: (index + 0.5) / len(words) for index, word in enumerate(words)}
    axis = Axis(title, tuple(Tick(round(at, 4), word) for word, at in places.items()), words=True)
    return axis, lambda value: places[_word(value)]


def _word(value: Value) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return repr(value) if isinstance(value, float) else str(value)


def _of_numbers(
    numbers: Sequence[int | float], title: str, *, share: bool, each: bool, bars: bool
) -> tuple[Axis, Place]:
    low, high = float(numbers[0]), float(numbers[-1])
    log = low > 0 and high / low >= _LOGARITHMIC_RATIO and not share
    bent = math.log10 if log else float
    start, end = bent(low), bent(high)
    margin = (end - start) * _MARGIN or abs(start) * 0.05 or 0.5
    start, end = (start, end + margin) if bars else (start - margin, end + margin)
    whole = all(isinstance(number, int) for number in numbers)
    if len(numbers) == 1 or (each and len(numbers) <= _FEW):
        ticks = _exact(numbers, math.inf if log else (end - start) * _NEAR)
    else:
        ticks = _decades(start, end) if log else _steps(start, end, whole)

    def at(value: Value) -> float:
        assert isinstance(value, int | float)
        return (bent(value) - start) / (end - start)

    placed = {at(float(tick)): tick for tick in ticks}  # a tick for each place
    shown = ((round(place, 4), tick) for place, tick in sorted(placed.items()) if 0 <= place <= 1)
    labels = tuple(Tick(place, _share_text(tick) if share else number_text(tick)) for place, tick in shown)
    return Axis(title, labels, log=log), at


def _share_text(share: Decimal) -> str:
    return f"{number_text(share.scaleb(2))} %"


def _exact(numbers: Sequence[int | float], tolerance: float) -> list[Decimal]:
    """The numbers with as few digits, at least four, as tell them apart and change none by more than `tolerance`."""
    for digits in range(4, 18):
        found = [Decimal(number) if isinstance(number, int) else Decimal(f"{number:.{digits}g}") for number in numbers]
        near = all(abs(float(text) - number) <= tolerance for text, number in zip(found, numbers, strict=True))
        if near and len(set(found)) == len(numbers):
            break
    return found


def _decades(start: float, end: float) -> list[Decimal]:
    """Powers of ten between the logarithms of two numbers; between few of them also their double and fivefold."""
    decades = range(math.floor(start), math.ceil(end) + 1)
    factors = (1, 2, 5) if end - start < 3 else (1,)
    every = -(-len(decades) // 10)
    return [Decimal(factor).scaleb(decade) for decade in decades if decade % every == 0 for factor in factors]


def _steps(start: float, end: float, whole: bool) -> list[Decimal]:
    """Multiples of 1, 2 or 5 times a power of ten, between two numbers."""
    width = (end - start) / _INTERVALS
    power = math.floor(math.log10(width))
    steps = (Decimal(factor).scaleb(exponent) for exponent in (power, power + 1) for factor in (1, 2, 5))
    step = next(step for step in steps if float(step) >= width * (1 - 1e-9))
    if whole:
        step = max(step, Decimal(1))
    first, last = math.ceil(Decimal(start) / step), math.floor(Decimal(end) / step)
    return [step * index for index in range(first, last + 1)]


def _decimals(number: Decimal) -> int:
    return max(0, -int(number.as_tuple().exponent))
