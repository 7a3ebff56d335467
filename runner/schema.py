"""The JSON Schema of the configuration, for editors: one file for the whole, and one for each group of `conf/`."""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from runner.experiment import Experiment

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Numbers, words and switches may also be interpolations, which are resolved before anything is checked.
_INTERPOLATION = {"type": "string", "pattern": r"\$\{.+\}"}


def schemas() -> dict[str, dict[str, Any]]:
    """By file name: `experiment.json`, and `GROUP.json` for each group whose files hold one part."""
    found = {"experiment.json": _lenient(Experiment.model_json_schema(), whole=True)}
    for name, field in Experiment.model_fields.items():
        if name != "seed":
            found[f"{name}.json"] = _lenient(TypeAdapter(field.rebuild_annotation()).json_schema(), whole=False)
    return found


def write(folder: Path) -> list[Path]:
    """Writes every schema to a folder, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, schema in schemas().items():
        path = folder / name
        path.write_text(json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")
        paths.append(path)
    return paths


def _lenient(schema: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """The schema of a file as it is written: with interpolations, and with Hydra's `defaults`."""
    opened: dict[str, Any] = _opened(schema)
    opened["$schema"] = _DIALECT
    definitions = opened.setdefault("$defs", {})
    definitions["interpolation"] = _INTERPOLATION
    for target in _alternatives(opened, definitions):
        target["properties"]["defaults"] = {"type": "array", "description": "Hydra's defaults list."}
        target.pop("required", None)  # a file may leave to the defaults list what it does not say
        if whole:
            for part in target["properties"].values():
                _open_part(part, definitions)
            target["properties"]["hydra"] = {"type": "object", "description": "Hydra's own settings."}
    return opened


def _open_part(part: dict[str, Any], definitions: dict[str, Any]) -> None:
    """A file that says something of everything, as an experiment does, need not say everything of a part."""
    for target in _alternatives(part, definitions):
        target.pop("required", None)
    if "oneOf" in part:  # what says little may fit several
        part["anyOf"] = part.pop("oneOf")
        part.pop("discriminator", None)


def _alternatives(node: dict[str, Any], definitions: dict[str, Any]) -> list[dict[str, Any]]:
    """The objects that a schema allows, behind references and alternatives."""
    if "$ref" in node:
        return _alternatives(definitions[node["$ref"].removeprefix("#/$defs/")], definitions)
    if "oneOf" in node or "anyOf" in node:
        choices = node.get("oneOf", []) + node.get("anyOf", [])
        return [found for choice in choices for found in _alternatives(choice, definitions)]
    return [node] if "properties" in node else []


def _opened(node: Any) -> Any:
    if isinstance(node, list):
        return [_opened(item) for item in node]
    if not isinstance(node, dict):
        return node
    opened = {key: _opened(value) for key, value in node.items()}
    if node.get("type") in ("integer", "number", "boolean"):
        kept = {key: opened.pop(key) for key in ("description", "title", "default") if key in opened}
        return {"anyOf": [opened, {"$ref": "#/$defs/interpolation"}], **kept}
    return opened
