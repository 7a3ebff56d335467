"""A training compared with its repetition, metric by metric."""

import json
import math
from pathlib import Path
from typing import Any

import pytest

from runner import repeating
from runner.circumstances import Circumstances
from runner.errors import ConfigError
from runner.repeating import Compared, Record, compared, verdict

THERE = Record(
    name="lenet5",
    status="FINISHED",
    circumstances=Circumstances({"jax": "0.10"}, lowerings=("native", "portable")),
    history=({"val/loss": 0.5, "images_per_second": 9.0}, {"val/loss": 0.25, "images_per_second": 8.0}),
    once={"test/accuracy": 0.75, "seconds/train": 3.0},
)


def like(*losses: float, **changes: Any) -> Record:
    """A repetition with these losses."""
    fields = {**vars(THERE), "history": tuple({"val/loss": loss} for loss in losses), **changes}
    return Record(**fields)


@pytest.mark.parametrize(
    ("here", "worst"),
    [
        (like(0.5, 0.25), "equal to the bit"),
        (like(0.5, math.nextafter(0.25, 1)), "equal within rounding"),
        (like(0.5, 0.25 * (1 + 0.9 * repeating.ROUNDING)), "equal within rounding"),
        (like(0.5, 0.25 * (1 + 1.1 * repeating.ROUNDING)), "not equal"),
        (like(0.5, math.nan), "not equal"),
        (like(0.5), "not equal"),
        (like(0.5, 0.25, once={"test/accuracy": 0.5}), "not equal"),
        (like(0.5, 0.25, once={}), "not equal"),
        (like(0.5, 0.25, weights="ab"), "equal to the bit"),  # there, nothing was kept
    ],
)
def test_the_worst_metric_gives_the_verdict(here: Record, worst: str) -> None:
    assert verdict(compared(THERE, here)) == worst


def test_each_metric_says_where_it_differs_most() -> None:
    found = compared(THERE, like(0.5, 0.2, once={"test/accuracy": 0.75}))
    assert [one.name for one in found] == ["val/loss", "test/accuracy"]
    assert (found[0].epoch, found[0].count) == (2, 2)
    assert found[0].difference == pytest.approx(0.2)
    assert found[1] == Compared("test/accuracy", "equal to the bit", 1)
    [missing, _] = compared(THERE, like(0.5))
    assert missing.detail == "2 epochs there, 1 here"


def test_two_nans_are_equal_and_two_zeros_are_not() -> None:
    there = like(math.nan, 0.0)
    assert compared(there, like(math.nan, 0.0))[0].verdict == "equal to the bit"
    assert compared(there, like(math.nan, -0.0))[0].verdict == "equal within rounding"


@pytest.mark.parametrize("status", ["KILLED", "PRUNED", "FAILED", ""])
def test_a_run_that_did_not_finish_is_compared_as_far_as_it_came(status: str) -> None:
    there = like(0.5, status=status, once={"best/epoch": 1.0})
    assert [one.count for one in compared(there, like(0.5, 0.25))] == [1]
    assert verdict(compared(there, like(0.5, 0.25))) == "equal to the bit"
    assert verdict(compared(like(status=status), like(0.5))) == "not equal", "nothing was compared"


def test_weights_with_other_bits_are_rounding_at_the_least() -> None:
    there = like(0.5, 0.25, weights="ab")
    assert verdict(compared(there, like(0.5, 0.25, weights="cd"))) == "equal within rounding"
    assert verdict(compared(there, like(0.5, 0.1, weights="cd"))) == "not equal"


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    repeating.write(tmp_path, THERE)
    assert repeating.read(tmp_path) == THERE
    (tmp_path / "network.json").write_text(json.dumps({"weights": "ab"}))
    assert repeating.read(tmp_path).weights == "ab"


def test_errors_of_records(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        repeating.read(tmp_path)
    rule = "run: must be a single run or a member of a sweep, with a reproduce.json in its folder"
    assert str(caught.value) == f"{rule}, got {tmp_path}"
    (tmp_path / "reproduce.json").write_text("{")
    with pytest.raises(ConfigError, match=r"^run: must have a whole reproduce.json, got .* \(Expecting"):
        repeating.read(tmp_path)
