"""Names and numbers to an Optax transformation and a learning rate for every step.

    >>> optimizer = Optimizer(name="sgd", learning_rate=0.1, momentum=0.9, weight_decay=5e-4)
    >>> schedule = Schedule(name="cosine_decay_schedule", warmup_epochs=1)
    >>> rates = schedule.learning_rates(0.1, total_steps=4690, steps_per_epoch=469)
    >>> transformation = optimizer.transformation(rates[step], decays)

Optimisers and their arguments go by Optax's own names, whatever Optax holds. The learning rate of each step is
worked out beforehand and enters the compiled program as an argument, so that no schedule is ever compiled into it.
"""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from annotated_types import Ge, Gt
from pydantic import ConfigDict, Field, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails

from runner.arguments import arguments, fault, read_arguments, with_faults
from runner.errors import must, unknown
from runner.records import TRACED, Record
from runner.schedule import Schedule

__all__ = ["Clip", "Optimizer", "Schedule", "optimizers"]

# What Optax calls the two numbers that stand on the record itself.
_LEARNING_RATE: Final = {"polyak_sgd": "max_learning_rate"}
_WEIGHT_DECAY: Final = {"adafactor": "weight_decay_rate"}
_MASKS: Final = ("mask", "weight_decay_mask")

_REFUSED: Final = {
    "dpsgd": "it needs the gradient of every example",
    "schedule_free": "it wraps another optimiser",
    "schedule_free_adamw": "its parameters must be converted before every evaluation",
    "schedule_free_sgd": "its parameters must be converted before every evaluation",
    "sophia": "it needs an estimate of the Hessian",
}

# Numbers that Optax uses in Python, so that they are part of the program.
_STATIC: Final[Mapping[str, frozenset[str]]] = {}

Decays = Any  # a pytree shaped like the parameters: True where weight decay applies


@functools.cache
def optimizers() -> Mapping[str, Callable[..., optax.GradientTransformation]]:
    """Every optimiser of Optax that can train here, by its own name: those that take a learning rate."""
    found = {}
    for module in (optax.contrib, optax):
        for name, function in vars(module).items():
            if name.startswith(("_", "scale_by")) or name in _REFUSED or not inspect.isfunction(function):
                continue
            if _LEARNING_RATE.get(name, "learning_rate") in inspect.signature(function).parameters:
                found[name] = function
    return dict(sorted(found.items()))


class Optimizer(Record):
    """An optimiser of Optax by its own name; further arguments go by their Optax names too."""

    model_config = ConfigDict(extra="allow")

    name: str = Field(description="an optimiser of Optax, or of optax.contrib, by its own name")
    learning_rate: Annotated[float, Ge(0), TRACED] = Field(
        allow_inf_nan=False, description="the learning rate that the schedule starts from, or rises to"
    )
    weight_decay: Annotated[Annotated[float, Ge(0), Field(allow_inf_nan=False)] | None, TRACED] = Field(
        default=None,
        description="the optimiser's own weight decay where it has one (null: its default), else an L2 penalty: "
        "this times the weight is added to the gradient",
    )
    weight_decay_mask: Literal["weights", "all"] = Field(
        default="weights", description="what decays: weights alone, or biases and normalisation as well"
    )

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

    def static_arguments(self) -> frozenset[str]:
        return _STATIC.get(self.name, frozenset())

    def transformation(
        self, learning_rate: jax.typing.ArrayLike, decays: Decays
    ) -> optax.GradientTransformationExtraArgs:
        """The optimiser at one step's learning rate. The shape of its state does not depend on that rate.

        `decays` is a pytree of Python bools shaped like the parameters, True where weight decay applies. The update
        takes `value`, `grad` and `value_fn`, for those optimisers that look at the loss.
        """
        function = optimizers()[self.name]
        mask = decays if self.weight_decay_mask == "weights" else jax.tree.map(lambda _: True, decays)
        numbers = {name: _traced(self, name, value) for name, value in (self.model_extra or {}).items()}
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
        return optax.with_extra_args_support(optax.chain(*penalty, function(**numbers)))


def _traced(record: Record, name: str, value: Any) -> Any:
    static = value is None or isinstance(value, bool | int | str | tuple) or name in record.static_arguments()
    return value if static else jnp.asarray(value, jnp.float32)


def _learning_rate_name(name: str) -> str:
    return _LEARNING_RATE.get(name, "learning_rate")


def _weight_decay_name(name: str) -> str:
    return _WEIGHT_DECAY.get(name, "weight_decay")


def _mask_name(function: Callable[..., Any]) -> str | None:
    return next((name for name in _MASKS if name in arguments(function)), None)


def _checked(data: dict[str, Any], cls: type[Optimizer]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    name = data["name"]
    if name in _REFUSED:
        rule = f"be an optimiser that trains from gradients alone ({_REFUSED[name]})"
        return data, [fault("name", must("", rule, name).text, name)]
    if name not in optimizers():
        return data, [fault("name", unknown("", "optimizer", name, optimizers()).text, name)]
    said = {key: value for key, value in data.items() if isinstance(key, str) and key not in cls.model_fields}
    moved = {
        _learning_rate_name(name): "be said as learning_rate",
        _weight_decay_name(name): "be said as weight_decay",
        **dict.fromkeys(_MASKS, "be said as weight_decay_mask"),
    }
    values, faults = read_arguments(name, optimizers()[name], said, moved=moved, beside=cls.model_fields)
    return {key: value for key, value in data.items() if key not in said} | values, faults


def _refusals(record: Optimizer) -> list[InitErrorDetails]:
    """What Optax itself will not take, and a mask that it has no place for."""
    function = optimizers()[record.name]
    takes_decay = _weight_decay_name(record.name) in arguments(function)
    masked = record.weight_decay is not None and record.weight_decay_mask == "weights"
    if masked and takes_decay and _mask_name(function) is None:
        text = must("", f"be all, as {record.name} lets every parameter decay", record.weight_decay_mask).text
        return [fault("weight_decay_mask", text, record.weight_decay_mask)]
    try:
        record.transformation(record.learning_rate, True)
    except (TypeError, ValueError) as error:
        return [fault("name", must("", f"come with arguments that Optax takes ({error})", record.name).text, None)]
    return []


class Clip(Record):
    """Gradients held within bounds before the optimiser sees them; each element first, then the whole."""

    value: Annotated[Annotated[float, Gt(0)] | None, TRACED] = Field(
        default=None, description="the largest magnitude of any element of the gradient"
    )
    norm: Annotated[Annotated[float, Gt(0)] | None, TRACED] = Field(
        default=None, description="the largest Euclidean norm of the whole gradient; longer ones are scaled down to it"
    )

    def transformation(self) -> optax.GradientTransformation:
        """Source for the norm: Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063."""
        parts = []
        if self.value is not None:
            parts.append(optax.clip(jnp.asarray(self.value, jnp.float32)))
        if self.norm is not None:
            parts.append(optax.clip_by_global_norm(jnp.asarray(self.norm, jnp.float32)))
        return optax.chain(*parts)
