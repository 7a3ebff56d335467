"""Repairs an invalid layer list by guesses, so that all of its other faults can be reported at once.

Guesses are never trained. They only make feature maps larger, so a window that does not fit after them could not have
fitted before.
"""

import difflib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runner.layers import EVERY_KIND, KINDS, Layer, LayerList, flattened
from runner.layers.base import Fallback

# Keeps every shape, so it can replace an entry of unknown kind.
_NEUTRAL = "relu"
# A repaired entry can show further faults: its kind, its form, missing arguments, its own layers.
_ROUNDS = 8
_ENTRIES: TypeAdapter[tuple[Layer, ...]] = TypeAdapter(LayerList)


def repaired(entries: Any) -> tuple[Layer, ...] | None:
    """The layers, with invalid ones replaced by the nearest valid ones; None if that is not possible."""
    entries = flattened(entries)
    if not isinstance(entries, tuple):
        return None
    for _ in range(_ROUNDS):
        try:
            return _ENTRIES.validate_python(entries)
        except ValidationError as error:
            for item in error.errors(include_url=False):
                entries = _mended(entries, item["loc"])
    return None


def _mended(entries: Any, location: tuple[Any, ...]) -> Any:
    """A layer list with the invalid part at `location` removed, or replaced if it is required."""
    index, rest = (location[0], location[1:]) if location else (None, ())
    if not isinstance(entries, tuple) or not isinstance(index, int) or index >= len(entries):
        return entries
    entry = entries[index]
    mended = _mended_entry(entry, rest) if rest and isinstance(entry, dict) else _nearest(entry)
    return (*entries[:index], mended, *entries[index + 1 :])


def _mended_entry(entry: dict[str, Any], location: tuple[Any, ...]) -> Any:
    kind, rest = location[0], location[1:]
    if kind not in entry or kind not in EVERY_KIND:
        return entry
    arguments = entry[kind]
    return {kind: _mended_arguments(arguments, rest, EVERY_KIND[kind]) if rest and isinstance(arguments, dict) else {}}


def _mended_arguments(arguments: dict[str, Any], location: tuple[Any, ...], kind: type[Layer]) -> dict[str, Any]:
    name, rest = location[0], location[1:]
    if name not in arguments:  # it is missing
        return {**arguments, name: _missing(name, kind)}
    value = arguments[name]
    if rest and name in kind.lists:
        return {**arguments, name: _mended(flattened(value), rest)}
    if rest and name in kind.list_groups and isinstance(value, tuple):
        return {**arguments, name: _mended_lists(value, rest)}
    if (fallback := _fallback(name, kind)) is not None:
        return {**arguments, name: fallback.value}
    return {key: other for key, other in arguments.items() if key != name}


def _mended_lists(lists: tuple[Any, ...], location: tuple[Any, ...]) -> tuple[Any, ...]:
    """Several layer lists with the invalid part of one repaired; one that is not a list becomes empty."""
    index, rest = location[0], location[1:]
    if not isinstance(index, int) or index >= len(lists):
        return lists
    mended = _mended(flattened(lists[index]), rest) if rest else ()
    return (*lists[:index], mended, *lists[index + 1 :])


def _missing(name: str, kind: type[Layer]) -> Any:
    """The guess for a required argument that is missing."""
    if name in kind.list_groups:
        return ((), ())
    if name in kind.lists:
        return (_NEUTRAL,)
    fallback = _fallback(name, kind)
    return 1 if fallback is None else fallback.value


def _fallback(name: str, kind: type[Layer]) -> Fallback | None:
    field = kind.model_fields.get(name)
    return next((mark for mark in field.metadata if isinstance(mark, Fallback)), None) if field else None


def _nearest(entry: Any) -> Any:
    """An entry of the nearest known kind, instead of an unknown one."""
    kind, arguments = entry, None
    if isinstance(entry, dict) and len(entry) == 1:
        kind, arguments = next(iter(entry.items()))
    nearest = difflib.get_close_matches(str(kind), KINDS, n=1, cutoff=0.5)
    return {nearest[0]: arguments} if nearest else _NEUTRAL
