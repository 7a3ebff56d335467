"""Which module of a state dict is which layer, told by order and shape.

A .safetensors file has forgotten the order: its arrays are sorted by name. What names still tell is that a module's
parts stay together, that numbered siblings (`layer1`, `layer2`) come in the order of their numbers, and that what comes
first in one module (`conv1` before `bn1`) does so in all. So the orders that names allow are searched for the one in
which every shape fits. Where there are two, nothing is guessed.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from runner.errors import ConfigError, Fault, must
from runner.layers.base import by_product
from runner.state_dicts.layout import Module, Slot, alike, likeness, misfit

_WHERE: Final = "model.weights"
_MOST_TRIALS: Final = 100_000

Matches = list[tuple[Slot, Module]]


def matched(wanted: Sequence[Slot], modules: Iterable[Module], *, ordered: bool) -> Matches:
    """Every layer that does not stay fresh, with its module. Raises ConfigError where there is not exactly one way.

    A fresh layer takes the place of a module of its kind, if there is one. `ordered` says that the modules are in
    the order of their state dict: then the first way is the one.
    """
    nodes = _tree(modules, ordered)
    try:
        return _Search(wanted, ordered=ordered, alike_everywhere=not ordered).match(nodes)
    except _NoWay as none:
        if not ordered:
            with contextlib.suppress(_NoWay):
                return _Search(wanted, ordered=False, alike_everywhere=False).match(nodes)
        raise ConfigError(none.fault) from None


class _NoWay(Exception):  # noqa: N818 - what it says reaches a user as a ConfigError
    """No order of the modules fits."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(str(fault))
        self.fault = fault


@dataclass(frozen=True, eq=False)
class _Node:
    """One part of the modules' names, and what stands below it in the order of preference."""

    part: str
    module: Module | None = None
    below: tuple["_Node", ...] = ()

    @property
    def stem(self) -> str:
        """What stands before the part's number."""
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
    """As people sort: layer2 before layer10."""
    pieces = re.findall(r"\d+|\D+", part)
    return [(0, int(piece), "") if piece.isdecimal() else (1, 0, piece) for piece in pieces]


class _Attempt(NamedTuple):
    """How far one order has come: how many layers have been passed, what waits in each part that is open, the
    matches as a linked list (slot, module, the matches before), and which part comes before which other.
    """

    position: int
    waiting: tuple[tuple[_Node, ...], ...]
    matches: Any = None
    precedence: frozenset[tuple[str, str]] = frozenset()


@dataclass
class _Search:
    """Looks, depth first, for orders of the modules in which each fits the layer at its place."""

    wanted: Sequence[Slot]
    ordered: bool
    alike_everywhere: bool  # whether parts of the same names must come in the same order in every module
    furthest: int = -1
    tried: list[Module] = field(default_factory=list)  # there, without success

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
            way = _loaded(attempt.matches)
            if self.ordered:
                return way
            if found is not None:
                _refuse_two(found, way)
            found = way
        else:
            raise ConfigError(must(_WHERE, "have names that tell the order of its modules", "too many possible orders"))
        if found is None:
            raise _NoWay(self._reason())
        return found

    def _next(self, attempt: _Attempt) -> Iterator[_Attempt]:
        """What may follow, the most likely first."""
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
        """Remembers what did not fit where the search came furthest."""
        if position > self.furthest:
            self.furthest, self.tried = position, []
        if position == self.furthest and module is not None:
            self.tried.append(module)

    def _reason(self) -> Fault:
        """What did not fit, where the search came furthest."""
        if self.furthest >= len(self.wanted):
            left = self.tried[0]
            return must(_WHERE, f"end with {self.wanted[-1].place}", f"{left.described()} too")
        slot = self.wanted[self.furthest]
        if not self.tried:
            name, shape = next(iter(slot.shapes.items()))
            return must(_WHERE, f"hold {slot.place}.{name} {by_product(shape)}", "no further module")
        likely = max(self.tried, key=lambda module: likeness(slot, module))
        why = misfit(slot, likely)
        assert why is not None, "what fits was not refused"
        return must(_WHERE, f"fit {why.wanted}", why.got)


def _fits(slot: Slot, module: Module) -> bool:
    return misfit(slot, module) is None


def _refuse_two(one: Matches, other: Matches) -> None:
    """Raises ConfigError where two ways differ in what they load."""
    for (slot, first), (_, second) in zip(one, other, strict=True):
        if first is not second:
            rule = f"tell by its names (or, as an .npz, by its order) which module is {slot.place}"
            raise ConfigError(must(_WHERE, rule, f"{first.name} and {second.name}"))


def _loaded(matches: Any) -> Matches:
    """A linked list of matches in order, without the layers that stay fresh."""
    found = []
    while matches is not None:
        slot, module, matches = matches
        if not slot.fresh:
            found.append((slot, module))
    return found[::-1]
