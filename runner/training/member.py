"""A member is one training among others: what is trained, where its files go, and how it was asked for.

A single run has one member. A sweep has many.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from runner.experiment import Experiment
from runner.launchable import Place
from runner.run_figures.settings import Figures
from runner.tracking.settings import Tracking

Value = int | float | bool | str | None


@dataclass(frozen=True)
class Context:
    """What belongs to a run and not to its experiment: its folder, where it is recorded, and how it was asked for."""

    folder: Path
    tracking: Tracking = field(default_factory=Tracking)
    figures: Figures = field(default_factory=Figures)
    config: Mapping[str, Any] = field(default_factory=dict)  # the resolved configuration as plain containers
    from_environment: Mapping[Place, str] = field(default_factory=dict)  # by path, interpolations to record as written
    editors: str = ""  # the base and the editors of the layers, for messages, if they were edited
    overrides: tuple[str, ...] = ()  # as one would write them on the command line, for this member alone
    command: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    goes_on: bool = False  # an earlier process has begun it, in its folder


@dataclass(frozen=True, eq=False)
class Member:
    """One training. `number` is unique among the members that train together; in a sweep it is Hydra's job number."""

    number: int
    title: str  # the name of its run
    experiment: Experiment
    context: Context
    varied: Mapping[str, Value] = field(default_factory=dict)  # what a sweep varies, by dotted path or group; typed
    name: str = ""  # what varies, in words: `learning_rate=0.01 seed=3`
