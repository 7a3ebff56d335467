"""Builds an Optax optimiser from a name and arguments.

    >>> optimizer = Optimizer(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-4)
    >>> schedule = Schedule(name="cosine_decay_schedule", warmup_epochs=1)
    >>> rates = schedule.learning_rates(0.1, total_steps=4690, steps_per_epoch=469)
    >>> transformation = optimizer.transformation(rates[step], decays)

Optimisers and their arguments have the names that Optax gives them; every optimiser of Optax is available. The learning
rate of each step is computed before training and is an argument of the compiled program, which contains no schedule.
"""

import functools
from collections.abc import Callable, Mapping
from types import FunctionType
from typing import Annotated, Any, Final, Literal, Self

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from annotated_types import Ge, Gt
from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails, PydanticCustomError

from runner.arguments import arguments, defaults, describe_arguments, fault, read_arguments, with_faults
from runner.errors import must, unknown
from runner.records import TRACED, Record
from runner.schedule import Schedule

__all__ = ["Clip", "Optimizer", "Schedule", "optimizers"]

# Optimisers of Optax with other names for the two numbers that are fields of the record.
_LEARNING_RATE: Final = {"polyak_sgd": "max_learning_rate"}
_WEIGHT_DECAY: Final = {"adafactor": "weight_decay_rate"}
_MASKS: Final = ("mask", "weight_decay_mask")

REFUSED: Final = {
    "dpsgd": "needs the gradient of every example",
    "optimistic_adam": "was replaced by optimistic_adam_v2",
    "schedule_free": "wraps another optimiser",
    "schedule_free_adamw": "converts its parameters before every evaluation",
    "schedule_free_sgd": "converts its parameters before every evaluation",
    "sophia": "needs an estimate of the Hessian",
}

# Decay rates of moving averages: an average with rate 1 would never change. Some are pairs.
_AVERAGES: Final = frozenset({"b1", "b2", "b3", "beta3", "betas", "adam_b1", "adam_b2", "decay", "momentum", "rho"})

Decays = Any  # a pytree shaped like the parameters: True if weight decay applies


@functools.cache
def optimizers() -> Mapping[str, Callable[..., optax.GradientTransformation]]:
    """All optimisers of Optax that take a learning rate and can train here, by name."""
    functions = {}
    for module in (optax.contrib, optax):
        for name, function in vars(module).items():
            if name.startswith(("_", "scale_by")) or name in REFUSED:
                continue
            if not isinstance(function, FunctionType | functools.partial):  # nadam is a partial
                continue
            if _LEARNING_RATE.get(name, "learning_rate") in arguments(function):
                functions[name] = function
    return dict(sorted(functions.items()))


