"""The kinds that `list` takes and the names that `show` takes, from files and the schema: imports would take seconds.

>>> kinds()[:2]
['models', 'layers']
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from runner.completion.tree import Node, schema

_ROOM: Final = Path(__file__).resolve().parent.parent
_OF_FILES: Final = ("_of_files", "_of_optax")  # functions of `runner.catalogue` whose second argument is a group


def kinds() -> list[str]:
    """The kinds of `runner.catalogue`, in its order."""
    for node in _catalogue().body:
        match node:
            case ast.AnnAssign(target=ast.Name("_KINDS"), value=ast.Dict(keys)):
                return [str(key.value) for key in keys if isinstance(key, ast.Constant)]
    return []


def names(choices: Callable[[str], list[str]]) -> list[str]:
    """Every name of every kind, once; `choices` gives the files of a group of `conf/`."""
    found = [name for group in _groups() for name in choices(group)]
    found += _layers()
    found += Node.root({}).child("augment").names()
    found += [
        name for group in ("optimizer", "schedule") for name in Node.root({}).child(group).child("name").choices()
    ]
    found += [path.stem for path in (_ROOM / "metrics").glob("*.py") if path.stem != "__init__"]
    return sorted(set(found))


def _layers() -> Iterator[str]:
    """The kinds of layer that the schema allows, as a word or as a mapping with one key."""
    for one in schema().get("$defs", {}).get("layer", {}).get("anyOf", []):
        if "const" in one:
            yield one["const"]
        for name, node in one.get("properties", {}).items():
            if "properties" not in node:  # else it is no kind, but the form `when`
                yield name


def _groups() -> set[str]:
    """The groups whose files the catalogue lists."""
    found = set()
    for node in ast.walk(_catalogue()):
        match node:
            case ast.Call(func=ast.Name(name), args=[_, ast.Constant(group), *_]) if name in _OF_FILES:
                found.add(str(group))
    return found


def _catalogue() -> ast.Module:
    return ast.parse((_ROOM / "catalogue.py").read_text(encoding="utf-8"))
