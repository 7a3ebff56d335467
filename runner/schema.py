"""The JSON Schema of the configuration, for editors: one file for the whole, and one for each group of `conf/`.

A layer list is written with blocks and `$names`, which `runner.blocks` resolves before anything is checked.
"""

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from runner import edits
from runner.arithmetic import ALONE
from runner.blocks import WHEN
from runner.configuration import Records, layout
from runner.layers import KINDS
from runner.misspelling import pattern

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Numbers, words and switches may also be interpolations, which are resolved before anything is checked.
_INTERPOLATION = {"type": "string", "pattern": r"\$\{.+\}"}
# In a layer list also a block's parameter, or arithmetic.
_REFERENCE = {"type": "string", "pattern": rf"\$|^{ALONE.pattern}$"}
_LAYER, _BLOCK = {"$ref": "#/$defs/layer"}, {"$ref": "#/$defs/block"}
_LAYERS: dict[str, Any] = {"anyOf": [{"type": "array", "items": _LAYER}, {"$ref": "#/$defs/reference"}]}


def schemas(verbs: Records) -> dict[str, dict[str, Any]]:
    """By file name: `experiment.json`, `GROUP.json` for each group whose files hold one part, and `block.json`."""
    whole = layout(verbs)
    found = {"experiment.json": _lenient(whole.model_json_schema(), whole=True)}
    for name, field in whole.model_fields.items():
        if name != "seed":
            found[f"{name}.json"] = _lenient(TypeAdapter(field.rebuild_annotation()).json_schema(), whole=False)
    definitions = {name: part for name, part in found["model.json"]["$defs"].items() if name != "InputSize"}
    found["block.json"] = {"$schema": _DIALECT, "$defs": definitions, **definitions["block"]}
    return found


def texts(verbs: Records) -> dict[str, str]:
    """By file name: every schema as JSON."""
    return {
        name: json.dumps(schema, indent=1, ensure_ascii=False, sort_keys=True) + "\n"
        for name, schema in schemas(verbs).items()
    }


def write(folder: Path, verbs: Records) -> list[Path]:
    """Writes every schema to a folder, and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, text in texts(verbs).items():
        path = folder / name
        path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _lenient(schema: dict[str, Any], *, whole: bool) -> dict[str, Any]:
    """The schema of a file as it is written: with interpolations, with blocks, and with Hydra's `defaults`."""
    definitions: dict[str, Any] = {"interpolation": _INTERPOLATION}
    opened: dict[str, Any] = _opened(_with_layers_named(schema, definitions))
    opened["$schema"] = _DIALECT
    opened["$defs"] = definitions = opened.get("$defs", {}) | _opened(definitions)
    if "layer" in definitions:
        _let_in_blocks(opened, definitions)
    for target in _alternatives(opened, definitions):
        target["properties"]["defaults"] = {"type": "array", "description": "Hydra's defaults list."}
        target.pop("required", None)  # a file may leave to the defaults list what it does not say
        if whole:
            for part in target["properties"].values():
                _open_part(part, definitions)
            target["properties"]["hydra"] = {"type": "object", "description": "Hydra's own settings."}
    return opened


