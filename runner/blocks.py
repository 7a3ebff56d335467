"""Blocks: layer kinds that users declare in YAML; they are replaced by their layers before validation.

    params: {width: 64}
    blocks:
      conv_bn:
        params: {filters: null, stride: 1}              # null: required
        layers:
          - conv: {filters: $filters, kernel_size: 3, stride: $stride, padding: 1, use_bias: false}
          - batch_norm
          - relu
    layers:
      - conv_bn: {filters: $width}
      - conv_bn: {filters: $width * 2, stride: 2}

The text `$name` or `$name[0]` is replaced by that parameter or its entry, of any type: a number, a word, a list of
layers. A text with operators is integer arithmetic. `when: {given: $project, layers: [...], otherwise: [...]}` is
replaced by one of its two lists. A model has its own parameters in `params`, for its layers and the arguments of its
blocks. A default may refer to earlier parameters.
"""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from runner import arithmetic, limits
from runner.errors import ConfigError, Fault, must, shown, unknown
from runner.layers import KINDS, flattened

WHEN: Final = "when"

# The names of all arguments that are a list of layers, of any kind of layer.
_LISTS: Final = frozenset(name for kind in KINDS.values() for name in kind.lists)

Library = Mapping[str, Any]


class _Unknown:
    """The type of UNKNOWN, which replaces a value that could not be computed. Further faults in it are consequences."""

    def __repr__(self) -> str:
        return "?"


UNKNOWN: Final = _Unknown()


def follows(value: Any) -> bool:
    """Whether a value contains UNKNOWN, so that a fault in it is only a consequence."""
    if isinstance(value, tuple):
        return any(follows(item) for item in value)
    return any(follows(item) for item in value.values()) if isinstance(value, dict) else value is UNKNOWN


