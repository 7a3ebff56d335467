"""The search space of a sweep: its dimensions, and the conditions and constraints on their values."""

import functools
import graphlib
import itertools
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from runner import limits
from runner.errors import ConfigError, Fault, must, shown
from runner.sweep.space import constraints
from runner.training.member import Value

MOST_COMBINATIONS: Final = limits.SWEEP_VALUES


@dataclass(frozen=True)
class Choice:
    """A list of values, each as written in an override."""

    values: tuple[str, ...]


@dataclass(frozen=True)
class Interval:
    """Numbers from `low` to `high`, both included; integers if `whole`; at a distance of `step`, if given."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    step: float | None = None


@dataclass(frozen=True)
class Dimension:
    """A varied path: `prefix` is Hydra's prefix of its override, and `text` is what the user wrote."""

    path: str
    prefix: str
    text: str
    values: Choice | Interval
    written: tuple[str, ...]  # all values; empty for an interval without steps

    def override(self, value: str) -> str:
        """The override that sets a value."""
        return f"{self.prefix}{self.path}={value}"


Condition = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Space:
    """Dimensions by path, and fixed overrides; `order` contains the paths of both in the user's order."""

    dimensions: Mapping[str, Dimension]
    fixed: Mapping[str, str]  # whole overrides, by path
    order: tuple[str, ...]
    conditions: Mapping[str, Condition]
    zipped: tuple[tuple[str, ...], ...]
    constraints: tuple[str, ...]
    typed: Callable[[str], Value]  # converts a text as the command line does: 0.1 to a number, true to a bool

    @property
    def texts(self) -> dict[str, str]:
        """The values of each varied path as the user wrote them."""
        return {path: dimension.text for path, dimension in self.dimensions.items()}

    def leaders(self) -> list[str]:
        """The paths whose values are chosen; the values of paths zipped with them follow."""
        return [path for path in self.dimensions if path not in zip_leaders(self.zipped)]

    @functools.cached_property
    def leading(self) -> dict[str, Dimension]:
        """What is chosen for each leader: its values, or those of its group together if its own repeat."""
        groups = {group[0]: group for group in self.zipped}
        return {path: self._leading(groups.get(path, (path,))) for path in self.leaders()}

    def _leading(self, group: tuple[str, ...]) -> Dimension:
        own = self.dimensions[group[0]]
        if len(group) == 1 or len(set(own.written)) == len(own.written):
            return own
        rows = zip(*(self.dimensions[path].written for path in group), strict=True)
        keys = tuple(dict.fromkeys(map(_together, rows)))
        return replace(own, path=", ".join(group), values=Choice(keys), written=keys)

    def chosen_of(self, path: str, chosen: Mapping[str, str]) -> str:
        """What is chosen for a leader, from the value of each path."""
        own, group = self.leading[path], next((group for group in self.zipped if group[0] == path), (path,))
        return chosen[path] if own.path == path else _together(chosen[other] for other in group)

    def assigned(self, value: Callable[[str], str]) -> dict[str, str]:
        """The value of each path that varies; `value` returns what is chosen for the leaders, see `leading`.

        Calls `value` for a path after the paths in its condition, and only if the condition holds.
        """
        chosen: dict[str, str] = {}
        for path in self._ordered_leaders:
            if self._applies(path, chosen):
                chosen |= self._values(path, value(path))
        return {path: chosen[path] for path in self.dimensions if path in chosen}

    @functools.cached_property
    def _ordered_leaders(self) -> list[str]:
        """The leaders, each after the paths in its condition."""
        leads, left, ordered = zip_leaders(self.zipped), self.leaders(), list[str]()
        while left:
            waits = {path: {leads.get(other, other) for other, _ in self.conditions.get(path, ())} for path in left}
            ready = [path for path in left if not waits[path] & set(left)]
            ordered += ready or left  # circular conditions, which `faults` reports
            left = [path for path in left if path not in ordered]
        return ordered

    def _values(self, path: str, value: str) -> dict[str, str]:
        """The values of a leader and of the paths zipped with it, by what is chosen for it."""
        group = next((group for group in self.zipped if group[0] == path), (path,))
        if len(group) == 1:
            return {path: value}
        if self.leading[path].path != path:
            return dict(zip(group, json.loads(value), strict=True))
        index = self.dimensions[path].written.index(value)
        return {other: self.dimensions[other].written[index] for other in group}

    def _applies(self, path: str, chosen: Mapping[str, str]) -> bool:
        """Whether a path varies, given the values of the paths in its condition."""
        for other, wanted in self.conditions.get(path, ()):
            current = chosen.get(other, self.fixed[other].partition("=")[2] if other in self.fixed else None)
            if current is None or self._normalised(current) not in map(self._normalised, wanted):
                return False
        return True

    def _normalised(self, text: str) -> str:
        """A value in its usual spelling: 0.1 for 1e-1."""
        return shown(self.typed(text), longest=500)

    def allows(self, chosen: Mapping[str, str]) -> bool:
        """Whether these values and the fixed ones fulfil all constraints. Raises ConfigError for a wrong constraint."""
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
        """The overrides of the member with these values, in the user's order."""
        lines = (
            self.dimensions[path].override(chosen[path]) if path in chosen else self.fixed.get(path)
            for path in self.order
        )
        return tuple(line for line in lines if line is not None)

    def faults(self, sampler: str) -> list[Fault]:
        """The faults in the conditions, groups and constraints, for this sampler."""
        faults = [*_condition_faults(self), *_zip_faults(self), *_constraint_faults(self)]
        if not faults and sampler == "grid":
            count = math.prod(len(self.dimensions[path].written) for path in self.leaders())
            if count > MOST_COMBINATIONS:
                faults.append(must("sweep.space", f"have at most {MOST_COMBINATIONS} combinations", count))
        return faults

    @property
    def is_listable(self) -> bool:
        """Whether all combinations can be listed, and are not too many."""
        counts = [len(self.dimensions[path].written) for path in self.leaders()]
        return all(counts) and math.prod(counts) <= MOST_COMBINATIONS

    def grid(self) -> Iterator[dict[str, str]]:
        """All combinations, in the order of Hydra's own sweeper: the last path changes first."""
        seen = set()
        for values in itertools.product(*(own.written for own in self.leading.values())):
            chosen = self.assigned(dict(zip(self.leading, values, strict=True)).__getitem__)
            key = tuple(sorted(chosen.items()))
            if key not in seen and self.allows(chosen):
                seen.add(key)
                yield chosen


