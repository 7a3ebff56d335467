"""Reads the arguments of a function from YAML and checks them against its signature.

    >>> arguments(optax.adam)["b1"].read(1)
    1.0

`read` returns the converted value, or raises ValueError with the text of a fault.
"""

import functools
import inspect
import math
import typing
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType, UnionType
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from runner.errors import must, unknown

REQUIRED: Final = inspect.Parameter.empty

_RULES: Final = {
    bool: "be true or false",
    int: "be a whole number",
    float: "be a number",
    str: "be a word",
}

_JSON_TYPES: Final[Mapping[type | None, str]] = {
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "string",
    tuple: "array",
}
DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class Argument:
    """One argument: its type and its default.

    `kind` is bool, int, float, str or tuple, or None for values that YAML cannot express (functions, arrays, masks).
    """

    name: str
    kind: type | None
    default: Any
    optional: bool
    options: tuple[str, ...] = ()

    def read(self, value: Any) -> Any:
        """Converts a value for the function: integers become floats if the argument is a real number."""
        if value is None and self.optional:
            return None
        if self.kind is None:
            raise ValueError(must("", "be left out: Optax takes a Python object here", value).text)
        if self.kind is tuple:
            return self._read_tuple(value)
        if self.options and value not in self.options:
            raise ValueError(must("", f"be one of {', '.join(self.options)}", value).text)
        return _read_plain(self.kind, value)

    def _read_tuple(self, value: Any) -> Any:
        kinds = tuple(type(item) for item in self.default)
        if not isinstance(value, tuple) or len(value) != len(kinds):
            raise ValueError(must("", f"be a list of {len(kinds)} values", value).text)
        return tuple(_read_plain(kind, item) for kind, item in zip(kinds, value, strict=True))

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the values that `read` accepts."""
        schema: dict[str, Any] = {"enum": list(self.options)} if self.options else {"type": _JSON_TYPES[self.kind]}
        if self.kind is tuple:
            items = [{"type": _JSON_TYPES[type(item)]} for item in self.default]
            schema |= {"prefixItems": items, "minItems": len(items), "maxItems": len(items)}
        return {"anyOf": [schema, {"type": "null"}]} if self.optional else schema


def _read_plain(kind: type, value: Any) -> Any:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise ValueError(must("", _RULES[kind], value).text)
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(must("", "be a finite number", value).text)
    return value


@functools.cache
def arguments(function: Callable[..., Any]) -> Mapping[str, Argument]:
    """The arguments of a function, in their order."""
    return {
        name: _argument(parameter)
        for name, parameter in inspect.signature(function).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }


def defaults(takes: Mapping[str, Argument], given: Collection[str]) -> dict[str, Any]:
    """The defaults of the arguments that YAML can express and that were not given; of types their names."""
    left = (one for one in takes.values() if one.name not in given and one.kind is not None)
    return {one.name: getattr(one.default, "__name__", one.default) for one in left if one.default is not REQUIRED}


def _argument(parameter: inspect.Parameter) -> Argument:
    default, members = parameter.default, tuple(_members(parameter.annotation))
    words = [word for member in members if typing.get_origin(member) is typing.Literal for word in member.__args__]
    kinds = {str if typing.get_origin(member) is typing.Literal else member for member in members}
    return Argument(
        name=parameter.name,
        kind=_kind(parameter.name, default, kinds),
        # Without a key Optax uses a default key and warns.
        default=REQUIRED if parameter.name == "key" else default,
        optional=parameter.name != "key" and (default is None or type(None) in kinds),
        options=DTYPES if "dtype" in parameter.name else tuple(sorted(words)),
    )


def _members(annotation: Any) -> Iterable[Any]:
    """The members of a union; generic types without their parameters."""
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, UnionType):
        return (member for part in typing.get_args(annotation) for member in _members(part))
    return (annotation if origin is typing.Literal else origin or annotation,)


def _kind(name: str, default: Any, members: set[Any]) -> type | None:
    if "dtype" in name:
        return str
    if name == "key":
        return int  # Optax converts it to a key
    for kind in (bool, int, float, str, tuple):
        if type(default) is kind:
            return kind
    if members & {Iterable, Mapping, Any} or (callable(default) and default is not REQUIRED):
        return None  # a pytree or a mask
    return next((kind for kind in (str, float, int) if kind in members), None)


def read_arguments(
    owner: str,
    function: Callable[..., Any],
    given: Mapping[str, Any],
    *,
    moved: Mapping[str, str] = MappingProxyType({}),
    filled: Collection[str] = (),
    other_names: Collection[str] = (),
) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    """Converts the given arguments for the function. Returns the values, and a fault for each wrong argument.

    `moved` maps an argument that has another name here to a rule ("be given as learning_rate"). Arguments of `filled`
    get a value later if they are missing. `other_names` are further known names, used in suggestions only.
    """
    known = arguments(function)
    values: dict[str, Any] = {}
    faults = []
    for name, value in given.items():
        try:
            if name in known and name in moved:
                raise ValueError(must("", moved[name], value).text)
            if name not in known:
                allowed = {key for key, argument in known.items() if key not in moved and argument.kind is not None}
                raise ValueError(unknown("", f"{owner} argument", name, allowed | set(other_names)).text)
            values[name] = known[name].read(value)
        except ValueError as error:
            faults.append(fault(name, str(error), value))
    for name, argument in known.items():
        if argument.default is REQUIRED and not (name in given or name in moved or name in filled):
            faults.append(fault(name, must("", f"be given for {owner}", None).text, None))
    return values, faults


def describe_arguments(schema: dict[str, Any], properties: Mapping[str, Mapping[str, Any]]) -> None:
    """Adds the properties of each `name` to the JSON Schema of a record, so that editors complete them."""
    schema["properties"]["name"]["enum"] = list(properties)
    schema["allOf"] = [
        {"if": {"properties": {"name": {"const": name}}}, "then": {"properties": dict(own)}}
        for name, own in properties.items()
    ]
    schema.pop("additionalProperties", None)
    schema["unevaluatedProperties"] = False


def fault(name: str, text: str, value: Any) -> InitErrorDetails:
    """The fault of one argument as an error of pydantic."""
    return InitErrorDetails(type=PydanticCustomError("argument", "{fault}", {"fault": text}), loc=(name,), input=value)


def with_faults(title: str, error: ValidationError | None, faults: list[InitErrorDetails]) -> ValidationError:
    """Joins pydantic's errors about a record's fields with the faults of its arguments."""
    found = [
        InitErrorDetails(type=item["type"], loc=item["loc"], input=item["input"], ctx=item.get("ctx", {}))
        for item in (error.errors() if error else ())
    ]
    return ValidationError.from_exception_data(title, [*found, *faults])
