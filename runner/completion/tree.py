"""The configuration as a tree of names: of the JSON Schema, and of the YAML files that a command line chooses."""

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from runner import edits, shipped
from runner.errors import ConvrunnerError

_HIDDEN = ("defaults", "hydra")


@dataclass(frozen=True)
class Node:
    """A place of the configuration: its schemas, and its value in the chosen files; None if they have none."""

    schemas: tuple[Mapping[str, Any], ...]
    value: Any
    is_entry: bool = False  # of a list

    @classmethod
    def root(cls, value: Any) -> "Node":
        return cls(tuple(_alternatives(schema())), value)

    def names(self) -> list[str]:
        """The names below, in the order of the schema."""
        if isinstance(self.value, list):
            return [str(index) for index in range(len(self.value))]
        own = [str(name) for name in self.value] if isinstance(self.value, dict) else []
        if self.is_entry:  # a layer has one kind, and the file says which
            return own
        allowed = (name for schema in self.schemas for name in schema.get("properties", {}))
        return [name for name in dict.fromkeys((*allowed, *own)) if name not in _HIDDEN]

    def child(self, name: str) -> "Node":
        """The place of one name below."""
        if isinstance(self.value, list):
            items = [below for schema in self.schemas if (below := schema.get("items"))]
            value = self.value[int(name)] if name.isdigit() and int(name) < len(self.value) else None
            return Node(tuple(_each(items, value)), value, is_entry=True)
        value = self.value.get(name) if isinstance(self.value, dict) else None
        below = [schema["properties"][name] for schema in self.schemas if name in schema.get("properties", {})]
        return Node(tuple(_each(below, value)), value)

    def choices(self) -> list[str]:
        """The values that the schema lists."""
        found = [value for schema in self.schemas for value in _listed(schema)]
        return list(dict.fromkeys(map(_text, found)))

    def is_text(self) -> bool:
        """Whether any text is allowed, such as the name of a file."""
        return any(schema.get("type") == "string" and "pattern" not in schema for schema in self.schemas)

    def value_text(self) -> str:
        """The value that is chosen, or the default; empty if it is a list, a mapping or null."""
        defaults = (schema["default"] for schema in self.schemas if "default" in schema)
        value = next(defaults, None) if self.value is None else self.value
        return "" if value is None or isinstance(value, dict | list) else _text(value)


def written(group: str, name: str, around: tuple[str, ...] = ()) -> dict[str, Any]:
    """What a file of `conf/` and the files in its defaults list say; empty for files that cannot be read.

    `around` are the files whose defaults led to it: none of them is read again.
    """
    import yaml  # only a path needs it

    for root in (Path("conf"), shipped.configurations()):
        try:
            text = (root / group / f"{name}.yaml").read_text(encoding="utf-8")
            found = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except (OSError, ValueError, yaml.YAMLError):
            continue
        if not isinstance(found, dict):
            return {}
        names = [base for base in found.get("defaults") or [] if isinstance(base, str)]
        within = (*around, name)
        bases = [base for base in names if group and base not in ("_self_", *within)]
        inherited = {key: value for base in bases for key, value in written(group, base, within).items()}
        return _edited(inherited, found)
    return {}


def _edited(inherited: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """A file with what it inherits, and its edits applied; without them if they are wrong."""
    try:
        return edits.variant(inherited, own, "")
    except ConvrunnerError:
        return inherited | own


@functools.lru_cache(maxsize=1)
def schema() -> dict[str, Any]:
    """The JSON Schema of a whole configuration; empty if its file cannot be read."""
    try:
        found: dict[str, Any] = json.loads(shipped.schema().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def _each(nodes: list[Any], value: Any) -> list[Mapping[str, Any]]:
    """The alternatives of several schemas that fit the value: it may name one, as `name: adam` does."""
    found = [one for node in nodes for one in _alternatives(node, value)]
    return [one for one in found if _fits(one, value)] or found


def _alternatives(node: Any, value: Any = None, outer: Mapping[str, Any] | None = None) -> Iterator[Mapping[str, Any]]:
    """The schemas behind references, alternatives, and conditions that the value meets."""
    outer = {key: node[key] for key in ("default",) if key in node} or outer or {}
    if "$ref" in node:
        name = node["$ref"].removeprefix("#/$defs/")
        if name not in ("interpolation", "reference", "misspelt"):
            yield from _alternatives(schema()["$defs"].get(name, {}), value, outer)
        return
    conditional = [part for part in node.get("allOf", []) if "if" in part]
    parts = [part for key in ("anyOf", "oneOf", "allOf") for part in node.get(key, []) if part not in conditional]
    for part in parts:
        yield from _alternatives(part, value, outer)
    for part in conditional:
        if _fits(part["if"], value):
            yield from _alternatives(part.get("then", {}), value, outer)
    if not parts:
        yield {**outer, **node}


def _fits(schema: Mapping[str, Any], value: Any) -> bool:
    """Whether a value has the names that tell this schema from others; a value that is not known fits."""
    given = value if isinstance(value, dict) else {}
    properties = schema.get("properties", {}).items()
    return all(given.get(name, part["const"]) == part["const"] for name, part in properties if "const" in part)


def _listed(schema: Mapping[str, Any]) -> list[Any]:
    if schema.get("type") == "boolean":
        return [True, False]
    return list(schema.get("enum", [schema["const"]] if "const" in schema else []))


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "null" if value is None else str(value)
