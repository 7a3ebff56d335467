"""What has to hold of a member, by a reader that knows arithmetic and comparisons and nothing else.

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
# A text in quotes, which stays as it is, or a path: layers.0.filters, where Python expects a name after every dot.
_WORDS: Final = re.compile(r"""'[^']*'|"[^"]*"|[A-Za-z_]\w*(?:\.\w+)+""")
_INDEX: Final = re.compile(r"(?<=\.)(?=\d+(?:\.|$))")
_INDEXED: Final = "_entry_"


def names(text: str) -> set[str]:
    """The paths that a constraint speaks of. Raises ValueError, with the text of a fault, where it is no constraint."""
    return set(map(_path, expressions.names(_read(text))))


def holds(text: str, values: Mapping[str, Any]) -> bool:
    """Whether a constraint holds. It holds where it speaks of a path that the member lacks.

    Raises ValueError, with the text of a fault, where its values cannot be computed with.
    """
    tree = _read(text)
    if not set(map(_path, expressions.names(tree))) <= set(values):
        return True
    try:
        return bool(_LANGUAGE.value(tree, lambda name: values[_path(name)], _number))
    except (TypeError, ArithmeticError) as error:
        raise ValueError(must("", f"be computable ({error})", text).text) from error


@functools.lru_cache(maxsize=128)  # a sweep asks of every combination
def _read(text: str) -> ast.expr:
    tree = _LANGUAGE.read(_WORDS.sub(_named, text)) if len(text) <= _LONGEST else None
    if not isinstance(tree, ast.Compare | ast.BoolOp | ast.UnaryOp):
        raise ValueError(must("", "compare paths and numbers, joined by + - * / // % and or not", text).text)
    return tree


def _named(word: re.Match[str]) -> str:
    """A path whose indices are names to Python."""
    return word[0] if word[0][0] in "'\"" else _INDEX.sub(_INDEXED, word[0])


def _path(name: str) -> str:
    """The path that a name of the expression stands for."""
    return name.replace(f".{_INDEXED}", ".")


def _number(value: Any) -> Any:
    if isinstance(value, str):  # Python would repeat and format texts
        raise TypeError("words are compared, not computed with")
    return value
