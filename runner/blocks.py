"""Blocks: layer kinds that users declare in YAML, expanded to the layers they stand for before anything is validated.

    blocks:
      conv_bn:
        params: {filters: null, stride: 1}              # null: has to be given
        layers:
          - conv: {filters: $filters, kernel_size: 3, stride: $stride, padding: 1, use_bias: false}
          - batch_norm
          - relu
    layers:
      - conv_bn: {filters: 64}
      - conv_bn: {filters: 64 * 2, stride: 2}

A text that is `$name` becomes that parameter, whatever it is; one with operators (`$width * 4`, `($a + $b) // 2`) is
integer arithmetic. `when: {given: $project, layers: [...], otherwise: [...]}` stands for one of its two lists. A model
has parameters of its own, in `params`, for its layers and for what it gives its blocks.
"""

import ast
import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from runner.errors import Fault, must, shown, unknown
from runner.layers import KINDS, flattened

_NAME: Final = re.compile(r"\$([A-Za-z_]\w*)")
_ARITHMETIC: Final = re.compile(r"^[\s\d()+*/$\w-]+$")
_OPERATORS: Final[Mapping[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}
_WHEN: Final = "when"
_DEEPEST: Final = 32
_LARGEST: Final = 2**53

Library = Mapping[str, Any]


def expanded(model: dict[str, Any]) -> tuple[dict[str, Any], list[Fault]]:
    """A model without blocks, and every fault in how they are declared and used."""
    own = model.get("blocks") or {}
    work = _Expansion()
    if isinstance(own, dict):
        work.declare(own, "model.blocks")
    else:
        work.faults.append(must("model.blocks", "map names to blocks", own))
    values = model.get("params") or {}
    if not isinstance(values, dict):
        work.faults.append(must("model.params", "map names to values", values))
        values = {}
    rest = {key: value for key, value in model.items() if key not in ("blocks", "params")}
    if "layers" in rest:
        scope = _Scope(values, "model.layers")
        rest["layers"] = work.layers(rest["layers"], scope)
    return rest, work.faults


def used(model: Mapping[str, Any], library: Library) -> dict[str, Any]:
    """The blocks of a library that a model uses, directly or through other blocks; its own come before them."""
    found: dict[str, Any] = {}
    own = model.get("blocks") if isinstance(model.get("blocks"), dict) else {}
    waiting = [model.get("layers"), own]
    while waiting:
        for name in _names(waiting.pop()):
            if name in library and name not in found and name not in (own or {}):
                found[name] = library[name]
                waiting.append(library[name])
    return found


def _names(node: Any) -> set[str]:
    """Every text and key below a node: whatever names a block is among them."""
    if isinstance(node, str):
        return {node}
    if isinstance(node, list | tuple):
        return {name for item in node for name in _names(item)}
    if isinstance(node, dict):
        return {str(key) for key in node} | {name for item in node.values() for name in _names(item)}
    return set()


@dataclass(frozen=True)
class _Scope:
    """The values that `$name` stands for in one place of the layer list, and where that is.

    `declared` is its path in the declaration of the innermost block around it, `used` where that block is used;
    `around` are the names of all blocks around it.
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
        """A fault here: by its path, or in a block by the path of the declaration and that of the use."""
        return Fault(f"{self.declared} (used at {self.used})" if self.declared else self.path, text)


class _Expansion:
    """One walk over a model's layers."""

    def __init__(self) -> None:
        self.faults: list[Fault] = []
        self._blocks: dict[str, tuple[str, dict[str, Any]]] = {}

    def declare(self, blocks: Mapping[str, Any], where: str) -> None:
        """Takes blocks by their names, and notes what is wrong with a declaration."""
        for name, block in blocks.items():
            path = f"{where}.{name}"
            if name in KINDS or name == _WHEN:
                self.faults.append(Fault(path, "must have a name of its own, got that of a kind of layer"))
            elif not isinstance(block, dict) or "layers" not in block:
                self.faults.append(must(path, "have layers", block))
            elif odd := sorted(set(block) - {"params", "layers"}):
                self.faults.append(unknown(f"{path}.{odd[0]}", "key", str(odd[0]), ("params", "layers")))
            elif not isinstance(block.get("params") or {}, dict):
                self.faults.append(must(f"{path}.params", "map names to defaults", block["params"]))
            else:
                self._blocks[str(name)] = (path, block)

    def layers(self, entries: Any, scope: _Scope) -> Any:
        """A layer list with every block in it expanded."""
        entries = flattened(entries)
        if not isinstance(entries, tuple):
            return self._value(entries, scope)
        return tuple(self._entry(entry, scope.below(f"[{index}]")) for index, entry in enumerate(entries))

    def _entry(self, entry: Any, scope: _Scope) -> Any:
        kind, given = entry, None
        if isinstance(entry, dict) and len(entry) == 1:
            kind, given = next(iter(entry.items()))
        if kind == _WHEN:
            return self._chosen(given, scope.below(f".{kind}"))
        if isinstance(kind, str) and kind in self._blocks:
            return self._use(kind, given, scope)
        return self._value(entry, scope)

    def _value(self, value: Any, scope: _Scope) -> Any:
        """A value with every reference in it resolved; lists of layers below it expanded."""
        if isinstance(value, str):
            return self._text(value, scope)
        if isinstance(value, tuple):
            return tuple(self._value(item, scope.below(f"[{index}]")) for index, item in enumerate(value))
        if not isinstance(value, dict):
            return value
        resolved = {}
        for key, item in value.items():
            below = scope.below(f".{key}")
            if key in ("layers", "shortcut"):
                resolved[key] = self.layers(item, below)
            elif key == "paths" and isinstance(item, tuple):
                resolved[key] = tuple(self.layers(path, below.below(f"[{index}]")) for index, path in enumerate(item))
            else:
                resolved[key] = self._value(item, below)
        return resolved

    def _chosen(self, given: Any, scope: _Scope) -> Any:
        """One of the two lists of a `when`, in its place."""
        if not isinstance(given, dict) or "given" not in given or not set(given) <= {"given", "layers", "otherwise"}:
            self.faults.append(scope.fault(f"must have given, layers and otherwise, got {shown(given)}"))
            return ()
        condition = self._value(given["given"], scope.below(".given"))
        if not isinstance(condition, bool):
            self.faults.append(scope.below(".given").fault(f"must be true or false, got {shown(condition)}"))
            return ()
        chosen = "layers" if condition else "otherwise"
        return self.layers(given.get(chosen) or (), scope.below(f".{chosen}"))

    def _use(self, name: str, given: Any, scope: _Scope) -> Any:
        declared, block = self._blocks[name]
        here = scope.below(f".{name}")
        if name in scope.around or len(scope.around) >= _DEEPEST:
            circle = " → ".join((*scope.around[scope.around.index(name) if name in scope.around else 0 :], name))
            self.faults.append(Fault(f"{declared} (used at {here.path})", f"must not use itself, got {circle}"))
            return ()
        values = self._arguments(name, given, here)
        inner = _Scope(values, f"{here.path}.layers", f"{declared}.layers", here.path, (*scope.around, name))
        return {"$block": {"name": name, "declared": declared, "layers": self.layers(block["layers"], inner)}}

    def _arguments(self, name: str, given: Any, scope: _Scope) -> dict[str, Any]:
        """The values of a block's parameters at one use."""
        declared, block = self._blocks[name]
        params = block.get("params") or {}
        given = {} if given is None else given
        where = f" (declared at {declared})"
        if not isinstance(given, dict):
            self.faults.append(scope.fault(f"must name the parameters of {name}{where}, got {shown(given)}"))
            given = {}
        for odd in given:
            if odd not in params:
                text = unknown("", f"parameter of {name}", str(odd), params).text
                self.faults.append(scope.below(f".{odd}").fault(text + where))
        values: dict[str, Any] = {}
        for param, default in params.items():
            if param in given:
                values[param] = self._value(given[param], scope.below(f".{param}"))
            else:
                # A default may refer to the parameters before it.
                values[param] = self._value(default, _Scope(values, f"{declared}.params.{param}"))
            if values[param] is None and default is None:
                self.faults.append(scope.below(f".{param}").fault(f"must be given{where}, got nothing"))
                values[param] = 1
        return values

    def _text(self, text: str, scope: _Scope) -> Any:
        """What a text with `$name` in it stands for; any other text is itself."""
        if "$" not in text and not re.fullmatch(r"[\d\s()+*/-]*\d\s*(?:[+*-]|//)\s*[\d(][\d\s()+*/-]*", text):
            return text
        whole = _NAME.fullmatch(text.strip())
        missing = [name for name in _NAME.findall(text) if name not in scope.values]
        if missing:
            self.faults.append(scope.fault(unknown("", "parameter", missing[0], scope.values).text))
            return 1
        if whole:
            return scope.values[whole[1]]
        try:
            return _computed(text, scope.values)
        except ValueError as error:
            self.faults.append(scope.fault(str(error)))
            return 1


def _computed(text: str, values: Mapping[str, Any]) -> int:
    """Integer arithmetic with `+ - * //` and parentheses. Raises ValueError with the text of a fault."""
    rule = must("", "be integers and $names joined by + - * //", text).text
    if not _ARITHMETIC.match(text) or len(text) > 200:
        raise ValueError(rule)
    try:
        tree = ast.parse(_NAME.sub(r"_\1", text).strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(rule) from None

    def value(node: ast.expr) -> int:
        if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
            left, right = value(node.left), value(node.right)
            if isinstance(node.op, ast.FloorDiv) and right == 0:
                raise ValueError(must("", "not divide by zero", text).text)
            found = _OPERATORS[type(node.op)](left, right)
            if abs(found) > _LARGEST:
                raise ValueError(must("", f"stay below {_LARGEST:,}", text).text)
            return found
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            return -value(node.operand)
        leaf: Any = values.get(node.id[1:]) if isinstance(node, ast.Name) else getattr(node, "value", None)
        if isinstance(leaf, bool) or not isinstance(leaf, int):
            raise ValueError(must("", f"compute with integers alone, not {shown(leaf)}", text).text)
        return leaf

    return value(tree)
