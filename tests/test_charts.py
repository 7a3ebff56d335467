"""Axes of charts: every value has a place, and labels are different numbers that stand where they say."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.text import Text
from test_figures import overlaps

from runner.charts import Axis, Chart, Mark, Parallel, Section, Tick, scale
from runner.charts.axes import Value, has_place, number_text
from runner.figures import png
from runner.figures.charts import drawn

UNITS = {"M": 6, "G": 9, "T": 12}
INTEGERS = st.lists(st.integers(-(10**9), 10**9), min_size=1, max_size=12)
SEEDS = st.lists(st.integers(0, 2**64), min_size=1, max_size=12)
FLOATS = st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=12)
LOGARITHMS = st.lists(st.floats(-12, 12).map(lambda power: 10**power), min_size=1, max_size=12)
NARROW = st.tuples(st.floats(-1e6, 1e6), st.lists(st.floats(0, 1e-3), min_size=1, max_size=9)).map(
    lambda drawn: [drawn[0] + offset for offset in drawn[1]]
)
COUNTS = st.tuples(st.integers(0, 10**12), st.lists(st.integers(0, 9), min_size=1, max_size=9)).map(
    lambda drawn: [drawn[0] + offset for offset in drawn[1]]
)
NUMBERS = st.one_of(INTEGERS, SEEDS, FLOATS, LOGARITHMS, NARROW, COUNTS)
WORDS = st.lists(st.one_of(st.text(max_size=9), st.booleans(), st.none(), st.integers(), st.floats()), min_size=1)


def read(text: str) -> Decimal:
    """The number of a label, as a person reads it."""
    plain = text.replace(",", "")
    if plain.endswith(" %"):
        return read(plain[:-2]).scaleb(-2)
    return Decimal(plain[:-1]).scaleb(UNITS[plain[-1]]) if plain[-1] in UNITS else Decimal(plain)


def texts(axis: Axis) -> list[str]:
    return [tick.text for tick in axis.ticks]


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        ([39_998, 40_002], ["39,998", "39,999", "40,000", "40,001", "40,002"]),
        ([1_200_000, 2_400_000], ["1.2M", "1.4M", "1.6M", "1.8M", "2M", "2.2M", "2.4M"]),
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], ["2", "4", "6", "8", "10", "12"]),
        ([19.21, 19.26], ["19.21", "19.22", "19.23", "19.24", "19.25", "19.26"]),
        ([1e-4, 0.3], ["1e-4", "0.001", "0.01", "0.1"]),
        ([10, 400], ["10", "20", "50", "100", "200"]),
        ([0.5], ["0.5"]),
        ([math.nan], ["0"]),
        (["adam", "sgd", None, True, 3, 2], ["2", "3", "adam", "sgd", "null", "true"]),
    ],
)
def test_ticks_are_those_that_a_person_would_choose(values: list[Value], labels: list[str]) -> None:
    assert texts(scale(values, "x")[0]) == labels


def test_a_few_values_have_a_tick_each_with_the_digits_that_tell_them_apart() -> None:
    assert texts(scale([4, 6, 8, 16], "filters", each=True)[0]) == ["4", "6", "8", "16"]
    assert texts(scale([0.1, 0.12345, 0.12346], "x", each=True)[0]) == ["0.1", "0.12345", "0.12346"]
    assert texts(scale([0.98, 0.99], "val/accuracy", share=True, each=True)[0]) == ["98 %", "99 %"]


@given(NUMBERS, st.booleans(), st.booleans())
def test_labels_differ_and_stand_where_they_say(values: list[Value], share: bool, each: bool) -> None:
    axis, at = scale(values, "x", share=share, each=each)
    assert len(set(texts(axis))) == len(axis.ticks) >= min(len(set(values)), 2) - (len({at(v) for v in values}) == 1)
    places = [tick.at for tick in axis.ticks]
    assert places == sorted(places)
    for tick in axis.ticks:
        assert 0 <= tick.at <= 1
        assert tick.at == pytest.approx(at(float(read(tick.text))), abs=1e-3)
    assert all(0 <= at(value) <= 1 for value in values)
    assert [value for _, value in sorted((at(value), value) for value in values)] == sorted(values)  # type: ignore[type-var]


@given(st.lists(st.floats(0, 1e6), min_size=1))
def test_bars_begin_at_nothing(values: list[Value]) -> None:
    axis, at = scale(values, "share", bars=True)
    assert at(0) == 0
    assert axis.ticks[0] == Tick(0, "0")
    assert all(at(value) < 1 for value in values)


@given(WORDS)
def test_every_category_has_its_place(values: list[Value]) -> None:
    axis, at = scale(["a word", *values], "x")
    assert axis.words
    assert len(set(texts(axis))) == len(axis.ticks)
    for value in values:
        if has_place(value):
            assert 0 < at(value) < 1


@given(st.decimals(allow_nan=False, allow_infinity=False, places=6), st.integers(-20, 20))
def test_numbers_are_written_exactly(number: Decimal, power: int) -> None:
    assert read(number_text(number.scaleb(power))) == number.scaleb(power)


LONG = [
    "a name that is rather long, number 1",
    "another name that is rather long",
    "一个很长的中文优化器名称",
    "محسّن عربي",
]


@pytest.mark.parametrize(
    "values",
    [
        [39_998, 40_002],
        [1e-4, 0.3],
        [19.213, 19.264],
        LONG,
        pytest.param([f"category {n}" for n in range(40)], marks=pytest.mark.slow),
        [5],
    ],
    ids=["narrow", "logarithms", "seconds", "long names", "many names", "one value"],
)
def test_labels_are_not_printed_over_each_other_in_a_png(values: list[Value]) -> None:
    axis, at = scale(values, "an axis", each=True)
    marks = tuple(Mark("dot", ((at(value), at(value)),), member=0) for value in values)
    chart = Chart("a chart", axis, axis, marks)
    beside = drawn(Section("slices", "", "", (chart, chart, chart, chart)))
    numbers, _ = scale([0.981, 0.993], "val/accuracy", share=True)
    whole = drawn(Section("means", "", "", (Chart("", numbers, axis, marks),), wide=True))
    side = drawn(Section("parallel", "", "", (Parallel((axis, axis, axis), ()),), wide=True))
    for figure in (beside, whole, side):
        assert png(figure)
        assert overlaps(figure) == []
        shown = {text.get_text() for text in figure.findobj(Text)}
        assert shown & set(texts(axis)) or any("…" in text for text in shown)
