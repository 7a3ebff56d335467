"""The settings of verbs that take no overrides, such as `runs`, read from their source: imports would take seconds."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_VERBS: Final = Path(__file__).resolve().parent.parent / "verbs"
_KINDS: Final = {
    "RunVerb": ("run",),
    "RunInStoreVerb": ("run",),
    "StoreVerb": (),
    "GivenStoreVerb": (),
    "TrainingVerb": ("run",),
}  # with the settings that all verbs of a kind have


def names() -> list[str]:
    """The names of all verbs."""
    return sorted(path.stem for path in _VERBS.glob("*.py") if path.stem != "__init__")


def settings(verb: str, folder: Path = _VERBS) -> dict[str, list[str]] | None:
    """By name, the values that a setting is chosen from; empty if there is no such list. None for other verbs."""
    tree = ast.parse((folder / f"{verb}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name("VERB")], value=ast.Call(func=ast.Name(kind), args=[ast.Name(record), *_])
            ) if kind in _KINDS:
                return {name: [] for name in _KINDS[kind]} | dict(_fields(tree, record))
    return None


def _fields(tree: ast.Module, record: str) -> Iterator[tuple[str, list[str]]]:
    """The fields of a record, with the values of a bool or a Literal."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == record:
            for field in node.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    yield field.target.id, _values(field.annotation)


def _values(annotation: ast.expr) -> list[str]:
    for part in ast.walk(annotation):
        match part:
            case ast.Name("bool"):
                return ["true", "false"]
            case ast.Subscript(value=ast.Name("Literal"), slice=ast.Tuple(elts)):
                return [str(one.value) for one in elts if isinstance(one, ast.Constant)]
    return []