def expanded(model: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """A model with its blocks expanded, and every fault in their declarations and uses.

    Raises ConfigError if it is too large: the search for further faults would take too long.
    """
    work = _Expansion()
    work.declare(model.get("blocks") or {}, "model.blocks")
    values = work.values(model.get("params") or {}, "model.params")
    rest = {key: value for key, value in model.items() if key not in ("blocks", "params")}
    if "layers" in rest:
        entries = flattened(rest["layers"])
        if isinstance(entries, tuple) and len(entries) > limits.LAYERS:
            raise ConfigError(must("model.layers", f"have at most {limits.LAYERS:,} entries", len(entries)))
        rest["layers"] = work.layers(entries, _Scope(values, "model.layers"))
    if work.overspent:
        raise ConfigError(*work.faults)
    return rest, work.faults


def used(model: Mapping[str, Any], library: Library) -> dict[str, Any]:
    """The blocks of a library that a model uses, directly or through other blocks, and does not declare itself."""
    found: dict[str, Any] = {}
    own = model.get("blocks") if isinstance(model.get("blocks"), dict) else {}
    waiting = [model.get("layers"), model.get("params"), own]
    while waiting:
        for name in _names(waiting.pop()):
            if name in library and name not in found and name not in (own or {}):
                found[name] = library[name]
                waiting.append(library[name])
    return dict(sorted(found.items()))


def block_names(model: Mapping[str, Any]) -> frozenset[str]:
    """The names of a model's blocks: its own, and those added from a library."""
    own = model.get("blocks")
    return frozenset(map(str, own)) if isinstance(own, dict) else frozenset()


def _names(node: Any) -> set[str]:
    """Every text and key below a node; they include all names of blocks."""
    if isinstance(node, str):
        return {node}
    if isinstance(node, list | tuple):
        return {name for item in node for name in _names(item)}
    if isinstance(node, dict):
        return {str(key) for key in node} | {name for item in node.values() for name in _names(item)}
    return set()


@dataclass(frozen=True)
class _Scope:
    """The values of `$name` at one place of the layer list, and the path of this place.

    `declared` is its path in the declaration of the innermost enclosing block, `used` the path where that block is
    used; `around` are the names of all enclosing blocks.
    """

    values: Mapping[str, Any]
    path: str
    declared: str = ""
    used: str = ""
    around: tuple[str, ...] = ()

    def below(self, part: str) -> "_Scope":
        declared = self.declared + part if self.declared else ""
        return replace(self, path=self.path + part, declared=declared)

    def fault(self, text: str) -> Fault:
        """A fault at this place; inside a block it has the paths of the declaration and of the use."""
        return Fault(f"{self.declared} (used at {self.used})" if self.declared else self.path, text)


class _Expansion:
    """The expansion of one model."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._blocks: dict[str, tuple[str, dict[str, Any]]] = {}
        self._declared: set[Any] = set()  # those that are not in _blocks are invalid
        self._left = limits.BLOCK_VALUES

    def declare(self, blocks: Any, where: str) -> None:
        """Stores the valid declarations, and adds the faults of the others."""
        if not isinstance(blocks, dict):
            self.faults.append(must(where, "map names to blocks", blocks))
            return
        for name, block in blocks.items():
            path = f"{where}.{name}"
            self._declared.add(name)
            if name in KINDS or name == WHEN:
                self.faults.append(Fault(path, "must have a name of its own, got that of a kind of layer"))
            elif not isinstance(block, dict) or not isinstance(block.get("layers"), tuple):
                self.faults.append(must(path, "have a list of layers", block))
            elif odd := sorted(str(key) for key in set(block) - {"params", "layers"}):
                self.faults.append(unknown(f"{path}.{odd[0]}", "key", odd[0], ("params", "layers")))
            elif not isinstance(block.get("params") or {}, dict):
                self.faults.append(must(f"{path}.params", "map names to defaults", block["params"]))
            else:
                self._blocks[str(name)] = (path, block)

    def values(self, params: Any, where: str) -> dict[str, Any]:
        """A model's own parameters; each may refer to earlier ones."""
        if not isinstance(params, dict):
            self.faults.append(must(where, "map names to values", params))
            return {}
        found: dict[str, Any] = {}
        for name, value in params.items():
            found[str(name)] = self._value(value, _Scope(found, f"{where}.{name}"))
        return found

    def layers(self, entries: Any, scope: _Scope) -> Any:
        """A layer list with every block in it expanded."""
        return flattened(self._value(flattened(entries), scope))

    def _value(self, value: Any, scope: _Scope) -> Any:
        """A value with every reference in it resolved, and every block in it expanded."""
        if isinstance(value, str):
            return self._text(value, scope)
        if isinstance(value, tuple):
            return tuple(self._entry(item, scope.below(f"[{index}]")) for index, item in enumerate(value))
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (found := self._composed(*next(iter(value.items())), scope)) is not None:
            return found
        resolved = {}
        for key, item in value.items():
            below = scope.below(f".{key}")
            resolved[key] = self.layers(item, below) if key in _LISTS else self._value(item, below)
        return resolved

    def _entry(self, entry: Any, scope: _Scope) -> Any:
        """An entry of a list, in which a bare word may name a block."""
        self._spend(1, scope)
        if self._left < 0:
            return UNKNOWN
        resolved = self._value(entry, scope)
        if isinstance(resolved, str) and (found := self._composed(resolved, None, scope)) is not None:
            return found
        return resolved

    def _composed(self, kind: Any, given: Any, scope: _Scope) -> Any:
        """The expansion of a block or of `when`; None if `kind` is neither."""
        if kind == WHEN:
            return self._chosen(given, scope.below(f".{kind}"))
        if isinstance(kind, str) and kind in self._blocks:
            return self._use(kind, given, scope)
        return UNKNOWN if kind in self._declared - KINDS.keys() else None

    def _chosen(self, given: Any, scope: _Scope) -> Any:
        """One of the two lists of a `when`."""
        if not isinstance(given, dict) or "given" not in given or not set(given) <= {"given", "layers", "otherwise"}:
            self.faults.append(scope.fault(f"must have given, and layers or otherwise, got {shown(given)}"))
            return UNKNOWN
        condition = self._value(given["given"], scope.below(".given"))
        if not isinstance(condition, bool):
            if not follows(condition):
                self.faults.append(scope.below(".given").fault(f"must be true or false, got {shown(condition)}"))
            return UNKNOWN
        chosen = "layers" if condition else "otherwise"
        return {"$when": {chosen: self.layers(given.get(chosen) or (), scope.below(f".{chosen}"))}}

    def _use(self, name: str, given: Any, scope: _Scope) -> Any:
        declared, block = self._blocks[name]
        here = scope.below(f".{name}")
        if name in scope.around:
            circle = " → ".join((*scope.around[scope.around.index(name) :], name))
            self.faults.append(Fault(f"{declared} (used at {here.path})", f"must not use itself, got {circle}"))
            return UNKNOWN
        if len(scope.around) >= limits.BLOCK_DEPTH:
            text = f"must be at most {limits.BLOCK_DEPTH} blocks deep, got {name} in {scope.around[-1]}"
            self.faults.append(Fault(f"{declared} (used at {here.path})", text))
            return UNKNOWN
        values = self._arguments(name, given, here)
        inner = _Scope(values, f"{here.path}.layers", f"{declared}.layers", here.path, (*scope.around, name))
        return {"$block": {"name": name, "declared": declared, "layers": self.layers(block["layers"], inner)}}

    def _arguments(self, name: str, given: Any, scope: _Scope) -> dict[str, Any]:
        """The values of a block's parameters at one use."""
        declared, block = self._blocks[name]
        params = block.get("params") or {}
        where = f" (declared at {declared})"
        if not isinstance(given, dict | None):
            self.faults.append(scope.fault(f"must name the parameters of {name}{where}, got {shown(given)}"))
            return dict.fromkeys(params, UNKNOWN)
        given = given or {}
        meant: list[str] = []
        for odd in given:
            if odd not in params:
                meant += difflib.get_close_matches(str(odd), map(str, params), n=1, cutoff=0.5)
                text = unknown("", f"parameter of {name}", str(odd), params).text
                self.faults.append(scope.below(f".{odd}").fault(text + where))
        values: dict[str, Any] = {}
        for param, default in params.items():
            below = scope.below(f".{param}")
            if param in given:
                values[param] = self._value(given[param], below)
            else:
                at = _Scope(values, f"{declared}.params.{param}", around=(*scope.around, name))
                values[param] = self._value(default, at)
            if values[param] is None and default is None:
                values[param] = UNKNOWN
                if param not in meant:  # otherwise the fault above suggests it
                    self.faults.append(below.fault(f"must be given{where}, got nothing"))
        return values

    def _text(self, text: str, scope: _Scope) -> Any:
        """The value of a text that contains `$name`; other texts are returned unchanged."""
        if not arithmetic.refers(text):
            return text
        if any(scope.values.get(name) is UNKNOWN for name in arithmetic.names(text)):
            return UNKNOWN
        try:
            found = arithmetic.value(text, scope.values)
        except ValueError as error:
            self.faults.append(scope.fault(str(error)))
            return UNKNOWN
        return found if self._affords(found, scope) else UNKNOWN

    @property
    def overspent(self) -> bool:
        return self._left < 0

    def _affords(self, value: Any, scope: _Scope) -> bool:
        """Whether the limit of values allows another copy of a value; counts it."""
        waiting = [value]
        while waiting and self._left >= 0:
            item = waiting.pop()
            if isinstance(item, tuple | dict):
                waiting.extend(item.values() if isinstance(item, dict) else item)
                self._spend(len(item), scope)
        return self._left >= 0

    def _spend(self, values: int, scope: _Scope) -> None:
        """Counts values against the limit: nested blocks that are each used twice grow exponentially."""
        if 0 <= self._left < values:
            self.faults.append(scope.fault(f"must come to at most {limits.BLOCK_VALUES:,} values with all before it"))
        self._left -= values
