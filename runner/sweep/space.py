"""What a sweep varies: dimensions, in Hydra's own grammar for overrides, and what rules combinations of them out.

>>> space = read(["optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", "seed=1,2", "train.epochs=5"], Sweep())
>>> list(space.dimensions)
['optimizer.learning_rate', 'seed']
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner.errors import ConfigError, Fault, must, shown
from runner.sweep import constraints
from runner.sweep.results import Value
from runner.sweep.settings import Sweep

_MOST_COMBINATIONS: Final = 100_000


@dataclass(frozen=True)
class Choice:
    """A list of values, each as it is written in an override."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; whole ones, `step` apart, where it is `whole`."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Dimension:
    """Something that varies: `prefix` is Hydra's for it, and `text` what the user wrote."""

    path: str
    prefix: str
    text: str
    values: Choice | Interval
    written: tuple[str, ...]  # every value, where they can be listed

    def override(self, value: str) -> str:
        """The override that sets it."""
        return f"{self.prefix}{self.path}={value}"


Condition = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Space:
    """Dimensions by path, beside what is fixed; `order` holds the paths of both as they were said."""

    dimensions: Mapping[str, Dimension]
    fixed: Mapping[str, str]  # by path, the whole override
    order: tuple[str, ...]
    conditions: Mapping[str, Condition]
    zipped: tuple[tuple[str, ...], ...]
    constraints: tuple[str, ...]

    @property
    def texts(self) -> dict[str, str]:
        """What varies, as it was written."""
        return {path: dimension.text for path, dimension in self.dimensions.items()}

    def leaders(self) -> list[str]:
        """The paths whose values are chosen; those zipped with one of them follow it."""
        followers = {path for group in self.zipped for path in group[1:]}
        return [path for path in self.dimensions if path not in followers]

    def with_followers(self, chosen: Mapping[str, str]) -> dict[str, str]:
        """Chosen values, with those of the paths that are zipped with theirs."""
        found = dict(chosen)
        for first, *others in self.zipped:
            if first in chosen:
                index = self.dimensions[first].written.index(chosen[first])
                found |= {other: self.dimensions[other].written[index] for other in others}
        return found

    def applies(self, path: str, chosen: Mapping[str, str]) -> bool:
        """Whether a path varies, the others having these values."""
        where = self.conditions.get(path, ())
        return all(self._current(other, chosen) in wanted for other, wanted in where)

    def _current(self, path: str, chosen: Mapping[str, str]) -> str | None:
        fixed = self.fixed.get(path)
        return chosen.get(path, fixed.partition("=")[2] if fixed else None)

    def allows(self, chosen: Mapping[str, str]) -> bool:
        """Whether every constraint holds of these values and the fixed ones. Raises ConfigError where one cannot."""
        values = {path: typed(override.partition("=")[2]) for path, override in self.fixed.items()}
        values |= {path: typed(text) for path, text in chosen.items()}
        for index, constraint in enumerate(self.constraints):
            try:
                if not constraints.holds(constraint, values):
                    return False
            except ValueError as error:
                raise ConfigError(Fault(f"sweep.constraints[{index}]", str(error))) from None
        return True

    def overrides(self, chosen: Mapping[str, str]) -> tuple[str, ...]:
        """The overrides of the member with these values, in the order in which they were said."""
        lines = (
            self.dimensions[path].override(chosen[path]) if path in chosen else self.fixed.get(path)
            for path in self.order
        )
        return tuple(line for line in lines if line is not None)

    def grid(self) -> Iterator[dict[str, str]]:
        """Every combination, in the order of Hydra's own sweeper: the last path changes first."""
        leaders = self.leaders()
        seen = set()
        for values in itertools.product(*(self.dimensions[path].written for path in leaders)):
            everything = self.with_followers(dict(zip(leaders, values, strict=True)))
            chosen = {path: value for path, value in everything.items() if self.applies(path, everything)}
            key = tuple(sorted(chosen.items()))
            if key not in seen and self.allows(chosen):
                seen.add(key)
                yield chosen


