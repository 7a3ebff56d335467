"""The kinds of layer that YAML can name, and the conversion of a layer list's entries to layers.

An entry is a bare word (`relu`) or a mapping with one key, the kind: `{conv: {filters: 6, kernel_size: 5}}`.
"""

import functools
import operator
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Discriminator, Field, GetJsonSchemaHandler, Tag
from pydantic_core import CoreSchema

from runner.errors import shown, unknown
from runner.layers import (  # noqa: F401 - each declares its kinds
    activation,
    adaptive,
    composite,
    conv,
    dense,
    dropout,
    embedding,
    listed,
    merging,
    norm,
    partial,
    pool,
    reshape,
    transposed,
)
from runner.layers.base import Layer, kinds

__all__ = ["EVERY_KIND", "KINDS", "Layer", "LayerList", "flattened"]

EVERY_KIND: dict[str, type[Layer]] = {layer.kind: layer for layer in kinds()}

# The kinds that YAML can name. Kinds that begin with $ are only created by the program.
KINDS = {kind: layer for kind, layer in EVERY_KIND.items() if not kind.startswith("$")}


def _checked(entry: Any) -> Any:
    """Returns an entry unchanged if its form and kind are known. Raises ValueError otherwise."""
    if isinstance(entry, Layer):
        return entry
    if isinstance(entry, dict) and len(entry) != 1:
        raise ValueError(f"must have one key, the kind of layer{_hint(entry)}, got {shown(entry)}")
    kind = _kind(entry)
    if kind is None:
        raise ValueError(f"must be a kind of layer or a mapping from one to its arguments, got {shown(entry)}")
    if kind not in EVERY_KIND:
        raise ValueError(unknown("", "layer", kind, KINDS).text)
    return entry


def _hint(entry: dict[Any, Any]) -> str:
    """What was probably meant by an entry with several keys, or with none."""
    kinds = [key for key in entry if key in KINDS]
    if len(kinds) > 1:
        return f" (in an override, [{{{kinds[-1]}: …}}] replaces a layer, and a mapping adds to it)"
    if kinds and set(entry) - set(kinds) <= set(KINDS[kinds[0]].model_fields):
        arguments = {key: value for key, value in entry.items() if key != kinds[0]}
        return f", with its arguments inside it ({kinds[0]}: {shown(arguments)})"
    return ""


def _kind(entry: Any) -> str | None:
    if isinstance(entry, Layer):
        return entry.kind
    if isinstance(entry, dict) and len(entry) == 1:
        entry = next(iter(entry))
    return entry if isinstance(entry, str) else None


def _arguments(entry: Any) -> Any:
    """The value of an entry's single key; null means no arguments."""
    if isinstance(entry, str):
        return {}
    if isinstance(entry, dict):
        arguments = next(iter(entry.values()))
        return {} if arguments is None else arguments
    return entry


class _OneKeyed:
    """Adapts the JSON Schema of an entry to its form in YAML."""

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        references = handler(schema)["oneOf"]
        entries: list[dict[str, Any]] = []
        for (kind, layer), reference in zip(EVERY_KIND.items(), references, strict=True):
            if kind not in KINDS:
                continue
            described = {"description": (layer.__doc__ or "").split("\n")[0]}
            if not any(field.is_required() for field in layer.model_fields.values()):
                entries.append({"const": kind, **described})
                reference = {"anyOf": [reference, {"type": "null"}]}
            entries.append(
                {
                    "type": "object",
                    "properties": {kind: reference},
                    "required": [kind],
                    "additionalProperties": False,
                    **described,
                }
            )
        return {"title": "layer", "anyOf": entries}


def _entry_type() -> Any:
    tagged: list[Any] = [Annotated[layer, BeforeValidator(_arguments), Tag(kind)] for kind, layer in EVERY_KIND.items()]
    choices = functools.reduce(operator.or_, tagged)
    return Annotated[choices, Field(discriminator=Discriminator(_kind)), BeforeValidator(_checked), _OneKeyed()]


def flattened(entries: Any) -> Any:
    """Replaces inner lists by their entries, so that an override can replace one layer by several."""
    if not isinstance(entries, tuple):
        return entries
    flat: list[Any] = []
    for entry in entries:
        inner = flattened(entry)
        flat.extend(inner if isinstance(inner, tuple) else [inner])
    return tuple(flat)


if TYPE_CHECKING:
    LayerList = tuple[Layer, ...]
else:
    LayerList = Annotated[tuple[_entry_type(), ...], BeforeValidator(flattened)]

for _holder in kinds(composite.Composite):
    _holder.model_rebuild(_types_namespace={"LayerList": LayerList})