class Optimizer(Record):
    """An optimiser of Optax. `name` and all further arguments are those of Optax."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="The name of an optimiser in optax or optax.contrib.")
    learning_rate: Annotated[float, Ge(0), TRACED] = Field(
        allow_inf_nan=False, description="The peak learning rate: a schedule starts at it, or rises to it."
    )
    weight_decay: Annotated[Annotated[float, Ge(0), Field(allow_inf_nan=False)] | None, TRACED] = Field(
        default=None,
        description="The weight decay of the optimiser if it has one (null = its default); else an L2 penalty, which "
        "adds weight_decay · weight to the gradient.",
    )
    weight_decay_mask: Literal["weights", "all"] = Field(
        default="weights", description="The parameters that decay: only weights, or also biases and normalisation."
    )
    bias_scale: Annotated[float, Ge(0), TRACED] = Field(
        default=1.0,
        allow_inf_nan=False,
        description="Factor of the updates of biases; it multiplies their learning rate.",
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        properties = {
            name: {
                argument.name: argument.schema()
                for argument in arguments(function).values()
                if argument.kind is not None and argument.name not in _moved(name)
            }
            for name, function in optimizers().items()
        }
        describe_arguments(handler.resolve_ref_schema(schema), properties)
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        faults: list[InitErrorDetails] = []
        if isinstance(data, dict) and isinstance(data.get("name"), str):
            data, faults = _checked(data, cls)
        try:
            record = handler(data)
        except ValidationError as error:
            raise with_faults(cls.__name__, error, faults) from None
        if not faults and record is not data:
            faults = _refusals(record)
        if faults:
            raise with_faults(cls.__name__, None, faults)
        return record

    def implied(self) -> dict[str, Any]:
        """The arguments of the optimiser that were left at Optax's defaults.

        >>> Optimizer(name="sgd", learning_rate=0.1).implied()
        {'momentum': None, 'nesterov': False, 'accumulator_dtype': None}
        """
        takes = arguments(optimizers()[self.name])
        found = defaults(takes, given={*_moved(self.name), *(self.model_extra or {})})
        decay = takes.get(_weight_decay_name(self.name))
        return found | ({"weight_decay": decay.default} if decay and self.weight_decay is None else {})

    def transformation(
        self, learning_rate: jax.typing.ArrayLike, decays: Decays
    ) -> optax.GradientTransformationExtraArgs:
        """The optimiser with the learning rate of one step. The shape of its state does not depend on the rate.

        `decays` is a pytree of Python bools shaped like the parameters: True if weight decay applies. The update also
        takes `value`, `grad` and `value_fn`, for optimisers that use the loss.
        """
        function = optimizers()[self.name]
        mask = decays if self.weight_decay_mask == "weights" else jax.tree.map(lambda _: True, decays)
        numbers = {name: _number(value) for name, value in (self.model_extra or {}).items()}
        numbers[_learning_rate_name(self.name)] = jnp.asarray(learning_rate, jnp.float32)
        mask_name = _mask_name(function)
        if mask_name:
            numbers[mask_name] = mask
        penalty: tuple[optax.GradientTransformation, ...] = ()
        if self.weight_decay is not None:
            weight_decay = jnp.asarray(self.weight_decay, jnp.float32)
            if _weight_decay_name(self.name) in arguments(function):
                numbers[_weight_decay_name(self.name)] = weight_decay
            else:
                penalty = (optax.add_decayed_weights(weight_decay, mask),)
        scaled = _scaled_biases(jnp.asarray(self.bias_scale, jnp.float32))
        return _well_typed(optax.chain(*penalty, function(**numbers), scaled))


def _scaled_biases(factor: jax.Array) -> optax.GradientTransformation:
    """Multiplies the updates of all biases by a factor."""

    def scaled(path: tuple[Any, ...], update: jax.Array) -> jax.Array:
        last = path[-1] if path else None
        return update * factor if getattr(last, "key", None) == "bias" else update

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(scaled, updates))


def _well_typed(inner: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Makes a transformation work with strict type promotion: Optax raises floats to integer powers.

    Its state has the same types before and after the first step, so that a program of one step is compiled once.
    """
    inner = optax.with_extra_args_support(inner)

    def init(params: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            return jax.tree.map(_strongly_typed, inner.init(params))

    def update(updates: Any, state: Any, params: Any = None, **extra: Any) -> Any:
        with jax.numpy_dtype_promotion("standard"):
            updates, state = inner.update(updates, state, params, **extra)
        return updates, jax.tree.map(_strongly_typed, state)

    return optax.GradientTransformationExtraArgs(init, update)


def _strongly_typed(leaf: jax.Array) -> jax.Array:
    is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return leaf if is_key else jnp.asarray(leaf, leaf.dtype)


def _number(value: Any) -> Any:
    """An argument of the program: real numbers become float32 arrays; other values are static."""
    return value if value is None or isinstance(value, bool | int | str | tuple) else jnp.asarray(value, jnp.float32)


def _learning_rate_name(name: str) -> str:
    return _LEARNING_RATE.get(name, "learning_rate")


def _weight_decay_name(name: str) -> str:
    return _WEIGHT_DECAY.get(name, "weight_decay")


def _mask_name(function: Callable[..., Any]) -> str | None:
    return next((name for name in _MASKS if name in arguments(function)), None)


def _moved(name: str) -> dict[str, str]:
    """Arguments that the record has as a field, or under a newer name, each with the rule that says so."""
    masks = dict.fromkeys(_MASKS, "be given as weight_decay_mask")
    return masks | {
        _learning_rate_name(name): "be given as learning_rate",
        _weight_decay_name(name): "be given as weight_decay",
        "seed": "be given as key",
    }


def _checked(data: dict[str, Any], cls: type[Optimizer]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    """The data with its arguments converted for Optax, and all faults of the arguments."""
    name = data["name"]
    if name in REFUSED:
        return data, [fault("name", must("", f"be another optimiser, as this one {REFUSED[name]}", name).text, name)]
    if name not in optimizers():
        return data, [fault("name", unknown("", "optimizer", name, optimizers()).text, name)]
    given = {key: value for key, value in data.items() if isinstance(key, str) and key not in cls.model_fields}
    values, faults = read_arguments(name, optimizers()[name], given, moved=_moved(name), other_names=cls.model_fields)
    for key, value in values.items():
        rule = _broken_rule(key, value)
        if rule:
            faults.append(fault(key, must("", rule, value).text, value))
    return {key: value for key, value in data.items() if key not in given} | values, faults


def _broken_rule(key: str, value: Any) -> str | None:
    """The rule of a well-known argument that a value breaks; Optax would produce NaN or not train at all."""
    numbers = value if isinstance(value, tuple) else (value,)
    if key in _AVERAGES and not all(number is None or 0 <= number < 1 for number in numbers):
        return "be ≥ 0 and < 1"
    if key.startswith("eps") and isinstance(value, float) and value < 0:
        return "be ≥ 0"
    return None


def _refusals(record: Optimizer) -> list[InitErrorDetails]:
    """Faults that Optax itself raises, and a mask for an optimiser without one."""
    function = optimizers()[record.name]
    takes_decay = _weight_decay_name(record.name) in arguments(function)
    masked = record.weight_decay is not None and record.weight_decay_mask == "weights"
    if masked and takes_decay and _mask_name(function) is None:
        text = must("", f"be all, because {record.name} decays every parameter", record.weight_decay_mask).text
        return [fault("weight_decay_mask", text, record.weight_decay_mask)]
    try:
        jax.eval_shape(_one_step, record)
    except (TypeError, ValueError, ArithmeticError, AssertionError, LookupError, NotImplementedError) as error:
        reason = str(error).split("\n")[0][:200]
        text = must("", f"have arguments that Optax accepts ({reason})", record.name).text
        return [InitErrorDetails(type=PydanticCustomError("argument", "{fault}", {"fault": text}), loc=(), input=None)]
    return []


def _one_step(record: Optimizer) -> Any:
    weights = jnp.ones((2, 2), jnp.float32)
    transformation = record.transformation(record.learning_rate, True)
    state = transformation.init(weights)
    return transformation.update(weights, state, weights, value=jnp.sum(weights), grad=weights, value_fn=jnp.sum)


class Clip(Record):
    """Clips gradients before the optimiser uses them: first each element, then the norm."""

    value: Annotated[Annotated[float, Gt(0), Field(allow_inf_nan=False)] | None, TRACED] = Field(
        default=None, description="The largest magnitude of an element of the gradient."
    )
    norm: Annotated[Annotated[float, Gt(0), Field(allow_inf_nan=False)] | None, TRACED] = Field(
        default=None,
        description="The largest Euclidean norm of the whole gradient; longer gradients are scaled down to it.",
    )

    def transformation(self) -> optax.GradientTransformation:
        """Source of the norm clipping: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063."""
        parts = [optax.identity()]
        if self.value is not None:
            parts.append(optax.clip(jnp.asarray(self.value, jnp.float32)))
        if self.norm is not None:
            parts.append(optax.clip_by_global_norm(jnp.asarray(self.norm, jnp.float32)))
        return optax.chain(*parts)
