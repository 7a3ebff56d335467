"""The learning rate of every step, from one of Optax's schedules and a warm-up.

    >>> Schedule(name="cosine_decay_schedule").learning_rates(0.1, total_steps=4, steps_per_epoch=2)
    array([0.1       , 0.08535534, 0.05      , 0.01464466], dtype=float32)

The rates are computed on the host before training, so the compiled program contains no schedule.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Annotated, Any, Final, Literal, Self

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

from runner.arguments import (
    REQUIRED,
    Argument,
    arguments,
    defaults,
    describe_arguments,
    fault,
    read_arguments,
    with_faults,
)
from runner.errors import ConfigError, must, unknown
from runner.learning_rates import FORMULAS, Formula, with_warmup
from runner.records import Record

# The arguments of a schedule are those of Optax's function; the formula of the same name evaluates it.
SCHEDULES: Final[Mapping[str, Callable[..., optax.Schedule]]] = {
    formula.__name__: getattr(optax, formula.__name__) for formula in FORMULAS
}
_FORMULAS: Final[Mapping[str, Formula]] = {formula.__name__: formula for formula in FORMULAS}

FILLED: Final = ("value", "init_value", "peak_value", "decay_steps", "transition_steps", "warmup_steps")
"""Arguments that get a value from the learning rate and the length of training if none is given."""

_LEAST: Final = {"decay_steps": 1, "transition_steps": 1, "transition_begin": 0}
_SHARES: Final = ("pct_start", "pct_final")
_DIVISORS: Final = ("div_factor", "final_div_factor")
_INTERPOLATIONS: Final = ("linear", "cosine")
# The number of steps evaluated at once, which bounds the memory for a long training.
_STEPS_AT_ONCE: Final = 2**20
# An upper bound on the length of any training; float64 and int64 represent it exactly.
_MOST_STEPS: Final = 2**53


class Schedule(Record):
    """A schedule of Optax. `name` and all further arguments are those of Optax.

    The initial or peak value is the optimiser's learning rate unless given. Every argument `*_steps` may be given as
    `*_epochs`, which is rounded to the nearest step. `decay_*` and `transition_*` are lengths: a decay begins at the
    end of the warm-up and lasts until the end of training, unless its length is given. `boundaries_and_scales` and
    `transition_begin` count from the start of training, including the warm-up. Optax's own schedules with a warm-up
    (`warmup_*`) count as Optax documents.
    """

    model_config = ConfigDict(extra="allow")

    name: str = Field(default="constant_schedule", description="The name of a schedule in optax.")
    warmup_steps: Annotated[int, Ge(0)] | None = Field(
        default=None,
        description="Number of steps in which the learning rate rises linearly from 0 to the initial value of the "
        "schedule. A decay begins after the warm-up; boundaries and transition_begin count from the start of training.",
    )
    warmup_epochs: Annotated[float, Ge(0), Field(allow_inf_nan=False)] | None = Field(
        default=None, description="The same in epochs."
    )
    boundaries_in: Literal["steps", "epochs"] = Field(
        default="steps",
        description="The unit of the boundaries in boundaries_and_scales. They count from the start of training, "
        "including the warm-up.",
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

    def implied(self) -> dict[str, Any]:
        """The arguments of the schedule that were left at Optax's defaults."""
        return defaults(arguments(SCHEDULES[self.name]), given={*type(self).model_fields, *(self.model_extra or {})})

    def learning_rates(self, peak: float, *, total_steps: int, steps_per_epoch: int) -> np.ndarray:
        """The learning rate of each training step, (total_steps,) float32.

        Computed in float64 and rounded once. Raises ConfigError if a decay that includes the warm-up is not longer
        than it, or if a rate is negative or not finite.
        """
        warmup = min(self.warmup_steps or _whole(self.warmup_epochs or 0.0, steps_per_epoch), _MOST_STEPS)
        takes = arguments(SCHEDULES[self.name])
        values = _filled(self, takes, peak, warmup, total_steps, steps_per_epoch)
        if "warmup_steps" in takes and values.get("decay_steps", _MOST_STEPS) <= warmup:
            rule = f"be more than the {warmup} steps of the warm-up, which it includes"
            raise ConfigError(must("schedule.decay_steps", rule, values["decay_steps"]))
        rates = np.empty(total_steps, np.float32)
        with np.errstate(all="ignore"):  # a rate that is not finite is reported below
            for first in range(0, total_steps, _STEPS_AT_ONCE):
                steps = np.arange(first, min(first + _STEPS_AT_ONCE, total_steps))
                rates[steps] = self._evaluated(steps, values, 0 if "warmup_steps" in takes else warmup)
        wrong = np.flatnonzero(~(np.isfinite(rates) & (rates >= 0)))
        if wrong.size:
            rule = f"give a finite learning rate ≥ 0 at every step (step {wrong[0]})"
            raise ConfigError(must("schedule", rule, rates[wrong[0]]))
        return rates

    def _evaluated(self, steps: np.ndarray, values: Mapping[str, Any], warmup: int) -> np.ndarray:
        formula = _FORMULAS[self.name]
        if not warmup:
            return formula(steps, 0, **values)
        [start] = formula(np.zeros(1, np.int64), warmup, **values)
        return with_warmup(steps, 0.0, warmup, formula(steps, warmup, **values), start)


