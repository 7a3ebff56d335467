"""Any mutation of an experiment parses, or is reported in one line for every fault."""

import copy
import math
from typing import Any

from configurations import composed, parse, report
from hypothesis import given, settings
from hypothesis import strategies as st

from runner import describe
from runner.errors import ConfigError
from runner.experiment import parameters
from runner.layers import KINDS

JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 3, 10**30, -(10**30), 2**31, 2**63, 1.5, -0.5, math.nan, math.inf, -math.inf, 1e308,
    "", " ", "x" * 5000, "nan", "1e5", "ünï\u2028cödé\n\x00", "\ud800", "🐍", "{a}", "${x}", "relu", "conv", "$width",
    [], {}, [[]], [1, 2], [[1, 2], [3, 4]], [None], [[[[]]]], (1,), b"bytes", {"a": 1}, {1: 2}, {"": ""}, {"x\ny": 1},
    {True: 1}, {None: 1}, {1.5: 2}, {"conv": {}}, {"conv": None}, {"name": 3}, {"name": "adam"}, ["relu"], ["conv"],
    *({kind: {}} for kind in KINDS), *KINDS,
]  # fmt: skip
KEYS: list[Any] = ["x", "", "name", "layers", "kernel_size", "source", "a.b", "a[0]", "\n", "\udcff", 3, None, True]
BASES = (
    (),
    ("data=mnist", "augment=mnist_affine", "optimizer=momentum", "schedule=step"),
    ("data=folder", "augment=cutmix", "optimizer=lamb", "schedule=warmup_cosine", "loss=hinge"),
    ("data=cifar100", "augment=colour", "optimizer.name=adafactor", "loss=squared_error", "schedule=onecycle"),
    ("data=arrays", "debug=overfit", "tracking=server"),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a configuration below its root."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, item in inside for found in ((*path, key), *places(item, (*path, key)))]


def at(value: Any, path: tuple[Any, ...]) -> Any:
    """What stands at a path."""
    for part in path:
        value = value[part]
    return value


@st.composite
def mutations(draw: st.DrawFn) -> dict[str, Any]:
    """A valid configuration with up to five things dropped, renamed, moved, wrapped or replaced by junk."""
    config = composed(*draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 5))):
        found = places(config)
        if not found:
            break
        path = draw(st.sampled_from(found))
        above, key = at(config, path[:-1]), path[-1]
        match draw(st.sampled_from(["drop", "rename", "add", "move", "list", "mapping", "junk", "text", "number"])):
            case "drop":
                del above[key]
            case "rename" if isinstance(above, dict):
                above[draw(st.sampled_from(KEYS))] = above.pop(key)
            case "rename" | "add" if isinstance(above, list):
                above.insert(key, copy.deepcopy(draw(st.sampled_from(JUNK))))
            case "add":
                above[draw(st.sampled_from(KEYS))] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            case "move":
                above[key] = copy.deepcopy(at(config, draw(st.sampled_from(found))))
            case "list":
                above[key] = [above[key]]
            case "mapping":
                above[key] = {draw(st.sampled_from(["a", "conv", "repeat", "name"])): above[key]}
            case "junk":
                above[key] = copy.deepcopy(draw(st.sampled_from(JUNK)))
            case "text":
                above[key] = draw(st.text(max_size=20))
            case _:
                above[key] = draw(st.integers() | st.floats())
    return config


def check(error: ConfigError) -> None:
    """Every fault has a place, and is said once and on one line."""
    assert len(set(error.faults)) == len(error.faults)
    for fault in error.faults:
        line = str(fault)
        assert fault.path
        assert line.startswith(f"{fault.path}: ") or not fault.path.isprintable()
        assert line.isprintable()


@settings(max_examples=600)
@given(config=mutations())
def test_any_mutation_parses_or_is_reported_line_by_line(config: dict[str, Any]) -> None:
    try:
        found = parse(config)
    except ConfigError as error:
        check(error)
        return
    hash(found)
    assert all(isinstance(value, str) for value in parameters(found).values())
    if found.data.shape is not None and found.data.class_count is not None:
        describe.as_text(found)


@settings(max_examples=100)
@given(
    config=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=10,
    ).filter(lambda value: isinstance(value, dict))
)
def test_any_mapping_at_all_is_reported(config: dict[str, Any]) -> None:
    assert {"model", "data", "optimizer", "train"} <= {line.split(":")[0] for line in report(config)} | set(config)
