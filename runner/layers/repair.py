"""A layer list that could not be read, mended by guesses, so that what else is wrong with it can be told at once.

What is guessed is never trained. Guesses only ever make feature maps larger, so that a window which does not fit
after them would not have fitted before.
"""

import difflib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from runner.layers import KINDS, Layer, LayerList, flattened

# Keeps every shape, so it can stand where nothing better is known.
_NEUTRAL = "relu"
# What stands in for an argument that cannot be read, where leaving it out might make a feature map smaller.
_LARGEST: dict[str, Any] = {"padding": "full", "stride": 1, "ceil_mode": True}
# Mending an entry can bring to light what is wrong within it: its kind, its form, what is missing, its own layers.
_ROUNDS = 8
_ENTRIES: TypeAdapter[tuple[Layer, ...]] = TypeAdapter(LayerList)


def repaired(entries: Any) -> tuple[Layer, ...] | None:
    """The layers, or the nearest that can be read; None where there is nothing to go by."""
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


def _mended(here: Any, location: tuple[Any, ...]) -> Any:
    """`here` with what is wrong at `location` left out, or replaced where it cannot be."""
    if not location:
        return here
    part, rest = location[0], location[1:]
    if isinstance(here, tuple) and isinstance(part, int) and part < len(here):
        entry = _mended(here[part], rest) if rest and isinstance(here[part], dict) else _nearest(here[part])
        return (*here[:part], entry, *here[part + 1 :])
    if not isinstance(here, dict):
        return here
    if part not in here:
        # The name of a union's member, which the form does not hold, or a key that is missing.
        return _mended(here, rest) if rest else {**here, part: (_NEUTRAL,) if part == "layers" else 1}
    below = flattened(here[part]) if part == "layers" else here[part]
    if rest and (part == "layers" or (part in KINDS and isinstance(below, dict))):
        return {**here, part: _mended(below, rest)}
    if part in KINDS:
        return {part: {}}
    if part in _LARGEST:
        return {**here, part: _LARGEST[part]}
    return {key: value for key, value in here.items() if key != part}


def _nearest(entry: Any) -> Any:
    """An entry of a known kind in place of one of an unknown one."""
    kind, arguments = entry, None
    if isinstance(entry, dict) and len(entry) == 1:
        kind, arguments = next(iter(entry.items()))
    nearest = difflib.get_close_matches(str(kind), KINDS, n=1, cutoff=0.5)
    return {nearest[0]: arguments} if nearest else _NEUTRAL
