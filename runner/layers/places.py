"""Dotted paths of parameters and statistics, and the names by which users select layers.

>>> sorted(dotted({"0_conv": {"kernel": k, "bias": b}}))
['0_conv.bias', '0_conv.kernel']
>>> stands_for("conv", "3_bottleneck.layers.0_conv.kernel")     # by the kind of a layer, or of one around it
True
>>> stands_for("3_bottleneck", "3_bottleneck.layers.0_conv.kernel")     # or by the beginning of the path
True
>>> resolved(["layers[3]"], [Located("layers[3].bottleneck", "3_bottleneck")])     # or by its place in the YAML
('3_bottleneck',)
"""

import functools
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import BeforeValidator, WithJsonSchema

from runner.errors import ConfigError, Fault, unknown
from runner.layers.base import Tree
from runner.layers.passes import Located

_LABEL = re.compile(r"\d+_(.+)")
_PLACE = re.compile(r"(?:model\.)?layers(?:\.\d+|\[\d+\])(?:\.[^.\[\]]+|\[\d+\])*")
_LIKE_A_PLACE = re.compile(r"(?:model\.)?layers(?![^.\[])")

_NAME_SCHEMA = {"type": "string", "minLength": 1}

# One name may be written without brackets.
LayerNames = Annotated[
    tuple[Annotated[str, MinLen(1)], ...],
    BeforeValidator(lambda value: (value,) if isinstance(value, str) else value),
    WithJsonSchema({"anyOf": [_NAME_SCHEMA, {"type": "array", "items": _NAME_SCHEMA}]}),
]


def dotted(tree: Tree) -> dict[str, Any]:
    """The leaves of nested mappings by their dotted paths, in order."""
    found: dict[str, Any] = {}
    for own, value in tree.items():
        if isinstance(value, dict):
            found |= {f"{own}.{below}": leaf for below, leaf in dotted(value).items()}
        else:
            found[own] = value
    return found


def nested(leaves: Mapping[str, Any]) -> Tree:
    """The inverse of `dotted`: nested mappings from leaves by their dotted paths."""
    tree: Tree = {}
    for path, leaf in leaves.items():
        *above, last = path.split(".")
        here = tree
        for part in above:
            here = here.setdefault(part, {})
        here[last] = leaf
    return tree


def stands_for(name: str, path: str) -> bool:
    """Whether a name selects a path: the path begins with it, or contains a layer of that kind."""
    return f"{path}.".startswith(f"{name}.") or name in map(_label, path.split("."))


def is_place(name: str) -> bool:
    """Whether a name is a layer's place in the YAML."""
    return _PLACE.fullmatch(name) is not None


def resolved(names: Iterable[str], located: Sequence[Located]) -> tuple[str, ...]:
    """The names with each place in the YAML replaced by the paths of the layers there; `located` are all layers.

    `layers[3]`, `layers.3`, `layers[3].conv` and `model.layers[3]` are one place. A place within a repeated layer
    selects every copy. A place without a layer is returned unchanged.
    """
    found: list[str] = []
    for name in names:
        found += (_paths(name, located) if is_place(name) else ()) or (name,)
    return tuple(found)


def _paths(name: str, located: Sequence[Located]) -> tuple[str, ...]:
    """The paths of the layers at a place, or of the parameter at its end: `layers[3].conv.kernel`."""
    if layers := _layers(name, located):
        return layers
    above, _, own = name.rpartition(".")
    return tuple(f"{path}.{own}" for path in _layers(above, located)) if is_place(above) else ()


def _layers(name: str, located: Sequence[Located]) -> tuple[str, ...]:
    first, *tokens = _tokens(name)  # `layers`, and the rest
    # An index may be followed by the layer's kind, or the name of its block.
    parts = (rf"\[{token}\](\.[^.\[]+)?" if token.isdecimal() else rf"\.{re.escape(token)}" for token in tokens)
    wanted = re.compile(rf"{first}{''.join(parts)}([.\[].+)?")
    found: list[str] = []
    for place, path in located:
        # The layers inside a selected layer belong to it.
        is_within = found and path.startswith(f"{found[-1]}.")
        if not is_within and wanted.fullmatch(place):
            found.append(path)
    return tuple(found)


def _tokens(place: str) -> list[str]:
    return re.findall(r"[^.\[\]]+", place.removeprefix("model."))


