"""Layer lists that cannot be read: what is told beside their faults is right, and nothing is told that is not wrong."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.layers import KINDS
from runner.layers.base import Layer
from runner.layers.repair import repaired
from runner.model import Model
from runner.records import frozen

# Every window here has just the room it needs.
NET: list[Any] = [
    {"conv": {"filters": 6, "kernel_size": [5, 5], "stride": 1, "padding": [[1, 1], [1, 1]], "use_bias": True}},
    {"max_pool": {"size": 3, "stride": 2, "ceil_mode": True, "dilation": 1}},
    {"repeat": {"times": 2, "layers": ["relu", {"avg_pool": {"size": 2, "stride": 1, "padding": 0}}]}},
    {"conv": {"filters": 4, "kernel_size": 2, "kernel_init": {"normal": {"stddev": 0.1}}}},
    "flatten",
    {"dense": {"units": 10}},
]
LARGER: list[Any] = [
    {"conv_transpose": {"filters": 2, "kernel_size": 3, "stride": 3, "dilation": 2, "output_padding": 2, "padding": 1}},
    {"max_pool": {"size": 32}},  # (10 − 1) · 3 + 5 − 2 + 2
]
SIZED: list[Any] = [{"adaptive_avg_pool": {"size": [12, 12]}}, {"max_pool": {"size": 12}}]
SHAPE = (10, 10, 1)


def kinds(layers: tuple[Layer, ...] | None) -> list[str]:
    assert layers is not None
    return [layer.kind for layer in layers]


def guessed(entries: Any) -> list[str]:
    """What is told of how the layers fit, where the list itself could not be read."""
    layers = repaired(frozen(entries))
    assert layers is not None
    model = Model(name="guessed", layers=layers)
    return [str(fault) for fault in model.survey(SHAPE, 10, guessed=True).faults]


def broken(value: Any, by: Any) -> Iterator[Any]:
    """The value with each part of it in turn replaced."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from ({**value, key: other} for other in broken(item, by))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from ([*value[:index], other, *value[index + 1 :]] for other in broken(item, by))
    yield by


def test_the_net_itself_fits() -> None:
    assert kinds(repaired(frozen(NET))) == ["conv", "max_pool", "repeat", "conv", "flatten", "dense"]
    assert Model(name="net", layers=repaired(frozen(NET))).survey(SHAPE, 10).faults == []  # type: ignore[arg-type]


@pytest.mark.parametrize("by", ["broken", -7, {}, [], True], ids=str)
def test_nothing_is_told_of_what_fits_but_for_one_value(by: Any) -> None:
    for entries in broken(NET, by):
        if isinstance(entries, list) and entries:
            assert guessed(entries) == [], entries


@pytest.mark.parametrize("by", ["broken", -7, {}, [], True], ids=str)
@pytest.mark.parametrize("net", [LARGER, SIZED], ids=["conv_transpose", "adaptive_avg_pool"])
def test_a_layer_that_makes_maps_larger_is_guessed_to_make_them_large(net: list[Any], by: Any) -> None:
    assert guessed(net) == []
    [(kind, arguments)] = net[0].items()
    for name in arguments:
        for entry in ({**arguments, name: by}, {key: own for key, own in arguments.items() if key != name}):
            if name in ("size", "kernel_size", "filters") or name in entry:
                assert guessed([{kind: entry}, *net[1:]]) == [], entry


def test_a_window_that_never_fits_is_told_beside_what_cannot_be_read() -> None:
    for entries in broken(NET[:3], "broken"):
        if isinstance(entries, list):
            lines = guessed([*entries, {"max_pool": {"size": 40}}])
            assert len(lines) == 1
            assert "max_pool.size: must fit the " in lines[0]
            assert lines[0].endswith("got 40×40")


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["cnov", "rellu"], ["conv", "relu"]),
        ([{"cnov": {"filters": 3, "kernel_size": 3}}], ["conv"]),
        (["nothing like it", 3, {"a": 1, "b": 2}], ["relu", "relu", "relu"]),
        ([["relu", ["tanh"]], "maxpool"], ["relu", "tanh", "max_pool"]),
        ([{"repeat": {"layers": ["cnov"]}}, {"repeat": {"times": 2}}, {"repeat": 3}], ["repeat"] * 3),
        ([{"conv": None}, {"conv": 3}, {"conv": ["relu"]}], ["conv"] * 3),
        ([], []),
    ],
    ids=str,
)
def test_the_nearest_that_can_be_read(entries: Any, expected: list[str]) -> None:
    assert kinds(repaired(frozen(entries))) == expected


def test_what_can_be_read_is_kept() -> None:
    layers = repaired(frozen([{"cnov": {"filters": 3, "kernel_size": 5, "stride": "two", "paddding": 1}}]))
    assert layers == (KINDS["conv"](filters=3, kernel_size=5),)
    [repeat] = repaired(frozen([{"repeat": {"times": "two", "layers": ["tahn", ["cnov", "elu"]]}}])) or ()
    assert [layer.kind for layer in getattr(repeat, "layers")] == ["tanh", "conv", "elu"]  # noqa: B009 - any kind may come


@pytest.mark.parametrize("entries", ["relu", None, 3, {"relu": {}}], ids=str)
def test_what_is_no_list_is_left_alone(entries: Any) -> None:
    assert repaired(frozen(entries)) is None


words = st.sampled_from([*KINDS, "cnov", "size", "layers", "times", "padding", "kernel_size", ""])
anything = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 12) | st.floats() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(anything, max_size=4))
def test_anything_is_read_or_left_alone(entries: Any) -> None:
    layers = repaired(frozen(entries))
    assert layers is None or all(isinstance(layer, Layer) for layer in layers)
    if layers:
        Model(name="guessed", layers=layers).survey(SHAPE, 10, guessed=True)
