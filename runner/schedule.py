"""The learning rate of every step, from one of Optax's schedules and a warm-up.

    >>> Schedule(name="cosine_decay_schedule").learning_rates(0.1, total_steps=4, steps_per_epoch=2)
    array([0.1       , 0.08535534, 0.05      , 0.01464466], dtype=float32)

It is worked out on the host before training, so that the schedule is no part of the compiled program.
"""

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, Literal, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Ge
from pydantic import (
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, InitErrorDetails

from runner.arguments import Argument, arguments, describe_arguments, fault, read_arguments, with_faults
from runner.errors import ConfigError, must, unknown
from runner.records import Record

SCHEDULES: Final[Mapping[str, Callable[..., optax.Schedule]]] = {
    function.__name__: function
    for function in (
        optax.constant_schedule,
        optax.cosine_decay_schedule,
        optax.cosine_onecycle_schedule,
        optax.exponential_decay,
        optax.linear_onecycle_schedule,
        optax.linear_schedule,
        optax.piecewise_constant_schedule,
        optax.piecewise_interpolate_schedule,
        optax.polynomial_schedule,
        optax.warmup_constant_schedule,
        optax.warmup_cosine_decay_schedule,
        optax.warmup_exponential_decay_schedule,
    )
}

# Arguments that are worked out where nobody says them.
_FILLED: Final = ("value", "init_value", "peak_value", "decay_steps", "transition_steps", "warmup_steps")

_LEAST: Final = {"decay_steps": 1, "transition_steps": 1, "transition_begin": 0}


class Schedule(Record):
    """A schedule of Optax by its own name; further arguments go by their Optax names too.

    The value it starts from, or rises to, is the optimiser's learning rate unless given. An argument `*_steps` may
    be given as `*_epochs`; the length of a decay is what is left of training unless given.
    """

    model_config = ConfigDict(extra="allow")

    name: str = Field(default="constant_schedule", description="A schedule of Optax, by its own name.")
    warmup_steps: Annotated[int, Ge(0)] | None = Field(
        default=None, description="Steps over which the learning rate rises linearly, from 0, before the schedule."
    )
    warmup_epochs: Annotated[float, Ge(0), Field(allow_inf_nan=False)] | None = Field(
        default=None, description="The same in epochs."
    )
    boundaries_in: Literal["steps", "epochs"] = Field(
        default="steps", description="The unit of the boundaries of boundaries_and_scales."
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        schema = handler(core)
        describe_arguments(handler.resolve_ref_schema(schema), {name: _properties(name) for name in SCHEDULES})
        return schema

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, data: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        faults: list[InitErrorDetails] = []
        if isinstance(data, dict):
            data, faults = _checked(data, cls)
        try:
            record = handler(data)
        except ValidationError as error:
            raise with_faults(cls.__name__, error, faults) from None
        if faults:
            raise with_faults(cls.__name__, None, faults)
        return record

    def learning_rates(self, peak: float, *, total_steps: int, steps_per_epoch: int) -> np.ndarray:
        """The learning rate of each step of training, (total_steps,) float32, in the optimiser's units.

        Raises ConfigError where Optax will not take the values, or a rate is negative or not finite.
        """
        warmup = self.warmup_steps or round((self.warmup_epochs or 0) * steps_per_epoch)
        function = SCHEDULES[self.name]
        takes = arguments(function)
        values = _filled(self, takes, peak, warmup, total_steps, steps_per_epoch)
        try:
            # Optax mixes steps with real numbers, which strict promotion would refuse.
            with jax.numpy_dtype_promotion("standard"):
                schedule = function(**values)
                if warmup and "warmup_steps" not in takes:
                    rise = optax.linear_schedule(0.0, schedule(0), warmup)
                    schedule = optax.join_schedules([rise, schedule], [warmup])
                rates = _evaluated(schedule, total_steps)
        except (ValueError, TypeError) as error:
            reason = str(error).split("\n")[0]
            raise ConfigError(must("schedule", f"have arguments that Optax takes ({reason})", self.name)) from None
        wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if wrong.size:
            rule = f"give a finite learning rate ≥ 0 at every step (step {wrong[0]})"
            raise ConfigError(must("schedule", rule, rates[wrong[0]]))
        return rates


def _evaluated(schedule: optax.Schedule, total_steps: int) -> np.ndarray:
    """The schedule at every step, operation by operation: as one program it would be compiled again for each rate."""
    size = max(1024, 1 << (total_steps - 1).bit_length())  # few shapes, so that few are ever compiled
    rates = jax.vmap(lambda count: jnp.asarray(schedule(count), jnp.float32))(jnp.arange(size, dtype=jnp.int32))
    return np.asarray(rates)[:total_steps]


def _filled(
    record: Schedule, takes: Mapping[str, Argument], peak: float, warmup: int, total_steps: int, steps_per_epoch: int
) -> dict[str, Any]:
    """Every argument of the schedule, in steps."""
    values: dict[str, Any] = {}
    for name, value in (record.model_extra or {}).items():
        if name == "boundaries_and_scales":
            unit = steps_per_epoch if record.boundaries_in == "epochs" else 1
            # Boundaries that fall on one step scale together.
            steps = [round(boundary * unit) for boundary, _ in value]
            values[name] = {
                step: math.prod(by for at, (_, by) in zip(steps, value, strict=True) if at == step) for step in steps
            }
        elif name.endswith("_epochs"):
            values[_in_steps(name)] = max(round(value * steps_per_epoch), 1)
        else:
            values[name] = value
    defaults = dict.fromkeys(("value", "init_value", "peak_value"), float(peak))
    defaults |= dict.fromkeys(("decay_steps", "transition_steps"), max(total_steps - warmup, 1))
    if "warmup_steps" in takes:
        defaults |= {"warmup_steps": warmup, "init_value": 0.0}
        # Of a cosine with warm-up, Optax counts the warm-up as part of the decay.
        defaults["decay_steps"] = max(total_steps, warmup + 1)
    return {name: value for name, value in defaults.items() if name in takes} | values


def _in_steps(name: str) -> str:
    return name.removesuffix("_epochs") + "_steps"


def _in_epochs(takes: Mapping[str, Argument]) -> set[str]:
    """The names under which arguments in steps may be given in epochs."""
    return {name.removesuffix("_steps") + "_epochs" for name in takes if name.endswith("_steps")}


def _properties(name: str) -> dict[str, Any]:
    takes = arguments(SCHEDULES[name])
    properties = {argument.name: argument.schema() for argument in takes.values() if argument.kind is not None}
    properties |= {key: {"type": "number", "exclusiveMinimum": 0} for key in _in_epochs(takes)}
    if "boundaries_and_scales" in takes:
        properties["boundaries_and_scales"] = {"type": "object", "additionalProperties": {"type": "number"}}
    return {key: value for key, value in sorted(properties.items()) if key not in Schedule.model_fields}


def _checked(data: dict[str, Any], cls: type[Schedule]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    """The data with its arguments as Optax takes them, and every fault of these."""
    name = data.get("name", cls.model_fields["name"].default)
    if not isinstance(name, str):
        return data, []
    if name not in SCHEDULES:
        return data, [fault("name", unknown("", "schedule", name, SCHEDULES).text, name)]
    takes = arguments(SCHEDULES[name])
    said = {key: value for key, value in data.items() if isinstance(key, str) and key not in cls.model_fields}
    in_epochs = _in_epochs(takes)
    special = {key: said[key] for key in said if key in in_epochs or (key == "boundaries_and_scales" and key in takes)}
    plain = {key: value for key, value in said.items() if key not in special}
    beside = in_epochs | set(cls.model_fields)
    values, faults = read_arguments(name, SCHEDULES[name], plain, filled=_FILLED, beside=beside)
    for key, value in (values | special).items():
        try:
            values[key] = _read(key, value, said)
        except ValueError as error:
            faults.append(fault(key, str(error), value))
    faults += _warmup_faults(name, data)
    return {key: value for key, value in data.items() if key not in said} | values, faults


def _warmup_faults(name: str, data: Mapping[str, Any]) -> list[InitErrorDetails]:
    steps, epochs = data.get("warmup_steps"), data.get("warmup_epochs")
    if steps is not None and epochs is not None:
        return [fault("warmup_epochs", must("", "be left out where warmup_steps is given", epochs).text, epochs)]
    if steps is None and epochs is None and "warmup_steps" in arguments(SCHEDULES[name]):
        return [fault("warmup_epochs", must("", f"be given for {name} (or warmup_steps)", None).text, None)]
    return []


def _read(name: str, value: Any, said: Mapping[str, Any]) -> Any:
    """A length of time, or a mapping of boundaries, as this record keeps it; anything else as it is."""
    if name == "boundaries_and_scales":
        return _read_boundaries(value)
    if name.endswith("_epochs"):
        if _in_steps(name) in said:
            raise ValueError(must("", f"be left out where {_in_steps(name)} is given", value).text)
        if not (type(value) is int or type(value) is float) or not 0 < value < math.inf:
            raise ValueError(must("", "be a number of epochs > 0", value).text)
        return float(value)
    if name in _LEAST and value < _LEAST[name]:
        raise ValueError(must("", f"be ≥ {_LEAST[name]}", value).text)
    return value


def _read_boundaries(value: Any) -> tuple[tuple[float, float], ...]:
    """A mapping as pairs in order of time, so that the record can be hashed; pairs themselves are taken too."""
    pairs: Any = tuple(value.items()) if isinstance(value, dict) else value
    paired = isinstance(pairs, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)
    numbers = [number for pair in pairs for number in pair] if paired else []
    if not paired or not all(type(number) in (int, float) and 0 <= number < math.inf for number in numbers):
        raise ValueError(must("", "map steps or epochs to scales, all ≥ 0", value).text)
    return tuple(sorted((float(boundary), float(scale)) for boundary, scale in pairs))
