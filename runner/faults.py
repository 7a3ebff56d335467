"""Converts pydantic's errors to faults for users: `path: must RULE, got VALUE`, one line for each."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from runner.errors import Fault, must

Location = tuple[int | str, ...]

_RULES: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": lambda context: "be a whole number",
    "int_from_float": lambda context: "be a whole number",
    "float_type": lambda context: "be a number",
    "finite_number": lambda context: "be a finite number",
    "bool_type": lambda context: "be true or false",
    "string_type": lambda context: "be a word",
    "string_too_short": lambda context: "not be empty",
    "string_too_long": lambda context: f"have at most {context['max_length']:,} characters",
    "tuple_type": lambda context: "be a list",
    "too_short": lambda context: f"have at least {_entries(context['min_length'])}",
    "too_long": lambda context: f"have at most {_entries(context['max_length'])}",
    "greater_than_equal": lambda context: f"be ≥ {_exactly(context['ge'])}",
    "greater_than": lambda context: f"be > {_exactly(context['gt'])}",
    "less_than_equal": lambda context: f"be ≤ {_exactly(context['le'])}",
    "less_than": lambda context: f"be < {_exactly(context['lt'])}",
    "literal_error": lambda context: f"be one of {context['expected'].replace(chr(39), '').replace(' or ', ', ')}",
    "string_pattern_mismatch": lambda context: f"match {context['pattern']}",
    "union_tag_invalid": lambda context: f"be one of {context['expected_tags'].replace(chr(39), '')}",
    "model_type": lambda context: "be a mapping",
    "model_attributes_type": lambda context: "be a mapping",
    "dict_type": lambda context: "be a mapping",
}


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _exactly(bound: float) -> str:
    return str(int(bound)) if bound == int(bound) else f"{bound:g}"


def fault(error: Mapping[str, Any], raw: Any) -> Fault:
    """Converts one of pydantic's errors about `raw` to a fault."""
    path, got = dotted(error["loc"], raw), error["input"]
    match error["type"]:
        case "missing":
            return Fault(_inside(dotted(error["loc"][:-1], raw), error["loc"][-1]), "must be given, got nothing")
        case "union_tag_not_found":
            tag = error["ctx"]["discriminator"].strip("'")
            return Fault(f"{path}.{tag}", "must be given, got nothing")
        case "union_tag_invalid":
            tag = error["ctx"]["discriminator"].strip("'")
            return must(f"{path}.{tag}", _RULES["union_tag_invalid"](error["ctx"]), got.get(tag))
        case "value_error":
            return Fault(path, str(error["ctx"]["error"]))
        case kind if kind in _RULES:
            return must(path, _RULES[kind](error.get("ctx", {})), got)
        case _:
            return Fault(path, error["msg"])


def first_causes(errors: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Removes consequences of other errors: pydantic also calls a list too short if some of its entries are wrong."""
    places = {error["loc"][:end] for error in errors for end in range(len(error["loc"]))}
    return [error for error in errors if error["type"] != "too_short" or error["loc"] not in places]


def without_repeats(faults: Iterable[Fault]) -> Iterator[Fault]:
    """Removes repeats: of the same fault of a block, used several times within one entry of the model's layers."""
    seen: set[tuple[str, str, str]] = set()
    for fault in faults:
        place, _, use = fault.path.partition(" (used at ")
        key = (place, use[: use.find("]") + 1], fault.text)
        if key not in seen:
            yield fault
        seen.add(key)


def dotted(location: Location, raw: Any) -> str:
    """Converts a location of pydantic to a path: `model.layers[3].conv.stride`.

    Pydantic inserts the name of the union member that it tried. A part that is not in `raw` and is not the last is such
    a name, and is skipped. A bare word stands for a mapping from it to null.
    """
    path, here, declared, used = "", raw, "", ""
    for position, part in enumerate(location):
        last = position == len(location) - 1
        if isinstance(here, dict) and part == "$block":
            here = here[part]
            path, declared = path + _key(here["name"]), here["declared"]
            used = path.removeprefix(".")
            continue
        if isinstance(here, dict) and part == "$when":
            here = here[part]
            path, declared = path + ".when", declared + ".when"
            continue
        step, here = _step(part, here, last=last)
        path, declared = path + step, declared + step
    return f"{declared} (used at {used})" if used else path.removeprefix(".")


def _step(part: int | str, here: Any, *, last: bool) -> tuple[str, Any]:
    """The text that one part of a location adds to a path, and the value at this part."""
    if isinstance(part, int) and not isinstance(here, dict):
        return f"[{part}]", here[part] if isinstance(here, tuple) and part < len(here) else None
    if isinstance(here, dict) and part in here:
        return _key(part), here[part]
    if (last and isinstance(here, dict)) or (isinstance(here, str) and part == here):
        return _key(part), None
    return "", here


def _inside(path: str, key: object) -> str:
    """The path of a key below `path`; the note on a block's use stays at the end."""
    place, used, use = path.partition(" (used at ")
    return (place + _key(key)).removeprefix(".") + used + use


def _key(part: object) -> str:
    name = str(part)
    return f".{name if name.strip() else repr(name)}"


def unwritable(raw: Any, path: str = "") -> Iterator[Fault]:
    """Faults of texts and keys that are not valid Unicode, such as undecodable bytes or half a surrogate pair."""
    if isinstance(raw, str):
        if not _is_text(raw):
            yield must(path, "be Unicode text", raw)
    elif isinstance(raw, tuple):
        for index, item in enumerate(raw):
            yield from unwritable(item, f"{path}[{index}]")
    elif isinstance(raw, dict):
        for key, item in raw.items():
            if isinstance(key, str) and not _is_text(key):
                yield must(path or "configuration", "have keys of Unicode text", key)
            else:
                yield from unwritable(item, (path + _key(key)).removeprefix("."))


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
