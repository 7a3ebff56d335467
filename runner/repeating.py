"""Compares a training with its repetition, metric by metric: equal to the bit, equal within rounding, or not.

>>> [found] = compared(Record(history=({"val/loss": 0.5},)), Record(history=({"val/loss": 0.5000001},)))
>>> found.name, found.verdict
('val/loss', 'equal within rounding')
"""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, get_args

from runner import atomic
from runner.circumstances import Circumstances
from runner.errors import ConfigError, Fault
from runner.trained import NETWORK

RECORD: Final = "reproduce.json"
ROUNDING: Final = 1e-4  # the largest relative difference that is called rounding
# Measured by the clock, so that two runs never have the same.
_BY_THE_CLOCK: Final = ("seconds/", "images_per_second")
Verdict = Literal["equal to the bit", "equal within rounding", "not equal"]
VERDICTS: Final[tuple[Verdict, ...]] = get_args(Verdict)


@dataclass(frozen=True)
class Record:
    """What a run came to, and under which circumstances. `history` has the metrics of each epoch, `once` the others.

    `status` is empty as long as the run trains, and if its process was killed. `weights` is a digest of what it learnt.
    """

    name: str = ""
    began: float = 0.0  # seconds since 1970
    status: str = ""
    circumstances: Circumstances = field(default_factory=Circumstances)
    history: tuple[Mapping[str, float], ...] = ()
    once: Mapping[str, float] = field(default_factory=dict)
    weights: str = ""


@dataclass(frozen=True)
class Compared:
    """A metric: the values of `count` epochs, or one.

    `difference` is the largest relative difference, and the epoch where it is; 0 of a metric that is measured once.
    """

    name: str
    verdict: Verdict
    count: int
    difference: float = 0.0
    epoch: int = 0
    detail: str = ""


def write(folder: Path, record: Record) -> Path:
    """Writes a record to the folder of its run, which may not exist yet, and returns its path. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / RECORD
    part = folder / f"{RECORD}{atomic.PARTIAL}"
    values = {name: value for name, value in asdict(record).items() if name != "weights"}
    part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)  # without waiting for the disk: a sweep has thousands of members
    return path


def read(folder: Path) -> Record:
    """Reads the record of a run. Raises ConfigError if there is none."""
    try:
        values: dict[str, Any] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        circumstances = Circumstances.from_fields(values.pop("circumstances"))
        known = {**values, "circumstances": circumstances, "history": tuple(values["history"])}
        return Record(**known, weights=_weights(folder))
    except FileNotFoundError:
        rule = f"must be a single run or a member of a sweep, with a {RECORD} in its folder"
        raise ConfigError(Fault("run", f"{rule}, got {folder}")) from None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(Fault("run", f"must have a whole {RECORD}, got {folder / RECORD} ({error})")) from None


def _weights(folder: Path) -> str:
    """The digest of what a run has learnt, from the file that is written with it; empty if it kept nothing."""
    try:
        return str(json.loads((folder / NETWORK).read_text(encoding="utf-8")).get("weights") or "")
    except (OSError, ValueError, AttributeError):
        return ""


def compared(there: Record, here: Record) -> list[Compared]:
    """Every metric of both: first those of each epoch, then those of the whole training, then what was learnt.

    A run that did not finish is compared as far as it came: in the epochs that it has.
    """
    is_whole = there.status == "FINISHED"
    count = len(there.history) if is_whole else min(len(there.history), len(here.history))
    names = dict.fromkeys(name for epoch in there.history[:count] for name in epoch if _is_compared(name))
    found = [_over_epochs(name, there.history[:count], here.history) for name in names]
    if not is_whole:
        return found
    found += [_once(name, value, here.once.get(name)) for name, value in there.once.items() if _is_compared(name)]
    if there.weights and here.weights:
        same = there.weights == here.weights
        found.append(
            Compared("weights", "equal to the bit" if same else "not equal", 1, detail="" if same else "other bits")
        )
    return found


def verdict(metrics: list[Compared]) -> Verdict:
    """The worst verdict of all metrics; `not equal` if there is none."""
    if not metrics:
        return "not equal"
    measured = [one for one in metrics if one.name != "weights"]
    worst = max(VERDICTS.index(one.verdict) for one in measured or metrics)
    # Weights have no scale of their own: if their bits differ, the metrics tell how much.
    if worst == 0 and len(measured) < len(metrics) and metrics[-1].verdict == "not equal":
        return "equal within rounding"
    return VERDICTS[worst]


def _is_compared(name: str) -> bool:
    return not name.startswith(_BY_THE_CLOCK)


def _over_epochs(name: str, there: tuple[Mapping[str, float], ...], here: tuple[Mapping[str, float], ...]) -> Compared:
    values = [epoch.get(name) for epoch in there]
    others = [epoch.get(name) for epoch in here[: len(values)]]
    others += [None] * (len(values) - len(others))
    differences = [_difference(one, other) for one, other in zip(values, others, strict=True)]
    largest = max(differences)
    epoch = differences.index(largest) + 1 if largest else 0
    detail = f"{len(there)} epochs there, {len(here)} here" if len(here) < len(there) else ""
    return Compared(name, _verdict(largest), len(values), largest, epoch, detail)


def _once(name: str, there: float, here: float | None) -> Compared:
    difference = _difference(there, here)
    detail = "" if difference == 0 else f"{there:.6g} there, {'nothing' if here is None else f'{here:.6g}'} here"
    return Compared(name, _verdict(difference), 1, difference, detail=detail)


def _difference(one: float | None, other: float | None) -> float:
    """The relative difference of two values; infinite if only one is a finite number, 0 if both are the same."""
    if one is None or other is None:
        return 0.0 if one is other else math.inf
    if float(one).hex() == float(other).hex():  # also of two NaNs, and not of 0 and -0
        return 0.0
    if not (math.isfinite(one) and math.isfinite(other)):
        return math.inf
    return abs(one - other) / max(abs(one), abs(other), sys.float_info.min) or sys.float_info.min


def _verdict(difference: float) -> Verdict:
    return "equal to the bit" if difference == 0 else "equal within rounding" if difference <= ROUNDING else "not equal"