def read(arguments: Sequence[str], settings: Sweep, parser: OverridesParser | None = None) -> Space:
    """The space of `sweep.space` and a command line, which comes before it. Raises ConfigError with every fault.

    With a parser that knows the configurations, `glob(*)` stands for all of a group.
    """
    parser = parser or OverridesParser.create()
    said: dict[str, Override] = {}
    faults: list[Fault] = []
    for path, text in settings.space:
        try:
            said[path] = parser.parse_override(
                f"++{path}={text}" if "." in path or path == "seed" else f"{path}={text}"
            )
        except HydraException:
            faults.append(must(f"sweep.space.{path}", "be what an override takes, such as interval(0, 1)", text))
    for override in parser.parse_overrides(list(arguments)):
        said[override.key_or_group] = override
    dimensions, fixed = {}, {}
    for path, override in said.items():
        if not override.is_sweep_override():
            fixed[path] = str(override.input_line)
            continue
        found = _dimension(path, override, settings.sampler)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            dimensions[path] = found
    space = Space(
        dimensions=dimensions,
        fixed=fixed,
        order=tuple(said),
        conditions=dict(settings.conditions),
        zipped=settings.zip,
        constraints=settings.constraints,
    )
    faults += _faults(space, settings)
    if faults:
        raise ConfigError(*faults)
    return space


@functools.lru_cache(maxsize=100_000)
def typed(text: str) -> Value:
    """A value as Hydra reads it: 0.1 is a number, true a truth, relu a word."""
    try:
        value: Any = OverridesParser.create().parse_override(f"a={text}").value()
    except HydraException:
        return text
    return value if isinstance(value, int | float | str | None) else shown(value)


def _dimension(path: str, override: Override, sampler: str) -> Dimension | Fault:
    text = str(override.input_line).partition("=")[2]
    prefix = str(override.get_key_element()).removesuffix(path)
    sweep = override.value()
    values: Choice | Interval
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        assert low is not None
        assert high is not None
        log, whole = "log" in sweep.tags, isinstance(low, int) and isinstance(high, int)
        if not low < high or (log and low <= 0):
            return must(f"sweep.space.{path}", "go from a number to a larger one" + (" above 0" if log else ""), text)
        if sampler == "grid":
            return must(
                "sweep.sampler", f"be one that can take {path} from an interval, such as tpe or random", sampler
            )
        return Dimension(path, prefix, text, Interval(float(low), float(high), log, whole), ())
    written = tuple(override.sweep_string_iterator())
    if not written:
        return must(f"sweep.space.{path}", "have values", text)
    values = Choice(written)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle and sweep.start is not None and len(written) > 1:
        numbers = [float(value) for value in written]
        step = numbers[1] - numbers[0]
        if step > 0:
            whole = all(value.lstrip("-").isdigit() for value in written)
            values = Interval(numbers[0], numbers[-1], whole=whole, step=step)
    return Dimension(path, prefix, text, values, written)


def _faults(space: Space, settings: Sweep) -> list[Fault]:
    """What does not fit together in a space."""
    known, faults = space.dimensions, []
    for path, where in settings.conditions:
        if path not in known:
            faults.append(must("sweep.conditions", "be of paths that vary", path))
        faults += [must(f"sweep.conditions.{path}", "speak of others", other) for other, _ in where if other == path]
    for index, group in enumerate(settings.zip):
        place = f"sweep.zip[{index}]"
        if len(group) < 2 or any(path not in known for path in group):
            faults.append(must(place, "list two or more paths that vary", group))
        elif len({len(known[path].written) for path in group}) > 1 or not known[group[0]].written:
            counts = tuple(len(known[path].written) for path in group)
            faults.append(must(place, "list paths with as many values each", counts))
    for index, constraint in enumerate(settings.constraints):
        try:
            spoken = constraints.names(constraint)
        except ValueError as error:
            faults.append(Fault(f"sweep.constraints[{index}]", str(error)))
            continue
        missing = sorted(spoken - set(known) - set(space.fixed))
        if missing:
            faults.append(must(f"sweep.constraints[{index}]", "speak of what the sweep varies or sets", missing[0]))
    count = 1
    for path in space.leaders() if not faults else ():
        count *= max(len(known[path].written), 1)
    if settings.sampler == "grid" and count > _MOST_COMBINATIONS:
        faults.append(must("sweep.space", f"have at most {_MOST_COMBINATIONS} combinations", count))
    return faults
