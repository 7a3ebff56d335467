"""Integer arithmetic on named values: `$width * 4`, `($a + $times[0]) // 2`. Nothing else is evaluated."""

import ast
import operator
import re
from collections.abc import Mapping
from typing import Any, Final

from runner.errors import must, shown, unknown
from runner.expressions import Language

_REFERENCE: Final = re.compile(r"\$([A-Za-z_]\w*)((?:\[\d{1,6}\])*)")
ALONE: Final = re.compile(r"[\d\s()+*/-]*\d\s*(?:[+*-]|//)\s*[\d(][\d\s()+*/-]*")
_SIGNS: Final = re.compile(r"[\d\s()+*/-]+")
_LANGUAGE: Final = Language(
    {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv}
)
_LARGEST: Final = 2**53
_LONGEST: Final = 200


def refers(text: str) -> bool:
    """Whether a text must be evaluated: it contains a `$name`, or is arithmetic."""
    return "$" in text or (len(text) <= _LONGEST and ALONE.fullmatch(text) is not None)


def names(text: str) -> list[str]:
    """The names that a text refers to."""
    return [name for name, _ in _REFERENCE.findall(text)]


def value(text: str, values: Mapping[str, Any]) -> Any:
    """The value of a text: `$name` and `$name[0]` may have any type; all else is an integer.

    Raises ValueError with the text of a fault.
    """
    if whole := _REFERENCE.fullmatch(text.strip()):
        return _looked_up(whole, values)
    rule = must("", "be integers and $names joined by + - * //", text).text
    if len(text) > _LONGEST or not _SIGNS.fullmatch(_REFERENCE.sub("0", text)):
        raise ValueError(rule)
    operands: list[Any] = []

    def placeholder(reference: re.Match[str]) -> str:
        operands.append(_looked_up(reference, values))
        return f" _{len(operands) - 1} "

    tree = _LANGUAGE.read(_REFERENCE.sub(placeholder, text))
    if tree is None:
        raise ValueError(rule)

    def whole_number(number: Any) -> int:
        return _whole(number, text)

    try:
        result = _LANGUAGE.value(tree, lambda name: operands[int(name[1:])], whole_number)
    except ZeroDivisionError:
        raise ValueError(must("", "not divide by zero", text).text) from None
    return whole_number(result)


def _whole(number: Any, text: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(must("", f"compute with integers only, not {shown(number)}", text).text)
    if abs(number) > _LARGEST:
        raise ValueError(must("", f"stay below {_LARGEST:,}", text).text)
    return number


def _looked_up(reference: re.Match[str], values: Mapping[str, Any]) -> Any:
    name, indices = reference.groups()
    if name not in values:
        raise ValueError(unknown("", "parameter", name, values).text)
    found = values[name]
    for index in re.findall(r"\d+", indices):
        if not isinstance(found, tuple):
            raise ValueError(must("", f"take an entry of a list, not of {shown(found)}", reference[0]).text)
        if int(index) >= len(found):
            raise ValueError(must("", f"take one of the {len(found)} entries of {name}, from 0", reference[0]).text)
        found = found[int(index)]
    return found
