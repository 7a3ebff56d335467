"""YAML that 1.1 and 1.2 read differently is refused with its line; the rest is read as both read it."""

import math
from typing import Any

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from runner import limits, strict_yaml
from runner.composition.complaints import as_config_errors
from runner.errors import ConfigError
from runner.strict_yaml import read


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("010", "a number without leading zeros"),  # 8 in YAML 1.1, 10 in 1.2
        ("-010", "a number without leading zeros"),
        ("08", "a number without leading zeros"),
        ("00.5", "a number without leading zeros"),
        ("0o17", "a decimal number"),
        ("0b1", "a decimal number"),
        ("1_000", "a number without _"),
        ("0x1_F", "a number without _"),
        ("1_0.5", "a number without _"),
        ("1:30", "a number without :"),  # 90 in YAML 1.1
        ("1:30:00", "a number without :"),
        ("1:30.5", "a number without :"),
        *((word, "true or false") for word in ("yes", "No", "NO", "on", "OFF")),
        ("1e400", "a number that float64 holds"),
        ("695e0514", "a number that float64 holds"),
    ],
)
@pytest.mark.parametrize("form", ["a: 1\nb: {}\n", "a: 1\n{}: b\n", "- 1\n- [{}]\n"])
def test_an_ambiguous_scalar_is_refused_with_its_line(form: str, text: str, rule: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(form.format(text), "conf/model/t.yaml")
    assert str(caught.value) == f"conf/model/t.yaml:2: must be {rule}, or a text in quotes, got {text}"
    assert text in str(read(form.format(f"'{text}'"), "conf/model/t.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("-5", -5), ("+5", 5), ("0x1F", 31), ("1e3", 1e3), ("1e-5", 1e-5), ("1.e5", 1e5), (".5", 0.5),
        (".5e3", 500.0), ("5.", 5.0), (".inf", math.inf), ("-.Inf", -math.inf), ("true", True), ("False", False),
        ("null", None), ("~", None), ("", None), ("y", "y"), ("n", "n"), ("=", "="), ("inf", "inf"), ("nan", "nan"),
        ("2024-01-01", "2024-01-01"), ("08:30", "08:30"), ("1.2.3", "1.2.3"), ("1_a", "1_a"), ("!!str 010", "010"),
    ],
)  # fmt: skip
def test_other_scalars_have_their_values_of_yaml_1_2(text: str, value: Any) -> None:
    found = read(f"k: {text}", "x")["k"]
    assert (type(found), found) == (type(value), value)


def test_signs_of_zero_and_nan_are_kept() -> None:
    assert math.copysign(1, read("k: -0.0", "x")["k"]) == -1
    assert math.isnan(read("k: .nan", "x")["k"])


@pytest.mark.parametrize(
    ("text", "value"), [("010", "010"), ("1:30", "1:30"), ("yes", "yes"), ("0o17", "0o17"), ("1_000", 1000)]
)
def test_overrides_are_read_by_hydras_grammar(text: str, value: Any) -> None:
    assert OverridesParser.create().parse_override(f"a={text}").value() == value


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\na: 2", "x:2: must have every key once, got a again"),
        ("1: a\n1.0: b", "x:2: must have every key once, got 1.0 again"),
        ("a: !!python/name:os.system x", "x:1: must be without tags, got tag:yaml.org,2002:python/name:os.system"),
        ("a: !!int '3'", "x:1: must be without tags, got tag:yaml.org,2002:int"),
        ("? [a]\n: b", "x:1: must have words and numbers as keys, got [a]"),
        ("null: b", "x:1: must have words and numbers as keys, got null"),
        ("a: *b", "x:1: must have anchors before their aliases, got *b"),
        ("a: 1\n---\nb: 2", "x:2: must hold one document, got another"),
        ("a: {<<: 3}", "x:1: must merge mappings, got 3"),
        (f"a: {'9' * 5000}", f"x:1: must be a number of at most {limits.NUMBER_DIGITS} digits, got {'9' * 57}..."),
    ],
)
def test_other_texts_are_refused(text: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(text, "x")
    assert str(caught.value) == line


def test_mappings_are_merged_and_anchors_repeated() -> None:
    assert read("a: &a {b: 1, c: 2}\nd: {<<: *a, c: 3}\ne: [*a]", "x") == {
        "a": {"b": 1, "c": 2},
        "d": {"b": 1, "c": 3},
        "e": [{"b": 1, "c": 2}],
    }


BOMB = "a0: &a0 [x,x,x]\n" + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        (BOMB, "values, including repeats by aliases, got more"),
        ("[" * 3000, "lists and mappings inside one another, got more"),
        ("- " * 3000 + "a", "lists and mappings inside one another, got more"),
        ("- a\n" * 200_000, "values, including repeats by aliases, got more"),
        (f"a: {'x' * 20_000}", "must have texts of at most 16,384 characters, got 20,000"),
        ("# " + "x" * 10_000_000, "must be at most 1,048,576 bytes of YAML, got 10,000,002"),
    ],
)
def test_unbounded_yaml_ends_after_bounded_work(monkeypatch: pytest.MonkeyPatch, text: str, rule: str) -> None:
    events = 0

    def counted(*args: Any, **kwargs: Any) -> Any:
        nonlocal events
        for event in parse(*args, **kwargs):
            events += 1
            yield event

    parse = yaml.parse
    monkeypatch.setattr(strict_yaml.yaml, "parse", counted)
    with pytest.raises(ConfigError) as caught:
        read(text, "x")
    assert rule in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    assert events <= limits.YAML_VALUES + limits.YAML_DEPTH


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text() | st.integers(), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.text(), max_size=3))
def test_quoted_scalars_are_texts(value: dict[str, str]) -> None:
    text = yaml.safe_dump(value, default_style='"', allow_unicode=True)
    with as_config_errors():
        assert read(text, "x") == yaml.safe_load(text) == value
