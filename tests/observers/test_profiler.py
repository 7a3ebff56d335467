"""The trace of training, read as Perfetto reads it."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from configurations import UNTRACKED, tiny

from runner.observers.profiler import TRACE
from runner.run import run
from runner.training.member import Context


def trace_of(folder: Path, *overrides: str, dispatches: int | None) -> list[dict[str, Any]]:
    profile = f"train.profile={'null' if dispatches is None else dispatches}"
    run(tiny("train.lowering=reference", "data.limit=160", profile, *overrides), Context(folder, UNTRACKED))
    path = folder / TRACE
    if not path.exists():
        return []
    # https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU: what Perfetto calls JSON traces.
    events: list[dict[str, Any]] = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return events


@pytest.mark.parametrize("dispatches", [3, pytest.param(1000, marks=pytest.mark.slow)])
def test_operations_of_the_step_are_in_it_as_often_as_it_ran(tmp_path: Path, dispatches: int) -> None:
    events = trace_of(tmp_path, "train.epochs=2", dispatches=dispatches)
    complete = [event for event in events if event.get("ph") == "X"]
    assert all({"name", "ts", "dur", "pid", "tid"} <= set(event) for event in complete)
    calls = sorted((event["ts"], -event["dur"]) for event in complete if event["name"] == "PjitFunction(advance)")
    steps: list[tuple[float, float]] = []
    for start, negated in calls:  # JAX notes each call twice, one within the other
        if not steps or start >= steps[-1][1]:
            steps.append((start, start - negated))
    # Two epochs of 5 batches; the first was before.
    assert len(steps) == min(dispatches, 9)
    operations = {event["args"]["hlo_op"] for event in complete if "hlo_op" in event.get("args", {})}
    assert len(operations) > 5


def test_nothing_is_traced_unless_asked(tmp_path: Path) -> None:
    assert trace_of(tmp_path, dispatches=None) == []
