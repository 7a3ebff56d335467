"""What a sweep varies: dimensions, and what rules combinations of their values out."""

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from runner import limits
from runner.errors import ConfigError, Fault, shown
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
            found += free or left  # conditions in a circle, which `read` refuses
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
            if current is None or _as_said(current) not in map(_as_said, wanted):
                return False
        return True

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


@functools.lru_cache(maxsize=100_000)
def typed(text: str) -> Value:
    """A value as Hydra reads it: 0.1 is a number, true a truth, relu a word."""
    try:
        value: Any = OverridesParser.create().parse_override(f"a={text}").value()
    except HydraException:
        return text
    return value if isinstance(value, int | float | str | None) else shown(value)


def _as_said(text: str) -> str:
    """A value in one spelling: 1e-1 and 0.1 are one."""
    return shown(typed(text), longest=500)


def leading(zipped: Iterable[Sequence[str]]) -> dict[str, str]:
    """The path that each follower is zipped with."""
    return {other: first for first, *others in zipped for other in others}
