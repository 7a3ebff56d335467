"""A record is a frozen, validated value that is also a JAX pytree: its traced fields are the leaves.

    >>> class Dropout(Record):
    ...     rate: Annotated[float, Ge(0), TRACED]
    >>> jax.tree.leaves(Dropout(rate=0.5))
    [0.5]

Everything else in a record is structure. A record that allows extra arguments (`extra="allow"`) traces those that are
real numbers. So two records share one compiled program if and only if their `jax.tree.structure` is equal, and a
record whose leaves are tracers can be used like any other.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Final, Self, TypeVar, cast, get_args

import jax
from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError
from pydantic_core.core_schema import ErrorType

from runner.errors import must, shown, unknown


class _Traced:
    """The marker of a field that is an argument of the compiled program."""

    def __repr__(self) -> str:
        return "TRACED"


TRACED: Final = _Traced()

_PYDANTIC_ERRORS: Final = frozenset(get_args(ErrorType))


class Record(BaseModel):
    """Base class of all configuration. Refuses unknown keys and values of another type."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", allow_inf_nan=False)

    # Keys of earlier versions, with their new paths.
    renamed: ClassVar[Mapping[str, str]] = MappingProxyType({})

    @model_validator(mode="wrap")
    @classmethod
    def _suggest(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Reports every unknown key with the nearest known key, together with all other faults."""
        if not isinstance(value, dict | cls):
            raise ValueError(must("", cls._rule(value), value).text)
        if not isinstance(value, dict) or cls.model_config["extra"] == "allow" or set(value) <= set(cls.model_fields):
            return handler(value)
        faults: list[InitErrorDetails] = []
        for key in value:
            if key not in cls.model_fields:
                text = (
                    must("", f"be given as {cls.renamed[key]}", value[key]).text
                    if key in cls.renamed
                    else unknown("", "key", str(key), cls.model_fields).text
                )
                faults.append(InitErrorDetails(type=_literal(text), loc=(key,), input=value[key]))
        try:
            handler({key: item for key, item in value.items() if key in cls.model_fields})
        except ValidationError as error:
            faults.extend(_details(item) for item in error.errors(include_url=False))
        raise ValidationError.from_exception_data(cls.__name__, faults)

    @classmethod
    def _rule(cls, given: Any) -> str:
        """What a record must be instead of `given`: a mapping, with `given` as an argument if one takes it.

        The other arguments that must be given have the values of their field's `examples`.
        """
        fields = cls.model_fields
        if not fields:
            return "have no arguments"
        required = [name for name, field in fields.items() if field.is_required()]
        shown_values = {name: examples[0] for name in required if (examples := fields[name].examples)}
        if len(shown_values) < len(required):
            return "be a mapping"
        for name in sorted(fields, key=lambda name: name not in required):
            usual = shown_values.get(name)
            # [h, w] of an image have one example, so that one number stands for both.
            tried = {key: given if value == usual else value for key, value in shown_values.items()} | {name: given}
            if given is not None and cls._takes(frozen(tried)):
                return f"be a mapping such as {shown(tried)}"
        return f"be a mapping such as {shown(shown_values)}" if shown_values else "be a mapping"

    @classmethod
    def _takes(cls, values: dict[str, Any]) -> bool:
        try:
            cls.model_validate(values)
        except ValidationError:
            return False
        return True

    def static_arguments(self) -> frozenset[str]:
        """The names of extra arguments that are static although their values are real numbers."""
        return frozenset()

    def implied(self) -> dict[str, Any]:
        """Values that apply although they were not given, by name: the defaults of a function that the record names."""
        return {}

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        jax.tree_util.register_pytree_with_keys(
            cls, _flatten_with_keys, lambda aux, leaves: _unflatten(cls, aux, leaves), _flatten
        )


R = TypeVar("R", bound=Record)


def frozen(value: Any) -> Any:
    """Makes plain containers immutable: lists become tuples, to any depth. Mappings stay mappings."""
    if isinstance(value, list | tuple):
        return tuple(frozen(item) for item in value)
    if isinstance(value, dict):
        return {key: frozen(item) for key, item in value.items()}
    return value


def _literal(text: str) -> PydanticCustomError:
    """An error with exactly this text: braces in it are not placeholders."""
    return PydanticCustomError("fault", "{text}", {"text": text})


def _details(item: Any) -> InitErrorDetails:
    """Converts an error of one ValidationError for use in another."""
    kind = item["type"] if item["type"] in _PYDANTIC_ERRORS else _literal(item["msg"])
    return InitErrorDetails(type=kind, loc=item["loc"], input=item["input"], ctx=item.get("ctx", {}))


def _is_node(value: Any) -> bool:
    return isinstance(value, Record) or (isinstance(value, tuple) and any(_is_node(item) for item in value))


def _split(record: Record) -> tuple[dict[str, Any], tuple[tuple[str, Any], ...]]:
    nodes, static = {}, []
    for name, field in type(record).model_fields.items():
        value = getattr(record, name)
        if TRACED in field.metadata or _is_node(value):
            nodes[name] = value
        else:
            static.append((name, value))
    for name, value in (record.model_extra or {}).items():
        # A traced value may be a tracer instead of a float, so the static types are listed.
        if value is None or isinstance(value, bool | int | str | tuple) or name in record.static_arguments():
            static.append((name, value))
        else:
            nodes[name] = value
    return nodes, tuple(static)


def _flatten(record: Record) -> tuple[tuple[Any, ...], Any]:
    nodes, static = _split(record)
    return tuple(nodes.values()), (tuple(nodes), static)


def _flatten_with_keys(record: Record) -> tuple[tuple[Any, ...], Any]:
    nodes, static = _split(record)
    children = tuple((jax.tree_util.GetAttrKey(name), value) for name, value in nodes.items())
    return children, (tuple(nodes), static)


def _unflatten(cls: type[R], aux: Any, leaves: Any) -> R:
    names, static = aux
    # No validation: leaves may be tracers, and the values were validated when the record was made.
    values = dict(zip(names, leaves, strict=True)) | dict(static)
    return cast("R", cls.model_construct(**values))
