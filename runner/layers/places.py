"""Places in a network: the dotted paths of what it learns, and the names that stand for several of them at once.

>>> sorted(dotted({"0_conv": {"kernel": k, "bias": b}}))
['0_conv.bias', '0_conv.kernel']
>>> stands_for("conv", "3_bottleneck.layers.0_conv.kernel")     # by the kind of a layer, or of one around it
True
>>> stands_for("3_bottleneck", "3_bottleneck.layers.0_conv.kernel")     # or by the beginning of the path
True
>>> stands_for("layers[3].bottleneck.layers[0]", "3_bottleneck.layers.0_conv.kernel")     # or as errors name it
True
"""

import functools
import re
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from annotated_types import MinLen
from pydantic import BeforeValidator, WithJsonSchema

from runner.errors import Fault, unknown
from runner.layers.base import Tree

_LABEL = re.compile(r"\d+_(.+)")
_IN_YAML = re.compile(r"(?:model\.)?layers[.\[]\d")
_ROUTES = ("layers", "shortcut", "otherwise", "paths")  # what stands between a composite layer and those that it holds

_NAME_SCHEMA = {"type": "string", "minLength": 1}

# One name may be written without brackets.
Names = Annotated[
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
    """What `dotted` was made of."""
    tree: Tree = {}
    for path, leaf in leaves.items():
        *above, last = path.split(".")
        here = tree
        for part in above:
            here = here.setdefault(part, {})
        here[last] = leaf
    return tree


def stands_for(name: str, path: str) -> bool:
    """Whether a name means what lies at a path.

    It does where the path begins with it (`3_conv`), runs through a layer of that kind (`conv`), or begins with the
    layer that the name gives as a place in the YAML: `layers[3]`, `layers.3`, `layers[3].conv`, `model.layers[3]`.
    """
    parts = path.split(".")
    if wanted := _place(name):
        return len(wanted) <= len(parts) and all(
            part.startswith(one) if one.endswith("_") else part == one for one, part in zip(wanted, parts, strict=False)
        )
    return f"{path}.".startswith(f"{name}.") or name in map(_label, parts)


@functools.cache
def _place(name: str) -> tuple[str, ...]:
    """The parts of the path of a place in the YAML, `3_` for a layer whose kind is not given; () for another name."""
    if not _IN_YAML.match(name):
        return ()
    tokens = [token for token in re.split(r"[.\[\]]+", name.removeprefix("model.")) if token][1:]
    parts: list[str] = []
    for token, before in zip(tokens, ["layers", *tokens], strict=False):
        is_index = token.isdigit() and before != "paths"
        if is_index:
            parts.append(f"{token}_")
        elif before.isdigit() and token not in _ROUTES and parts and parts[-1].endswith("_"):
            parts[-1] += token
        elif token != "paths":
            parts.append(token)
    return tuple(parts)


def chosen(names: Iterable[str], path: str) -> bool:
    """Whether any of the names stands for what lies at a path."""
    return any(stands_for(name, path) for name in names)


def split(tree: Tree, names: tuple[str, ...]) -> tuple[Tree, Tree]:
    """A tree in two: what none of the names stands for, and what they stand for."""
    if not names:
        return tree, {}
    rest: dict[str, Any] = {}
    taken: dict[str, Any] = {}
    for path, leaf in dotted(tree).items():
        (taken if chosen(names, path) else rest)[path] = leaf
    return nested(rest), nested(taken)


def merged(tree: Tree, other: Tree) -> Tree:
    """Two trees in one; where both have a leaf, the other's."""
    return nested(dotted(tree) | dotted(other)) if other else tree


def unknown_names(names: Iterable[str], paths: Iterable[str], where: str) -> list[Fault]:
    """A fault for every name that stands for nothing at these paths, with the nearest one that would."""
    paths = list(paths)
    return [
        unknown(f"{where}[{index}]", "layer", name, _known(paths))
        for index, name in enumerate(names)
        if not any(stands_for(name, path) for path in paths)
    ]


def _known(paths: Iterable[str]) -> set[str]:
    """Every name that stands for a layer at these paths."""
    known = set()
    for path in paths:
        parts = path.split(".")
        for length, part in enumerate(parts, 1):
            if label := _label(part):
                known |= {label, ".".join(parts[:length])}
    return known


def _label(part: str) -> str | None:
    """What a layer is called without its number; None for a parameter and for a path of a composite layer."""
    found = _LABEL.fullmatch(part)
    return found[1] if found else None
