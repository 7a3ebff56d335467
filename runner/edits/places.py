"""The places of layers in a model, as users name them: `layers[1].residual.layers[0]`, `1_residual.layers.0_conv`.

>>> model = {"layers": ["relu", {"residual": {"layers": ["tanh"]}}]}
>>> place(model, "1_residual.layers.0_tanh")
('layers', 1, 'residual', 'layers', 0)
>>> place_text(('layers', 1, 'residual', 'layers', 0))
'layers[1].residual.layers[0]'
"""

import re
from collections.abc import Iterator
from typing import Any, Final

Path = tuple[str | int, ...]
PARTS: Final = ("layers", "blocks")  # of a model, that have layers
_PLACE: Final = re.compile(r"(model\.)?(layers|blocks)\b.*|\d+_.*")
_TOKEN: Final = re.compile(r"[^.\[\]]+")
_WHOLE: Final = re.compile(rf"{_TOKEN.pattern}(\.{_TOKEN.pattern}|\[{_TOKEN.pattern}\])*")
_ENTRY: Final = re.compile(r"([0-9]{1,9})(?:_(.+))?")  # of a list: 3 or 3_conv


def is_place(name: str) -> bool:
    """Whether a name is meant as a place, not as a kind."""
    return _PLACE.fullmatch(name) is not None


def place_text(path: Path) -> str:
    """A path as users write it: `layers[1].residual.layers[0]`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def flat(entries: Any) -> Any:
    """Inner lists replaced by their entries: the places of layers are those that `describe` shows."""
    if not isinstance(entries, list):
        return entries
    return [item for entry in entries for item in (flat(entry) if isinstance(entry, list) else [entry])]


def label(entry: Any) -> str | None:
    """The kind of a layer, or the name of its block; None if it is no layer."""
    kind = next(iter(entry)) if isinstance(entry, dict) and len(entry) == 1 else entry
    return kind if isinstance(kind, str) else None


def labelled(entries: list[Any], at: Path) -> Iterator[tuple[Path, str]]:
    """Every layer of a list, and in its layers, with its label."""
    for index, entry in enumerate(entries):
        here = (*at, index)
        if isinstance(entry, list):  # a path of branches
            yield from labelled(entry, here)
        elif (kind := label(entry)) is not None:
            yield here, kind
            own = entry[kind] if isinstance(entry, dict) else None
            for name, value in own.items() if isinstance(own, dict) else ():
                if isinstance(value, list):
                    yield from labelled(value, (*here, kind, name))


def node_at(node: Any, path: Path) -> Any:
    """What is at a path."""
    for part in path:
        node = node[part]
    return node


def place(parts: dict[str, Any], name: str) -> Path | None:
    """The path of the layer at a place, `layers[1].residual.layers[0]` or `1_residual.layers.0_conv`; None if none."""
    if not _WHOLE.fullmatch(name):
        return None
    tokens = _TOKEN.findall(name.removeprefix("model."))
    if tokens[0] not in PARTS:
        tokens.insert(0, "layers")
    node: Any = parts
    path: Path = ()
    for token in tokens:
        if isinstance(node, list):
            entry = _ENTRY.fullmatch(token)
            number = int(entry[1]) if entry else len(node)
            if entry is None or number >= len(node) or entry[2] not in (None, label(node[number])):
                return None
            node, path = node[number], (*path, number)
        elif isinstance(node, dict):
            below, node = _below(node, token)
            if not below:
                return None
            path = (*path, *below)
        elif node != token:  # the kind of a layer without arguments
            return None
    if isinstance(path[-1], str) and isinstance(path[-2:][0], int):  # ends with the kind of the layer
        path = path[:-1]
    return path if isinstance(path[-1], int) and label(node_at(parts, path)) is not None else None


def _below(node: dict[str, Any], token: str) -> tuple[Path, Any]:
    """What is at a key of a mapping, or of the arguments of a layer whose kind the place leaves out."""
    if token in node:
        return (token,), node[token]
    kind = label(node)
    own = node[kind] if kind is not None else None
    return ((kind, token), own[token]) if kind is not None and isinstance(own, dict) and token in own else ((), None)