def _with_layers_named(node: Any, definitions: dict[str, Any]) -> Any:
    """The same with every layer of a list referring to one definition."""
    if isinstance(node, list):
        return [_with_layers_named(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if node.get("title") == "layer":
        definitions["layer"] = node
        return _LAYER
    return {key: _with_layers_named(value, definitions) for key, value in node.items()}


def _let_in_blocks(schema: dict[str, Any], definitions: dict[str, Any]) -> None:
    """Has layer lists take blocks, and arguments of layers take what blocks are given."""
    layer, misspelt = definitions["layer"], {"$ref": "#/$defs/misspelt"}
    words = {entry["const"] for entry in layer["anyOf"] if "const" in entry}
    layer["anyOf"] += [
        {
            "type": "string",
            "not": {"anyOf": [{"enum": sorted(KINDS.keys() - words)}, misspelt]},
            "description": "A block, or a parameter.",
        },
        {
            "type": "object",
            "propertyNames": {"not": {"anyOf": [{"enum": sorted({*KINDS, WHEN})}, misspelt]}},
            "additionalProperties": {"type": ["object", "null"]},
            "minProperties": 1,
            "maxProperties": 1,
            "description": "A block, and what its parameters are.",
        },
        {
            "type": "object",
            "properties": {
                WHEN: {
                    "type": "object",
                    "properties": {
                        "given": {
                            "anyOf": [{"type": "boolean"}, {"$ref": "#/$defs/reference"}],
                            "description": "Which of the two lists.",
                        },
                        "layers": {**_LAYERS, "description": "The layers where it is true."},
                        "otherwise": {**_LAYERS, "description": "The layers where it is false."},
                    },
                    "required": ["given"],
                    "additionalProperties": False,
                    "description": "One of two lists of layers, as a switch is.",
                }
            },
            "required": [WHEN],
            "additionalProperties": False,
        },
        {"type": "array", "items": _LAYER, "description": "Layers, in this place."},
    ]
    for kind in KINDS.values():
        properties = definitions.get(kind.__name__, {}).get("properties", {})
        properties.update({name: _or_reference(part) for name, part in properties.items()})
    definitions["reference"] = _REFERENCE
    definitions["misspelt"] = {
        "anyOf": [{"pattern": pattern(kind)} for kind in KINDS],
        "description": "A mistyped kind of layer; no block has such a name.",
    }
    params = {"type": "object", "description": "Parameters and their defaults; null: has to be given."}
    definitions["block"] = {
        "type": "object",
        "description": "A kind of layer declared in YAML.",
        "properties": {"params": params, "layers": {**_LAYERS["anyOf"][0], "description": "What it stands for."}},
        "required": ["layers"],
        "additionalProperties": False,
    }
    model = schema if schema.get("title") == "Model" else definitions["Model"]
    model["properties"] |= {
        "params": {"type": "object", "description": "What $name stands for in the layers, by name."},
        "blocks": {
            "type": "object",
            "propertyNames": {"not": misspelt},
            "additionalProperties": _BLOCK,
            "description": "Kinds of layer of its own.",
        },
        edits.KEY: {
            "type": "array",
            "items": {"oneOf": [_edit(action, given) for action, given in edits.ACTIONS.items()]},
            "description": "What a variant changes in the layers of its base, which `defaults` names.",
        },
    }


def _edit(action: str, given: str) -> dict[str, Any]:
    """An edit of the layers of a base: `{after: layers.2, insert: [relu]}`."""
    what = "A layer of the base, by place (layers.3) or kind (conv); every conv: all of a kind."
    layers = {"anyOf": [{"type": "array", "items": _LAYER}, _LAYER], "description": "One layer or several."}
    arguments = {"type": "object", "description": "Arguments of the layer, which replace its own."}
    taken = {given: arguments if action == "change" else layers} if given else {}
    return {
        "type": "object",
        "properties": {action: {"type": "string", "minLength": 1, "description": what}, **taken},
        "required": [action, *taken],
        "additionalProperties": False,
    }


def _or_reference(part: dict[str, Any]) -> dict[str, Any]:
    """An argument of a layer, or what stands for one; numbers within it likewise."""
    names = ("description", "title", "default")
    kept: dict[str, Any] = {key: part[key] for key in names if key in part}
    inner = {key: value for key, value in part.items() if key not in kept}
    return {"anyOf": [_numbers_or_references(inner), {"$ref": "#/$defs/reference"}], **kept}


def _numbers_or_references(node: Any) -> Any:
    if isinstance(node, list):
        return [_numbers_or_references(item) for item in node]
    if not isinstance(node, dict):
        return node
    if node == {"$ref": "#/$defs/interpolation"}:
        return {"$ref": "#/$defs/reference"}
    return {key: _numbers_or_references(value) for key, value in node.items()}


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
