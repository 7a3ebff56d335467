"""What a sweep varies: dimensions, and what rules combinations of their values out."""

import functools
import graphlib
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from runner import limits
from runner.errors import ConfigError, Fault, must, shown
from runner.sweep import constraints
from runner.sweep.results import Value

MOST_COMBINATIONS: Final = limits.SWEEP_VALUES


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
    typed: Callable[[str], Value]  # a value as the command line reads it: 0.1 is a number, true a truth, relu a word

    @property
    def texts(self) -> dict[str, str]:
        """What varies, as it was written."""
        return {path: dimension.text for path, dimension in self.dimensions.items()}

    def leaders(self) -> list[str]:
        """The paths whose values are chosen; those zipped with one of them follow it."""
        return [path for path in self.dimensions if path not in leading(self.zipped)]

    def settled(self, value: Callable[[str], str]) -> dict[str, str]:
        """What varies and its values, where `value` gives those of the leaders that are asked for.

        Asks for a path after those that its condition speaks of, and only where the condition holds.
        """
        chosen: dict[str, str] = {}
        for path in self._in_turn:
            if self._applies(path, chosen):
                chosen[path] = value(path)
                chosen |= self._following(path, chosen[path])
        return {path: chosen[path] for path in self.dimensions if path in chosen}

    @functools.cached_property
    def _in_turn(self) -> list[str]:
        """The leaders, each after those that its condition speaks of."""
        leads, left, found = leading(self.zipped), self.leaders(), list[str]()
        while left:
            waits = {path: {leads.get(other, other) for other, _ in self.conditions.get(path, ())} for path in left}
            free = [path for path in left if not waits[path] & set(left)]
            found += free or left  # conditions in a circle, which `faults` has
            left = [path for path in left if path not in found]
        return found

    def _following(self, path: str, value: str) -> dict[str, str]:
        """The values of what is zipped with a path."""
        others = next((others for first, *others in self.zipped if first == path), [])
        if not others:
            return {}
        index = self.dimensions[path].written.index(value)
        return {other: self.dimensions[other].written[index] for other in others}

    def _applies(self, path: str, chosen: Mapping[str, str]) -> bool:
        """Whether a path varies, where those that its condition speaks of have these values."""
        for other, wanted in self.conditions.get(path, ()):
            current = chosen.get(other, self.fixed[other].partition("=")[2] if other in self.fixed else None)
            if current is None or self._spelling(current) not in map(self._spelling, wanted):
                return False
        return True

    def _spelling(self, text: str) -> str:
        """A value in one spelling: 1e-1 and 0.1 are one."""
        return shown(self.typed(text), longest=500)

    def allows(self, chosen: Mapping[str, str]) -> bool:
        """Whether every constraint holds of these values and the fixed ones. Raises ConfigError where one cannot."""
        values = {path: self.typed(override.partition("=")[2]) for path, override in self.fixed.items()}
        values |= {path: self.typed(text) for path, text in chosen.items()}
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

    def faults(self, sampler: str) -> list[Fault]:
        """What does not fit together, for members that this sampler proposes."""
        faults = [*_condition_faults(self), *_zip_faults(self), *_constraint_faults(self)]
        if not faults and sampler == "grid":
            count = math.prod(len(self.dimensions[path].written) for path in self.leaders())
            if count > MOST_COMBINATIONS:
                faults.append(must("sweep.space", f"have at most {MOST_COMBINATIONS} combinations", count))
        return faults

    @property
    def is_listable(self) -> bool:
        """Whether every combination can be told, and there are not too many of them."""
        counts = [len(self.dimensions[path].written) for path in self.leaders()]
        return all(counts) and math.prod(counts) <= MOST_COMBINATIONS

    def grid(self) -> Iterator[dict[str, str]]:
        """Every combination, in the order of Hydra's own sweeper: the last path changes first."""
        leaders = self.leaders()
        seen = set()
        for values in itertools.product(*(self.dimensions[path].written for path in leaders)):
            chosen = self.settled(dict(zip(leaders, values, strict=True)).__getitem__)
            key = tuple(sorted(chosen.items()))
            if key not in seen and self.allows(chosen):
                seen.add(key)
                yield chosen


def leading(zipped: Iterable[Sequence[str]]) -> dict[str, str]:
    """The path that each follower is zipped with."""
    return {other: first for first, *others in zipped for other in others}


def _condition_faults(space: Space) -> Iterator[Fault]:
    known, leads = space.dimensions, leading(space.zipped)
    for path, where in space.conditions.items():
        place = f"sweep.conditions.{path}"
        if path not in known:
            yield must("sweep.conditions", "be of paths that vary", path)
        elif path in leads:
            yield must("sweep.conditions", f"be of {leads[path]}, the first of what varies together", path)
        for other, _ in where:
            if other == path:
                yield must(place, "speak of others", other)
            elif other not in known and other not in space.fixed:
                yield must(place, "speak of what the sweep varies or sets", other)
    waits = {
        path: {leads.get(other, other) for other, _ in where if other in known and other != path}
        for path, where in space.conditions.items()
    }
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        yield must("sweep.conditions", "not wait for each other", " → ".join(reversed(error.args[1])))


def _zip_faults(space: Space) -> Iterator[Fault]:
    known, seen = space.dimensions, set[str]()
    for index, group in enumerate(space.zipped):
        place = f"sweep.zip[{index}]"
        if len(group) < 2 or any(path not in known for path in group):
            yield must(place, "list two or more paths that vary", group)
        elif len(set(group)) < len(group) or seen & set(group):
            yield must(place, "list paths that no other entry lists", group)
        elif len({len(known[path].written) for path in group}) > 1 or not known[group[0]].written:
            yield must(place, "list paths with as many values each", tuple(len(known[path].written) for path in group))
        else:
            seen |= set(group)


def _constraint_faults(space: Space) -> Iterator[Fault]:
    for index, constraint in enumerate(space.constraints):
        place = f"sweep.constraints[{index}]"
        try:
            spoken = constraints.names(constraint)
        except ValueError as error:
            yield Fault(place, str(error))
        else:
            for missing in sorted(spoken - set(space.dimensions) - set(space.fixed))[:1]:
                yield must(place, "speak of what the sweep varies or sets", missing)