def place_of(path: str, located: Iterable[Located]) -> str:
    """A path as it is printed: `layers[3].conv.kernel` for `3_conv.kernel`."""
    within = [layer for layer in located if f"{path}.".startswith(f"{layer.path}.")]
    innermost = max(within, key=lambda layer: len(layer.path), default=Located("", ""))
    return innermost.place + path.removeprefix(innermost.path)


def meant(
    names: Iterable[str], where: str, located: Sequence[Located], paths: Iterable[str] | None = None
) -> tuple[str, ...]:
    """The names with each place in the YAML replaced by the paths of the layers there.

    A name is known if it selects one of the `paths`, by default those of all layers. Raises ConfigError at `where`
    with every unknown name, and the nearest known one.
    """
    names = tuple(names)
    known = [path for _, path in located] if paths is None else paths
    if faults := unknown_names(names, known, where, located):
        raise ConfigError(*faults)
    return resolved(names, located)


def chosen(names: Iterable[str], path: str) -> bool:
    """Whether any of the names selects a path."""
    return any(stands_for(name, path) for name in names)


def owners(tree: Tree, names: Iterable[str]) -> frozenset[str]:
    """The paths of the layers with a leaf in the tree that one of the names selects."""
    return frozenset(path.rpartition(".")[0] for path in dotted(tree) if chosen(names, path))


def split(tree: Tree, names: tuple[str, ...]) -> tuple[Tree, Tree]:
    """Splits a tree into the leaves that no name selects, and those that a name selects."""
    if not names:
        return tree, {}
    rest: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    for path, leaf in dotted(tree).items():
        (taken if chosen(names, path) else rest)[path] = leaf
    return nested(rest), nested(taken)


def merged(tree: Tree, other: Tree) -> Tree:
    """Merges two trees; if both have a leaf, that of `other` is used."""
    return nested(dotted(tree) | dotted(other)) if other else tree


def unknown_names(
    names: Iterable[str], paths: Iterable[str], where: str, located: Sequence[Located] = ()
) -> list[Fault]:
    """A fault for every name that selects none of these paths, with the nearest known name.

    A name that is a place in the YAML is looked up in `located`; the fault suggests the nearest place.
    """
    paths = list(paths)

    def is_known(name: str) -> bool:
        meant = resolved([name], located)
        return any(chosen(meant, path) for path in paths)

    wrong = {index: name for index, name in enumerate(names) if not is_known(name)}
    if not wrong:
        return []
    kinds, known_paths = _known(paths)
    known_places = _known_places(paths, located)

    def alike(name: str) -> set[str]:
        """The known names of the same form: places, paths or kinds."""
        return _nearest_places(name, known_places) or (known_paths if _LABEL.match(name) else kinds)

    return [unknown(f"{where}[{index}]", "layer", name, alike(name)) for index, name in wrong.items()]


def _known_places(paths: Iterable[str], located: Iterable[Located]) -> set[str]:
    """The places in the YAML of the layers on these paths."""
    above = {path[: dot.start()] for path in paths for dot in re.finditer(r"\.", f"{path}.")}
    return {place for place, path in located if path in above}


def _nearest_places(name: str, known: Iterable[str]) -> set[str]:
    """The places with the longest common beginning, if the name looks like a place; else none."""
    if not _LIKE_A_PLACE.match(name):
        return set()
    tokens = _tokens(name)

    def shared(place: str) -> int:
        pairs = zip(tokens, _tokens(place), strict=False)
        return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))

    counts = {place: shared(place) for place in known}
    longest = max(counts.values(), default=0)
    return {place for place, count in counts.items() if count == longest}


def _known(paths: Iterable[str]) -> tuple[set[str], set[str]]:
    """The kind and the path of every layer on these paths."""
    kinds, known_paths = set(), set()
    for path in paths:
        parts = path.split(".")
        for length, part in enumerate(parts, 1):
            if label := _label(part):
                kinds.add(label)
                known_paths.add(".".join(parts[:length]))
    return kinds, known_paths


@functools.lru_cache(maxsize=4096)  # called for every name and every part of every path
def _label(part: str) -> str | None:
    """A layer's name without its number; None for a parameter and for a path of a composite layer."""
    found = _LABEL.fullmatch(part)
    return found[1] if found else None
