"""Integer arithmetic on named values, by a reader that knows nothing else: `$width * 4`, `($a + $times[0]) // 2`."""

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
    """Whether a text stands for something else: a `$name`, or arithmetic, with or without names."""
    return "$" in text or (len(text) <= _LONGEST and ALONE.fullmatch(text) is not None)


def names(text: str) -> list[str]:
    """The names that a text refers to."""
    return [name for name, _ in _REFERENCE.findall(text)]


def value(text: str, values: Mapping[str, Any]) -> Any:
    """What a text stands for: `$name` and `$name[0]` are values of any type, everything else is an integer.

    Raises ValueError with the text of a fault.
    """
    if whole := _REFERENCE.fullmatch(text.strip()):
        return _looked_up(whole, values)
    rule = must("", "be integers and $names joined by + - * //", text).text
    if len(text) > _LONGEST or not _SIGNS.fullmatch(_REFERENCE.sub("0", text)):
        raise ValueError(rule)
    held: list[Any] = []

    def placed(reference: re.Match[str]) -> str:
        held.append(_looked_up(reference, values))
        return f" _{len(held) - 1} "

    tree = _LANGUAGE.read(_REFERENCE.sub(placed, text))
    if tree is None:
        raise ValueError(rule)

    def whole_number(number: Any) -> int:
        return _whole(number, text)

    try:
        found = _LANGUAGE.value(tree, lambda place: held[int(place[1:])], whole_number)
    except ZeroDivisionError:
        raise ValueError(must("", "not divide by zero", text).text) from None
    return whole_number(found)


def _whole(number: Any, text: str) -> int:
    if isinstance(number, bool) or not isinstance(number, int):
        raise ValueError(must("", f"compute with integers alone, not {shown(number)}", text).text)
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
