"""Constraints on the values of a member: arithmetic and comparisons on paths. Nothing else is evaluated.

>>> holds("train.batch_size * optimizer.learning_rate < 1", {"train.batch_size": 32, "optimizer.learning_rate": 0.01})
True
"""

import ast
import functools
import operator
import re
from collections.abc import Mapping
from typing import Any, Final

from runner import expressions
from runner.errors import must
from runner.expressions import Language

_LANGUAGE: Final = Language(
    operators={
        ast.Add: operator.add,
        ast.Sub: operator.sub,
        ast.Mult: operator.mul,
        ast.Div: operator.truediv,
        ast.FloorDiv: operator.floordiv,
        ast.Mod: operator.mod,
    },
    comparisons={
        ast.Lt: operator.lt,
        ast.LtE: operator.le,
        ast.Gt: operator.gt,
        ast.GtE: operator.ge,
        ast.Eq: operator.eq,
        ast.NotEq: operator.ne,
    },
    logic=True,
    constants=(int, float, str),
)
_LONGEST: Final = 500
# A quoted text, or a path such as layers.0.filters, whose indices must become names for Python's parser.
_WORDS: Final = re.compile(r"""'[^']*'|"[^"]*"|[A-Za-z_]\w*(?:\.\w+)+""")
_INDEX: Final = re.compile(r"(?<=\.)(?=\d+(?:\.|$))")
_INDEXED: Final = "_entry_"


def names(text: str) -> set[str]:
    """The paths in a constraint. Raises ValueError with the text of a fault if it is not a constraint."""
    return set(map(_path, expressions.names(_read(text))))


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a constraint holds. It always holds if the member lacks one of its paths.

    Raises ValueError with the text of a fault if its values have the wrong types.
    """
    tree = _read(text)
    if not set(map(_path, expressions.names(tree))) <= set(values):
        return True
    try:
        return bool(_LANGUAGE.value(tree, lambda name: values[_path(name)], _number))
    except (TypeError, ArithmeticError) as error:
        raise ValueError(must("", f"be computable ({error})", text).text) from error


@functools.lru_cache(maxsize=128)  # called for every combination
def _read(text: str) -> ast.expr:
    tree = _LANGUAGE.read(_WORDS.sub(_named, text)) if len(text) <= _LONGEST else None
    if not isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp):
        raise ValueError(must("", "compare paths and numbers, joined by + - * / // % and or not", text).text)
    return tree


def _named(word: re.Match[str]) -> str:
    """Replaces the indices of a path by names; leaves quoted texts unchanged."""
    return word[0] if word[0][0] in "'\"" else _INDEX.sub(_INDEXED, word[0])


def _path(name: str) -> str:
    """The path of a name in the expression."""
    return name.replace(f".{_INDEXED}", ".")


def _number(value: Any) -> Any:
    if isinstance(value, str):  # for texts, Python's * repeats and % formats
        raise TypeError("words can only be compared")
    return value