def _whole(time: float, unit: int) -> int:
    """A time in units of `unit` steps, rounded to the nearest step."""
    return min(round(_exact(time, unit)), _MOST_STEPS)


def _exact(time: float, unit: int) -> Fraction:
    """A time in steps, exact for decimal numbers: 0.7 epochs of 15 steps are 10.5 steps."""
    return Fraction(repr(time)) * unit


def _filled(
    record: Schedule, takes: Mapping[str, Argument], peak: float, warmup: int, total_steps: int, steps_per_epoch: int
) -> dict[str, Any]:
    """All arguments of the schedule, with times in steps."""
    given = dict(record.model_extra or {})
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name == "boundaries_and_scales":
            unit = steps_per_epoch if record.boundaries_in == "epochs" else 1
            values[name] = [(_whole(boundary, unit), scale) for boundary, scale in value]
        elif name.endswith("_epochs"):
            # Each stair of a staircase is rounded by itself, so that rounding errors do not add up.
            exact = _exact(value, steps_per_epoch) if given.get("staircase") else _whole(value, steps_per_epoch)
            values[_in_steps(name)] = max(exact, 1)
        else:
            values[name] = min(value, _MOST_STEPS) if name in _LEAST else value
    own_warmup = "warmup_steps" in takes
    begin = values.get("transition_begin", 0) + warmup if own_warmup else values.get("transition_begin", warmup)
    filled: dict[str, Any] = dict.fromkeys(("value", "init_value", "peak_value"), float(peak))
    filled |= dict.fromkeys(("decay_steps", "transition_steps"), max(total_steps - begin, 1))
    if own_warmup:
        filled |= {"warmup_steps": warmup, "init_value": 0.0}
        # In Optax's cosine with warm-up, decay_steps includes the warm-up.
        filled["decay_steps"] = max(total_steps, warmup + 1)
    else:
        filled["transition_begin"] = begin
    defaults = {name: argument.default for name, argument in takes.items() if argument.default is not REQUIRED}
    return defaults | {name: value for name, value in filled.items() if name in takes} | values


def _in_steps(name: str) -> str:
    return name.removesuffix("_epochs") + "_steps"


def _in_epochs(takes: Mapping[str, Argument]) -> set[str]:
    """The `*_epochs` names of all arguments in steps."""
    return {name.removesuffix("_steps") + "_epochs" for name in takes if name.endswith("_steps")}


def _properties(name: str) -> dict[str, Any]:
    takes = arguments(SCHEDULES[name])
    properties = {argument.name: argument.schema() for argument in takes.values() if argument.kind is not None}
    properties |= {key: {"type": "number", "exclusiveMinimum": 0} for key in _in_epochs(takes)}
    if "boundaries_and_scales" in takes:
        properties["boundaries_and_scales"] = {"type": "object", "additionalProperties": {"type": "number"}}
    if "interpolate_type" in takes:
        properties["interpolate_type"] = {"enum": list(_INTERPOLATIONS)}
    return {key: value for key, value in sorted(properties.items()) if key not in Schedule.model_fields}


