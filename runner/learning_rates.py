"""The formulas of Optax's schedules, evaluated for many steps at once in float64 on the host.

    >>> cosine_decay_schedule(np.arange(4), 0, init_value=0.1, decay_steps=4, alpha=0.0, exponent=1.0)
    array([0.1       , 0.08535534, 0.05      , 0.01464466])

Optax evaluates its schedules in float32. A quotient may then be just below a whole number, and a staircase drops
one step late. Each function here has the name and arguments of an Optax schedule, whose documentation is the source of
its formula. To add a schedule, add a function to `FORMULAS`.

`steps` are integers and count from the start of training. `begin` is the step at which the warm-up ends; formulas count
from it, but boundaries and `transition_begin` count from the start of training. A step before `begin` has the value at
`begin`.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any, Final

import numpy as np

Array = np.ndarray[Any, Any]
Boundaries = Sequence[tuple[int, float]]  # (step, scale), in order of time

# Keeps products of steps and denominators within 64 bits.
_LARGEST_DENOMINATOR: Final = 2**20
_LONGEST: Final = 2**31


def constant_schedule(steps: Array, begin: int, *, value: float) -> Array:
    """The same value at every step."""
    return np.full(len(steps), value, np.float64)


def polynomial_schedule(
    steps: Array,
    begin: int,
    *,
    init_value: float,
    end_value: float,
    power: float,
    transition_steps: int,
    transition_begin: int,
) -> Array:
    """(init − end) · (1 − t/T)^power + end, for t steps since `transition_begin`, of T."""
    left = transition_steps - np.clip(steps - transition_begin, 0, transition_steps)
    values: Array = (init_value - end_value) * (left / transition_steps) ** power + end_value
    return values


def linear_schedule(steps: Array, begin: int, **line: Any) -> Array:
    """A polynomial of power 1."""
    return polynomial_schedule(steps, begin, power=1.0, **line)


def exponential_decay(
    steps: Array,
    begin: int,
    *,
    init_value: float,
    transition_steps: int | Fraction,
    decay_rate: float,
    transition_begin: int,
    staircase: bool,
    end_value: float | None,
) -> Array:
    """Gives init · rate^(t/T), for t steps since `transition_begin`; a staircase takes the whole part of t/T."""
    if decay_rate == 0:  # as Optax has it
        return constant_schedule(steps, begin, value=init_value)
    since = np.maximum(steps - transition_begin, 0)
    exponent = _stairs(since, Fraction(transition_steps)) if staircase else since / float(transition_steps)
    values: Array = init_value * np.power(np.float64(decay_rate), exponent)
    if end_value is None:
        return values
    return np.maximum(values, end_value) if decay_rate < 1 else np.minimum(values, end_value)


def _stairs(since: Array, length: Fraction) -> Array:
    """The number of stairs up to each step: the largest k for which k · length, rounded to a whole step, ≤ since.

    Stairs of 93.6 steps begin at 94, 187, 281, …, so that rounding errors do not add up.
    """
    length = min(length, Fraction(_LONGEST)).limit_denominator(_LARGEST_DENOMINATOR)
    # k · length ≤ since + ½. If they are equal, Python rounds to the even step, so an odd step is not reached.
    doubled = (2 * since + 1) * length.denominator - since % 2
    stairs: Array = doubled // (2 * length.numerator)
    return stairs


def cosine_decay_schedule(
    steps: Array, begin: int, *, init_value: float, decay_steps: int, alpha: float, exponent: float
) -> Array:
    """Gives init · ((1 − α) · (½ (1 + cos(π t/T)))^exponent + α).

    Source: Loshchilov & Hutter 2017, arXiv:1608.03983.
    """
    left = decay_steps - np.clip(steps - begin, 0, decay_steps)
    # ½ (1 + cos πx) = sin² ½π(1 − x), which is more accurate if the cosine is close to −1.
    shape = np.sin(0.5 * np.pi * (left / decay_steps)) ** 2
    values: Array = init_value * ((1 - alpha) * shape**exponent + alpha)
    return values


def piecewise_constant_schedule(
    steps: Array, begin: int, *, init_value: float, boundaries_and_scales: Boundaries | None
) -> Array:
    """The initial value times the scales of all boundaries that a step has reached."""
    at, values = _knots(0, init_value, boundaries_and_scales)
    # The initial value precedes every boundary, even a boundary at step 0.
    passed: Array = values[np.searchsorted(at[1:], steps, side="right")]
    return passed


def piecewise_interpolate_schedule(
    steps: Array, begin: int, *, interpolate_type: str, init_value: float, boundaries_and_scales: Boundaries | None
) -> Array:
    """Interpolates between the values at the boundaries, by lines or half cosines.

    The first interval begins at the end of the warm-up, or at step 0 if a boundary lies within the warm-up.
    """
    return _interpolated(steps, *_knots(begin, init_value, boundaries_and_scales), interpolate_type)


def _knots(begin: int, init_value: float, boundaries: Boundaries | None) -> tuple[Array, Array]:
    """The steps and values of the knots: the initial value, then the value at each boundary."""
    boundaries = boundaries or ()
    first = begin if all(step > begin for step, _ in boundaries) else 0
    at = np.array([first, *(step for step, _ in boundaries)], np.int64)
    return at, np.cumprod(np.array([init_value, *(scale for _, scale in boundaries)], np.float64))


def _interpolated(steps: Array, at: Array, values: Array, kind: str) -> Array:
    steps = np.maximum(steps, at[0])
    before = np.searchsorted(at, steps, side="right") - 1  # the last knot that was reached
    after = np.minimum(before + 1, len(at) - 1)
    share = (steps - at[before]) / np.maximum(at[after] - at[before], 1)
    if kind == "cosine":
        share = np.sin(0.5 * np.pi * share) ** 2
    interpolated: Array = values[before] * (1 - share) + values[after] * share
    return interpolated


def linear_onecycle_schedule(
    steps: Array,
    begin: int,
    *,
    transition_steps: int,
    peak_value: float,
    pct_start: float,
    pct_final: float,
    div_factor: float,
    final_div_factor: float,
) -> Array:
    """Rises to the peak, falls back, then falls further. Source: Smith & Topin 2018, arXiv:1708.07120."""
    low = peak_value / div_factor
    ends = (0, _part(pct_start, transition_steps), _part(pct_final, transition_steps), transition_steps)
    at = begin + np.array(ends, np.int64)
    return _interpolated(steps, at, np.array([low, peak_value, low, low / final_div_factor]), "linear")


def cosine_onecycle_schedule(
    steps: Array,
    begin: int,
    *,
    transition_steps: int,
    peak_value: float,
    pct_start: float,
    div_factor: float,
    final_div_factor: float,
) -> Array:
    """Rises to the peak and falls, each along half a cosine. Source: Smith & Topin 2018, arXiv:1708.07120."""
    low = peak_value / div_factor
    at = begin + np.array([0, _part(pct_start, transition_steps), transition_steps], np.int64)
    return _interpolated(steps, at, np.array([low, peak_value, low / final_div_factor]), "cosine")


def _part(share: float, steps: int) -> int:
    """The whole number of steps in a share: 0.29 of 100 is 29, but 28.999… in float64."""
    return int(Fraction(repr(share)) * steps)


def warmup_constant_schedule(
    steps: Array, begin: int, *, init_value: float, peak_value: float, warmup_steps: int
) -> Array:
    """A linear rise to the peak, which is then kept."""
    return with_warmup(steps, init_value, warmup_steps, constant_schedule(steps, begin, value=peak_value), peak_value)


def warmup_cosine_decay_schedule(
    steps: Array,
    begin: int,
    *,
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    decay_steps: int,
    end_value: float,
    exponent: float,
) -> Array:
    """A linear rise to the peak, then a cosine decay; `decay_steps` includes the warm-up."""
    decayed = cosine_decay_schedule(
        steps,
        warmup_steps,
        init_value=peak_value,
        decay_steps=decay_steps - warmup_steps,
        alpha=end_value / peak_value if peak_value else 0.0,
        exponent=exponent,
    )
    return with_warmup(steps, init_value, warmup_steps, decayed, peak_value)


def warmup_exponential_decay_schedule(
    steps: Array,
    begin: int,
    *,
    init_value: float,
    peak_value: float,
    warmup_steps: int,
    transition_begin: int,
    **decay: Any,
) -> Array:
    """A linear rise to the peak, then an exponential decay; `transition_begin` counts from the end of the warm-up."""
    start = warmup_steps + transition_begin
    decayed = exponential_decay(steps, begin, init_value=peak_value, transition_begin=start, **decay)
    return with_warmup(steps, init_value, warmup_steps, decayed, peak_value)


def with_warmup(steps: Array, low: float, warmup_steps: int, values: Array, peak: float) -> Array:
    """Replaces the first `warmup_steps` values by a linear rise from `low` to the peak."""
    share = steps / max(warmup_steps, 1)
    return np.where(steps < warmup_steps, low * (1 - share) + peak * share, values)


Formula = Callable[..., Array]

FORMULAS: Final[tuple[Formula, ...]] = (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
