"""Matches the modules of a state dict to layers by order and shape.

A .safetensors file does not keep the order: its arrays are sorted by name. But names still show three things: the parts
of a module are consecutive; numbered siblings (`layer1`, `layer2`) are in the order of their numbers; and the order of
parts (`conv1` before `bn1`) is the same in all modules. The search looks for an order of this kind in which all shapes
fit. If there are two, it raises an error instead of guessing.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from runner.errors import ConfigError, Fault, must
from runner.layers.base import shape_text
from runner.state_dicts.layout import Module, Slot, alike, likeness, misfit

_WHERE: Final = "model.weights"
_MOST_TRIALS: Final = 100_000

Matches = list[tuple[Slot, Module]]


def matched(wanted: Sequence[Slot], modules: Iterable[Module], *, ordered: bool) -> Matches:
    """All layers that are not fresh, with their modules. Raises ConfigError unless exactly one match exists.

    A fresh layer skips a module of its kind, if there is one. `ordered` means that the modules are in their original
    order; the first match is then used.
    """
    nodes = _tree(modules, ordered)
    try:
        return _Search(wanted, ordered=ordered, alike_everywhere=not ordered).match(nodes)
    except _NoMatchError as none:
        if not ordered:
            with contextlib.suppress(_NoMatchError):
                return _Search(wanted, ordered=False, alike_everywhere=False).match(nodes)
        raise ConfigError(none.fault) from None


class _NoMatchError(Exception):
    """No order of the modules fits; users see `fault` in a ConfigError."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, eq=False)
class _Node:
    """One part of the modules' names, and the nodes below it in the order of preference."""

    part: str
    module: Module | None = None
    below: tuple["_Node", ...] = ()

    @property
    def stem(self) -> str:
        """The text before the number of the part."""
        return re.split(r"\d", self.part)[0]


def _tree(modules: Iterable[Module], ordered: bool) -> tuple[_Node, ...]:
    return _grown([(module.name.split(".") if module.name else [], module) for module in modules], ordered)


def _grown(members: list[tuple[list[str], Module]], ordered: bool) -> tuple[_Node, ...]:
    groups: dict[str, list[tuple[list[str], Module]]] = {}
    for parts, module in members:
        if parts:
            groups.setdefault(parts[0], []).append((parts[1:], module))
    own = tuple(_Node("", module) for parts, module in members if not parts)
    parts_in_order = list(groups) if ordered else sorted(groups, key=_by_number)
    return own + tuple(_Node(part, below=_grown(groups[part], ordered)) for part in parts_in_order)


def _by_number(part: str) -> list[tuple[int, int, str]]:
    """A key for natural sorting: layer2 before layer10."""
    pieces = re.findall(r"\d+|\D+", part)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


class _Attempt(NamedTuple):
    """A partial order of the modules: the number of layers passed, the remaining nodes of each open part, the matches
    as a linked list (slot, module, earlier matches), and the pairs of parts (before, after).
    """

    position: int
    waiting: tuple[tuple[_Node, ...], ...]
    matches: Any = None
    precedence: frozenset[tuple[str, str]] = frozenset()


@dataclass
class _Search:
    """A depth-first search for orders of the modules in which each fits the layer at its position."""

    wanted: Sequence[Slot]
    ordered: bool
    alike_everywhere: bool  # whether parts of the same names must come in the same order in every module
    furthest: int = -1
    tried: list[Module] = field(default_factory=list)  # modules that did not fit at `furthest`

    def match(self, nodes: tuple[_Node, ...]) -> Matches:
        stack = [_Attempt(0, (nodes,))]
        found: Matches | None = None
        for _ in range(_MOST_TRIALS):
            if not stack:
                break
            attempt = stack.pop()
            attempt = attempt._replace(waiting=tuple(siblings for siblings in attempt.waiting if siblings))
            if attempt.waiting or attempt.position < len(self.wanted):
                stack.extend(reversed(list(self._next(attempt))))
                continue
            matches = _loaded(attempt.matches)
            if self.ordered:
                return matches
            if found is not None:
                _check_equal(found, matches)
            found = matches
        else:
            raise ConfigError(must(_WHERE, "have names that show the order of its modules", "too many possible orders"))
        if found is None:
            raise _NoMatchError(self._reason())
        return found

    def _next(self, attempt: _Attempt) -> Iterator[_Attempt]:
        """The possible next steps, the most likely first."""
        position, waiting, matches, precedence = attempt
        slot = self.wanted[position] if position < len(self.wanted) else None
        siblings = waiting[-1] if waiting else ()
        stems: set[str] = set()
        for index, node in enumerate(siblings):
            if node.stem in stems:
                continue  # a sibling with a lower number comes first
            stems.add(node.stem)
            others = siblings[:index] + siblings[index + 1 :]
            if self.alike_everywhere:
                if any((other.part, node.part) in attempt.precedence for other in others):
                    continue
                later = frozenset((node.part, other.part) for other in others if other.stem != node.stem)
                precedence = attempt.precedence | later
            rest = (*waiting[:-1], others)
            if node.module is None:
                yield _Attempt(position, (*rest, node.below), matches, precedence)
            elif slot is not None and (alike if slot.fresh else _fits)(slot, node.module):
                yield _Attempt(position + 1, rest, (slot, node.module, matches), precedence)
            else:
                self._note(position, node.module)
        if slot is not None and slot.fresh:
            yield attempt._replace(position=position + 1)
        elif not siblings:
            self._note(position, None)

    def _note(self, position: int, module: Module | None) -> None:
        """Remembers the modules that did not fit at the furthest position."""
        if position > self.furthest:
            self.furthest, self.tried = position, []
        if position == self.furthest and module is not None:
            self.tried.append(module)

    def _reason(self) -> Fault:
        """The fault at the furthest position of the search."""
        if self.furthest >= len(self.wanted):
            left = self.tried[0]
            return must(_WHERE, f"end with {self.wanted[-1].place}", f"{left.described()} too")
        slot = self.wanted[self.furthest]
        if not self.tried:
            name, shape = next(iter(slot.shapes.items()))
            return must(_WHERE, f"hold {slot.place}.{name} {shape_text(shape)}", "no further module")
        likely = max(self.tried, key=lambda module: likeness(slot, module))
        why = misfit(slot, likely)
        assert why is not None, "what fits was not refused"
        return must(_WHERE, f"fit {why.wanted}", why.got)


def _fits(slot: Slot, module: Module) -> bool:
    return misfit(slot, module) is None


def _check_equal(one: Matches, other: Matches) -> None:
    """Raises ConfigError if two matches load different modules."""
    for (slot, first), (_, second) in zip(one, other, strict=True):
        if first is not second:
            rule = f"show by its names (or, as an .npz, by its order) which module is {slot.place}"
            raise ConfigError(must(_WHERE, rule, f"{first.name} and {second.name}"))


def _loaded(matches: Any) -> Matches:
    """Converts a linked list of matches to a list, without fresh layers."""
    found = []
    while matches is not None:
        slot, module, matches = matches
        if not slot.fresh:
            found.append((slot, module))
    return found[::-1]
