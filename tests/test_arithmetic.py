"""Arithmetic in YAML against Python's own, and what is refused."""

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner import arithmetic

VALUES: dict[str, Any] = {"a": 7, "b": 2, "long_name_2": 5, "rate": 0.5, "on": True, "word": "relu", "t": (1, (2, 3))}


def computed(text: str) -> Any:
    """The value of a text, or the fault that it has."""
    try:
        return arithmetic.value(text, VALUES)
    except ValueError as error:
        return f"fault: {error}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a", 7),
        (" $a ", 7),
        ("$rate", 0.5),
        ("$on", True),
        ("$word", "relu"),
        ("$t", (1, (2, 3))),
        ("$t[0]", 1),
        ("$t[1][1]", 3),
        ("$a + $b * 3", 13),
        ("($a + $b) * 3", 27),
        ("$a*$b", 14),
        ("$a - $b - 1", 4),
        ("$a // $b", 3),
        ("-$a // $b", -4),
        ("2 * -$b", -4),
        ("$a - -1", 8),
        ("64 * 2", 128),
        ("$long_name_2 * $t[1][0]", 10),
        ("(($a))", 7),
    ],
)
def test_values(text: str, expected: Any) -> None:
    assert arithmetic.refers(text)
    assert arithmetic.value(text, VALUES) == expected


@pytest.mark.parametrize("text", ["relu", "same", "64", "-1", "", "3x3", "conv-relu", "1e-3", "2026/11/21", "*" * 300])
def test_other_texts_are_not_evaluated(text: str) -> None:
    assert not arithmetic.refers(text)


OPERATORS = "be integers and $names joined by + - * //"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("$a // 0", "must not divide by zero, got $a // 0"),
        ("$a // ($b - 2)", "must not divide by zero, got $a // ($b - 2)"),
        ("$rate * 2", "must compute with integers only, not 0.5, got $rate * 2"),
        ("$on + 1", "must compute with integers only, not true, got $on + 1"),
        ("$word + 1", "must compute with integers only, not relu, got $word + 1"),
        ("$t * 2", "must compute with integers only, not [1, [2, 3]], got $t * 2"),
        ("$a ** $b", f"must {OPERATORS}, got $a ** $b"),
        ("$a / $b", f"must {OPERATORS}, got $a / $b"),
        ("$a * 1.5", f"must {OPERATORS}, got $a * 1.5"),
        ("$a + b", f"must {OPERATORS}, got $a + b"),
        ("$a $b", f"must {OPERATORS}, got $a $b"),
        ("$a +", f"must {OPERATORS}, got $a +"),
        ("+$a", f"must {OPERATORS}, got +$a"),
        ("$", f"must {OPERATORS}, got $"),
        ("$9", f"must {OPERATORS}, got $9"),
        ("$a()", f"must {OPERATORS}, got $a()"),
        ("$a.real", f"must {OPERATORS}, got $a.real"),
        ("$a if $b else 1", f"must {OPERATORS}, got $a if $b else 1"),
        ("__import__('os')$a", f"must {OPERATORS}, got __import__('os')$a"),
        ("$a < 3", f"must {OPERATORS}, got $a < 3"),
        ("$c", 'unknown parameter "c"; must be one of a, b, long_name_2, on, rate, t, word'),
        ("$long_name * 2", 'unknown parameter "long_name"; did you mean "long_name_2"?'),
        ("$t[2]", "must take one of the 2 entries of t, from 0, got $t[2]"),
        ("$a[0]", "must take an entry of a list, not of 7, got $a[0]"),
        ("9999999 * 9999999 * 999", "must stay below 9,007,199,254,740,992, got 9999999 * 9999999 * 999"),
    ],
)
def test_faults(text: str, expected: str) -> None:
    assert arithmetic.refers(text)
    assert computed(text) == f"fault: {expected}"


@pytest.mark.parametrize(
    "text",
    ["$a * " * 100 + "1", "(" * 95 + "$a" + ")" * 95, "(" * 100 + "$a", "-" * 190 + "$a", "$a" + "[0]" * 5000],
    ids=len,
)
def test_long_or_deep_texts_are_computed_or_refused(text: str) -> None:
    found = computed(text)
    assert isinstance(found, int) or found.startswith("fault: must")


@given(
    st.recursive(
        st.integers(0, 99).map(str) | st.just("$a"),
        lambda below: st.builds("({} {} {})".format, below, st.sampled_from(["+", "-", "*", "//"]), below),
        max_leaves=8,
    )
)
def test_it_computes_as_python_does(text: str) -> None:
    if not arithmetic.refers(text):
        return
    try:
        expected = eval(compile(ast.parse(text.replace("$a", "7"), mode="eval"), "", "eval"))  # the test's own text
    except ZeroDivisionError:
        expected = None
    found = computed(text)
    if expected is None or isinstance(found, str):
        assert "not divide by zero" in found or "stay below" in found or len(text) > 200
    else:
        assert found == expected


@given(st.text(alphabet="$ab_[]()0129+-*/ .\n\u2028x", max_size=40))
def test_any_text_gives_a_value_or_a_fault(text: str) -> None:
    if arithmetic.refers(text) and isinstance(found := computed(text), str) and found.startswith("fault"):
        assert "must" in found or "unknown" in found
