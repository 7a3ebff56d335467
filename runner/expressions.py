"""Arithmetic and comparisons on named values, by a reader that knows nothing else: no calls, no powers, no subscripts.

>>> language = Language(operators={ast.Mult: operator.mul})
>>> language.value(language.read("a * 2"), {"a": 3}.__getitem__)
6

Two languages of the YAML are read by it: integers in layer lists (`arithmetic`) and a sweep's `constraints`.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Language:
    """The signs that a text may have beside names, parentheses, a minus and constants of these types."""

    operators: Mapping[type[ast.operator], Callable[[Any, Any], Any]]
    comparisons: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = field(default_factory=dict)
    logic: bool = False  # and, or, not
    constants: tuple[type, ...] = (int,)

    def read(self, text: str) -> ast.expr | None:
        """The expression that a text is; None where it is none of this language."""
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            return tree if self._knows(tree) else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # Python gives up on what is nested too deeply
            return None

    def value(self, node: ast.expr, named: Callable[[str], Any], operand: Callable[[Any], Any] = _unchanged) -> Any:
        """The value of an expression of this language.

        `named` gives the value of a name, `operand` checks every value that is computed with and every result.
        """

        def found(node: ast.expr) -> Any:
            match node:
                case ast.Compare(left, signs, right):
                    sides = [found(side) for side in (left, *right)]
                    pairs = zip(signs, sides, sides[1:], strict=False)
                    return all(self.comparisons[type(sign)](first, second) for sign, first, second in pairs)
                case ast.BoolOp(ast.And(), parts):
                    return all(found(part) for part in parts)
                case ast.BoolOp(_, parts):
                    return any(found(part) for part in parts)
                case ast.BinOp(left, sign, right):
                    sides = [operand(found(side)) for side in (left, right)]
                    return operand(self.operators[type(sign)](*sides))
                case ast.UnaryOp(ast.Not(), inner):
                    return not found(inner)
                case ast.UnaryOp(_, inner):
                    return -operand(found(inner))
                case ast.Constant(value):
                    return value
                case _:
                    return named(name(node))

        return found(node)

    def _knows(self, node: ast.expr) -> bool:
        match node:
            case ast.Compare(left, signs, right):
                return all(type(sign) in self.comparisons for sign in signs) and all(map(self._knows, [left, *right]))
            case ast.BoolOp(_, parts):
                return self.logic and all(map(self._knows, parts))
            case ast.BinOp(left, sign, right):
                return type(sign) in self.operators and self._knows(left) and self._knows(right)
            case ast.UnaryOp(ast.Not(), inner):
                return self.logic and self._knows(inner)
            case ast.UnaryOp(ast.USub(), inner):
                return self._knows(inner)
            case ast.Constant(value):
                return isinstance(value, self.constants)
            case _:
                return bool(name(node))


def name(node: ast.expr) -> str:
    """`optimizer.learning_rate` of a name or of the attribute of one; empty where a node is neither."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (above := name(node.value)):
        return f"{above}.{node.attr}"
    return ""


def names(node: ast.expr) -> Iterator[str]:
    """The names that an expression speaks of, in order."""
    if own := name(node):
        yield own
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from names(child)
