"""Arithmetic and comparisons on named values. Everything else (calls, powers, subscripts) is refused.

>>> language = Language(operators={ast.Mult: operator.mul})
>>> language.value(language.read("a * 2"), {"a": 3}.__getitem__)
6

Two kinds of expression in YAML use it: integers in layer lists (`arithmetic`) and the `constraints` of a sweep.
"""

import ast
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any


def _unchanged(value: Any) -> Any:
    return value


@dataclass(frozen=True)
class Language:
    """The operators and types of constants that an expression may contain, besides names, parentheses and a minus."""

    operators: Mapping[type[ast.operator], Callable[[Any, Any], Any]]
    comparisons: Mapping[type[ast.cmpop], Callable[[Any, Any], bool]] = field(default_factory=dict)
    logic: bool = False  # and, or, not
    constants: tuple[type, ...] = (int,)

    def read(self, text: str) -> ast.expr | None:
        """Parses an expression; returns None if it is not one of this language."""
        try:
            tree = ast.parse(text.strip(), mode="eval").body
            return tree if self._allows(tree) else None
        except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two if it is nested too deeply
            return None

    def value(self, node: ast.expr, named: Callable[[str], Any], operand: Callable[[Any], Any] = _unchanged) -> Any:
        """Evaluates an expression of this language.

        `named` returns the value of a name; `operand` checks every operand and every result of arithmetic.
        """

        def evaluate(node: ast.expr) -> Any:
            match node:
                case ast.Compare(left, signs, right):
                    sides = [evaluate(side) for side in (left, *right)]
                    pairs = zip(signs, sides, sides[1:], strict=False)
                    return all(self.comparisons[type(sign)](first, second) for sign, first, second in pairs)
                case ast.BoolOp(ast.And(), parts):
                    return all(evaluate(part) for part in parts)
                case ast.BoolOp(_, parts):
                    return any(evaluate(part) for part in parts)
                case ast.BinOp(left, sign, right):
                    sides = [operand(evaluate(side)) for side in (left, right)]
                    return operand(self.operators[type(sign)](*sides))
                case ast.UnaryOp(ast.Not(), inner):
                    return not evaluate(inner)
                case ast.UnaryOp(_, inner):
                    return -operand(evaluate(inner))
                case ast.Constant(value):
                    return value
                case _:
                    return named(name(node))

        return evaluate(node)

    def _allows(self, node: ast.expr) -> bool:
        match node:
            case ast.Compare(left, signs, right):
                return all(type(sign) in self.comparisons for sign in signs) and all(map(self._allows, [left, *right]))
            case ast.BoolOp(_, parts):
                return self.logic and all(map(self._allows, parts))
            case ast.BinOp(left, sign, right):
                return type(sign) in self.operators and self._allows(left) and self._allows(right)
            case ast.UnaryOp(ast.Not(), inner):
                return self.logic and self._allows(inner)
            case ast.UnaryOp(ast.USub(), inner):
                return self._allows(inner)
            case ast.Constant(value):
                return isinstance(value, self.constants)
            case _:
                return bool(name(node))


def name(node: ast.expr) -> str:
    """The dotted name of a node, such as `optimizer.learning_rate`; empty if it is not a name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (above := name(node.value)):
        return f"{above}.{node.attr}"
    return ""


def names(node: ast.expr) -> Iterator[str]:
    """The names in an expression, in order."""
    if own := name(node):
        yield own
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from names(child)