def _checked(data: dict[str, Any], cls: type[Schedule]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    """The data with its arguments converted for Optax, and all faults of the arguments."""
    name = data.get("name", cls.model_fields["name"].default)
    if not isinstance(name, str):
        return data, []
    if name not in SCHEDULES:
        return data, [fault("name", unknown("", "schedule", name, SCHEDULES).text, name)]
    takes = arguments(SCHEDULES[name])
    given = {key: value for key, value in data.items() if isinstance(key, str) and key not in cls.model_fields}
    in_epochs = _in_epochs(takes)
    special = {
        key: given[key] for key in given if key in in_epochs or (key == "boundaries_and_scales" and key in takes)
    }
    plain = {key: value for key, value in given.items() if key not in special}
    other_names = in_epochs | set(cls.model_fields)
    values, faults = read_arguments(name, SCHEDULES[name], plain, filled=FILLED, other_names=other_names)
    for key, value in (values | special).items():
        try:
            values[key] = _read(key, value, given)
        except ValueError as error:
            faults.append(fault(key, str(error), value))
    faults += _warmup_faults(name, data) + ([] if faults else _share_faults(takes, values))
    return {key: value for key, value in data.items() if key not in given} | values, faults


def _warmup_faults(name: str, data: Mapping[str, Any]) -> list[InitErrorDetails]:
    steps, epochs = data.get("warmup_steps"), data.get("warmup_epochs")
    if steps is not None and epochs is not None:
        return [fault("warmup_epochs", must("", "be left out if warmup_steps is given", epochs).text, epochs)]
    if steps is None and epochs is None and "warmup_steps" in arguments(SCHEDULES[name]):
        return [fault("warmup_epochs", must("", f"be given for {name} (or warmup_steps)", None).text, None)]
    return []


def _share_faults(takes: Mapping[str, Argument], values: Mapping[str, Any]) -> list[InitErrorDetails]:
    """The fault of a cycle whose fall ends before its rise."""
    if "pct_final" not in takes:
        return []
    up, down = (values.get(name, takes[name].default) for name in _SHARES)
    return [] if up <= down else [fault("pct_final", must("", f"be ≥ pct_start ({up})", down).text, down)]


def _read(name: str, value: Any, given: Mapping[str, Any]) -> Any:
    """Converts times in epochs and boundaries; checks other values and returns them unchanged."""
    if name == "boundaries_and_scales":
        return _read_boundaries(value)
    if name.endswith("_epochs"):
        if _in_steps(name) in given:
            raise ValueError(must("", f"be left out if {_in_steps(name)} is given", value).text)
        if not (type(value) is int or type(value) is float) or not 0 < value < math.inf:
            raise ValueError(must("", "be a number of epochs > 0", value).text)
        return float(value)
    if rule := _broken_rule(name, value):
        raise ValueError(must("", rule, value).text)
    return value


def _broken_rule(name: str, value: Any) -> str | None:
    """The rule of an argument that a value breaks."""
    if name in _LEAST and value < _LEAST[name]:
        return f"be ≥ {_LEAST[name]}"
    if name in _SHARES and not 0 <= value <= 1:
        return "be ≥ 0 and ≤ 1"
    if name in _DIVISORS and value <= 0:
        return "be > 0"
    if name == "interpolate_type" and value not in _INTERPOLATIONS:
        return f"be one of {', '.join(_INTERPOLATIONS)}"
    return None


def _read_boundaries(value: Any) -> tuple[tuple[float, float], ...]:
    """Converts a mapping to pairs in order of time, so that the record is hashable. Accepts pairs as well."""
    pairs: Any = tuple(value.items()) if isinstance(value, dict) else value
    paired = isinstance(pairs, tuple) and all(isinstance(pair, tuple) and len(pair) == 2 for pair in pairs)
    numbers = [number for pair in pairs for number in pair] if paired else []
    if not paired or not all(type(number) in (int, float) and 0 <= number < math.inf for number in numbers):
        raise ValueError(must("", "map steps or epochs to scales, all ≥ 0", value).text)
    return tuple(sorted((float(boundary), float(scale)) for boundary, scale in pairs))
