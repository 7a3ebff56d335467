"""Values on the command line that need quotes: shown with them where Hydra cannot read them."""

import re
import shlex
import string

import pytest
from configurations import composed_here

from runner.errors import ConfigError


@pytest.mark.parametrize(
    "value",
    [
        "photos (1).zip",
        "a=b",
        "données",
        "~/photos",
        "x#1",
        "R&D",
        "it's",
        'say "no"',
        "照片",
        "a;b",
        "(x",
    ],
)
def test_a_value_that_hydra_cannot_read_is_shown_with_the_quotes_it_needs(value: str) -> None:
    with pytest.raises(ConfigError) as told:
        composed_here(f"data.root={value}")
    line = str(told.value)
    start, end = "data.root: must stand in quotes, as in ", f", got {value}"
    assert line.startswith(start)
    assert line.endswith(end)
    # The form that is shown is pasted into a shell, whose words Hydra then reads.
    [word] = shlex.split(line.removeprefix(start).removesuffix(end))
    assert composed_here(word)["data"]["root"] == value


@pytest.mark.parametrize("place", ["inside", "first"])
@pytest.mark.parametrize("sign", string.punctuation)
def test_any_sign_is_taken_or_shown_in_quotes(sign: str, place: str) -> None:
    value = f"/data/a{sign}b" if place == "inside" else f"{sign}ab"
    if value.startswith(("$", "\\")):
        pytest.skip("a name of an interpolation, or an escaped letter")
    line = ""
    try:
        found = composed_here(f"data.root={value}")
    except ConfigError as told:
        line = str(told)
    if line:
        shown = re.search(r"""(?:as in|a text) ('data.root=".*"')(?:, else .*)?, got """, line)
        assert shown, line
        [word] = shlex.split(shown[1])
        found = composed_here(word)
    assert found["data"]["root"] == value


@pytest.mark.parametrize(
    ("value", "rule"),
    [
        ("{64,64,3}", "be a mapping, {name: value, ...}, or stand in quotes if it is text, as in "),
        ("[64,64", "stand in quotes if it is text, as in "),
        ("[a]/b", "stand in quotes if it is text, as in "),
    ],
)
def test_a_list_or_a_mapping_that_cannot_be_read_may_be_meant_as_text(value: str, rule: str) -> None:
    with pytest.raises(ConfigError) as told:
        composed_here(f"data.image={value}")
    end = "" if value.startswith("{") else ", else have closed brackets and quotes"
    assert str(told.value) == f"data.image: must {rule}'data.image=\"{value}\"'{end}, got {value}"


def test_a_text_with_a_comma_is_told_from_a_list_and_from_several_values() -> None:
    with pytest.raises(ConfigError) as told:
        composed_here("train.metrics=a,b")
    assert str(told.value) == (
        "train.metrics: must have one value, or several with -m (--multirun); a list is 'train.metrics=[a,b]', "
        "a text 'train.metrics=\"a,b\"', got a,b"
    )