def _together(values: Iterable[str]) -> str:
    """The values of a group as one text, different for every row of values."""
    return json.dumps(list(values), ensure_ascii=False)


def zip_leaders(zipped: Iterable[Sequence[str]]) -> dict[str, str]:
    """Maps each zipped path to the first path of its group."""
    return {other: first for first, *others in zipped for other in others}


def _condition_faults(space: Space) -> Iterator[Fault]:
    known, leads = space.dimensions, zip_leaders(space.zipped)
    for path, where in space.conditions.items():
        place = f"sweep.conditions.{path}"
        if path not in known:
            yield must("sweep.conditions", "be on paths that vary", path)
        elif path in leads:
            yield must("sweep.conditions", f"be on {leads[path]}, the first path of its group in sweep.zip", path)
        for other, _ in where:
            if other == path:
                yield must(place, "name other paths", other)
            elif other not in known and other not in space.fixed:
                yield must(place, "name a path that the sweep varies or sets", other)
    waits = {
        path: {leads.get(other, other) for other, _ in where if other in known and other != path}
        for path, where in space.conditions.items()
    }
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        yield must("sweep.conditions", "not be circular", " → ".join(reversed(error.args[1])))


def _zip_faults(space: Space) -> Iterator[Fault]:
    known, seen = space.dimensions, set[str]()
    for index, group in enumerate(space.zipped):
        place = f"sweep.zip[{index}]"
        if len(group) < 2 or any(path not in known for path in group):
            yield must(place, "list two or more paths that vary", group)
        elif len(set(group)) < len(group) or seen & set(group):
            yield must(place, "list each path once, and no path of another group", group)
        elif len({len(known[path].written) for path in group}) > 1 or not known[group[0]].written:
            counts = tuple(len(known[path].written) for path in group)
            yield must(place, "list paths with equal numbers of values", counts)
        else:
            seen |= set(group)


def _constraint_faults(space: Space) -> Iterator[Fault]:
    for index, constraint in enumerate(space.constraints):
        place = f"sweep.constraints[{index}]"
        try:
            named = constraints.names(constraint)
        except ValueError as error:
            yield Fault(place, str(error))
        else:
            for missing in sorted(named - set(space.dimensions) - set(space.fixed))[:1]:
                yield must(place, "name a path that the sweep varies or sets", missing)
