"""What verbs take that take no overrides, such as `runs`, read from their source: imports would take seconds.

>>> taken("diff").settings["format"], taken("diff").words
(['table', 'json'], 'files')
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_VERBS: Final = Path(__file__).resolve().parent.parent / "verbs"
_KIND, _STORE, _WORDS, _COMPLETED_BY, _FILES = "SettingsVerb", "reads_store", "Words", "completed_by", "files"
_BASES: Final = ast.parse((_VERBS.parent / "verb.py").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Taken:
    """By name, the values that a setting is chosen from, empty if there is no such list; and what else is taken.

    `words` says what completes plain words: files, kinds or entries; empty if the verb takes none.
    """

    settings: Mapping[str, list[str]]
    words: str
    most_words: int | None
    reads_store: bool


def names() -> list[str]:
    """The names of all verbs."""
    return sorted(path.stem for path in _VERBS.glob("*.py") if path.stem != "__init__")


def taken(verb: str, folder: Path = _VERBS) -> Taken | None:
    """What a verb takes; None for a verb that takes overrides."""
    tree = ast.parse((folder / f"{verb}.py").read_text(encoding="utf-8"))
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name("VERB")],
                value=ast.Call(func=ast.Name(kind), args=[ast.Name(record), _, *rest], keywords=named),
            ) if kind == _KIND:
                given = {keyword.arg: keyword.value for keyword in named}
                words = rest[0] if rest else given.get("words")
                store = given.get(_STORE)
                completed_by, most = _words(words) if isinstance(words, ast.Call) else ("", 0)
                return Taken(
                    dict(_fields(tree, record)),
                    completed_by,
                    most,
                    not (isinstance(store, ast.Constant) and store.value is False),
                )
    return None


def _words(call: ast.Call) -> tuple[str, int | None]:
    """What completes the words of a verb, and their largest number."""
    given = {keyword.arg: keyword.value for keyword in call.keywords} | dict(
        zip(("usage", "rule", _COMPLETED_BY), call.args, strict=False)
    )
    values = {name: value.value for name, value in given.items() if isinstance(value, ast.Constant)}
    most = values.get("most", 1)
    return str(values.get(_COMPLETED_BY, _FILES)), most if isinstance(most, int) else None


def _fields(tree: ast.Module, record: str) -> Iterator[tuple[str, list[str]]]:
    """The fields of a record and of its bases, with the values of a bool or a Literal; those of records within it."""
    for own in (*tree.body, *_BASES.body):
        if isinstance(own, ast.ClassDef) and own.name == record:
            for base in own.bases:
                if isinstance(base, ast.Name):
                    yield from _fields(tree, base.id)
            for field in own.body:
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name):
                    inner = dict(_fields(tree, field.annotation.id)) if isinstance(field.annotation, ast.Name) else {}
                    for name, values in inner.items():
                        yield f"{field.target.id}.{name}", values
                    if not inner:
                        yield field.target.id, _values(field.annotation)


def _values(annotation: ast.expr) -> list[str]:
    for part in ast.walk(annotation):
        match part:
            case ast.Name("bool"):
                return ["true", "false"]
            case ast.Subscript(value=ast.Name("Literal"), slice=ast.Tuple(elts)):
                return [str(one.value) for one in elts if isinstance(one, ast.Constant)]
            case ast.Subscript(value=ast.Name("Literal"), slice=ast.Constant(value)):
                return [str(value)]
    return []
