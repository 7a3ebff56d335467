"""What has to hold of a member, by a reader that knows arithmetic and comparisons and nothing else.

>>> holds("train.batch_size * optimizer.learning_rate < 1", {"train.batch_size": 32, "optimizer.learning_rate": 0.01})
True
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from runner.errors import must

_ARITHMETIC: Final[Mapping[type[ast.operator], Callable[[Any, Any], Any]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARISONS: Final[Mapping[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
_LONGEST: Final = 500
# A text in quotes, which stays as it is, or a path: layers.0.filters, where Python expects a name after every dot.
_WORDS: Final = re.compile(r"""'[^']*'|"[^"]*"|[A-Za-z_]\w*(?:\.\w+)+""")
_INDEX: Final = re.compile(r"(?<=\.)(?=\d+(?:\.|$))")
_INDEXED: Final = "_entry_"


def names(text: str) -> set[str]:
    """The paths that a constraint speaks of. Raises ValueError, with the text of a fault, where it is none."""
    return set(_names(_read(text)))


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a constraint holds; one that speaks of what a member has not, does.

    Raises ValueError, with the text of a fault, where its values cannot be computed with.
    """
    tree = _read(text)
    if not set(_names(tree)) <= set(values):
        return True
    try:
        return bool(_value(tree, values))
    except (TypeError, ArithmeticError) as error:
        raise ValueError(must("", f"be computable ({error})", text).text) from error


def _read(text: str) -> ast.expr:
    rule = must("", "compare paths and numbers, joined by + - * / // % and or not", text).text
    try:
        tree = ast.parse(_WORDS.sub(_named, text) if len(text) <= _LONGEST else "(", mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise ValueError(rule) from None
    if not isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp) or not _is_known(tree):
        raise ValueError(rule)
    return tree


def _named(word: re.Match[str]) -> str:
    """A path whose indices are names to Python."""
    return word[0] if word[0][0] in "'\"" else _INDEX.sub(_INDEXED, word[0])


def _is_known(node: ast.expr) -> bool:
    match node:
        case ast.Compare(left, operators, right):
            return all(type(one) in _COMPARISONS for one in operators) and all(map(_is_known, [left, *right]))
        case ast.BoolOp(_, values):
            return all(map(_is_known, values))
        case ast.BinOp(left, sign, right):
            return type(sign) in _ARITHMETIC and _is_known(left) and _is_known(right)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            return _is_known(operand)
        case ast.Constant(value):
            return isinstance(value, int | float | str)
        case _:
            return bool(_path(node))


def _path(node: ast.expr) -> str:
    """`optimizer.learning_rate`, from the attribute of a name; empty where it is neither."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        above = _path(node.value)
        return f"{above}.{node.attr.removeprefix(_INDEXED)}" if above else ""
    return ""


def _names(node: ast.expr) -> Iterator[str]:
    if path := _path(node):
        yield path
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):
            yield from _names(child)


def _value(node: ast.expr, values: Mapping[str, Any]) -> Any:
    match node:
        case ast.Compare(left, operators, right):
            sides = [_value(side, values) for side in (left, *right)]
            pairs = zip(operators, sides, sides[1:], strict=False)
            return all(_COMPARISONS[type(one)](first, second) for one, first, second in pairs)
        case ast.BoolOp(ast.And(), parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(_, parts):
            return any(_value(part, values) for part in parts)
        case ast.BinOp(left, sign, right):
            sides = [_value(left, values), _value(right, values)]
            if any(isinstance(side, str) for side in sides):  # Python would repeat and format them
                raise TypeError("words are compared, not computed with")
            return _ARITHMETIC[type(sign)](*sides)
        case ast.UnaryOp(ast.Not(), operand):
            return not _value(operand, values)
        case ast.UnaryOp(_, operand):
            return -_value(operand, values)
        case ast.Constant(value):
            return value
        case _:
            return values[_path(node)]
