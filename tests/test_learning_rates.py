"""Every schedule against its published formula, step by step, and against Optax where float32 is exact enough."""

import itertools
import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.schedule import SCHEDULES, Schedule

PEAK = 0.75


def rates(total_steps: int, steps_per_epoch: int = 1, **said: Any) -> np.ndarray:
    return Schedule(**said).learning_rates(PEAK, total_steps=total_steps, steps_per_epoch=steps_per_epoch)


# The formulas as they are published, for one step, in plain Python -----------------------------------------------


def line(t: Fraction, length: int, start: float, end: float, power: float = 1.0) -> float:
    """Polynomial decay: TensorFlow's PolynomialDecay, Optax's polynomial_schedule."""
    return (start - end) * (1 - min(max(t / length, 0), 1)) ** power + end


def half_cosine(t: Fraction, length: int, start: float, end: float, exponent: float = 1.0) -> float:
    """Loshchilov & Hutter 2017, eq. 5, and the exponent that Optax adds."""
    return end + (start - end) * (0.5 * (1 + math.cos(math.pi * min(t / length, 1)))) ** exponent


def power(t: int, length: int, rate: float, staircase: bool) -> float:
    """Exponential decay: lr · rate^(t/T), or ^⌊t/T⌋ as in Tan & Le 2019 (EfficientNet)."""
    return rate ** (t // length if staircase else t / length)


def scaled(t: int, boundaries: dict[int, float]) -> float:
    """Step decay as in Goyal et al. 2017: every boundary that was reached scales."""
    return math.prod(scale for boundary, scale in boundaries.items() if t >= boundary)


def between_knots(t: int, knots: list[tuple[int, float]], curve: Callable[..., float]) -> float:
    """Piecewise interpolation of (step, value); of two knots on one step the later one counts."""
    for (start, low), (end, high) in reversed(list(itertools.pairwise(knots))):
        if start <= t < end:
            return curve(Fraction(t - start), end - start, low, high)
    return knots[-1][1] if t >= knots[-1][0] else knots[0][1]


# For random lengths, with and without a warm-up, in steps and epochs ----------------------------------------------

lengths, steps_per_epochs = st.integers(1, 40), st.integers(1, 13)
factors = st.sampled_from([0.1, 0.5, 0.97, 1.0, 2.0])


@st.composite
def trainings(draw: st.DrawFn) -> tuple[int, int, int, dict[str, Any]]:
    """Steps of training, of an epoch and of the warm-up, and how a user writes the warm-up."""
    total, per_epoch, warmup = draw(lengths), draw(steps_per_epochs), draw(st.sampled_from([0, 0, 1, 3, 8]))
    in_epochs = draw(st.booleans())
    return (
        total,
        per_epoch,
        warmup * (per_epoch if in_epochs else 1),
        {"warmup_epochs" if in_epochs else "warmup_steps": warmup},
    )


def check(training: tuple[int, int, int, dict[str, Any]], value: Callable[[int], float], **said: Any) -> None:
    """Holds every step against the formula `value`; the warm-up rises to `start`, which is PEAK unless said."""
    total, per_epoch, warmup, warming = training
    start = said.pop("start", PEAK)
    expected = [value(t) if t >= warmup else start * t / warmup for t in range(total)]
    np.testing.assert_allclose(rates(total, per_epoch, **warming, **said), expected, rtol=1e-6, atol=1e-12)


def in_either(unit: str, name: str, steps: int, per_epoch: int) -> dict[str, Any]:
    """A length in steps, or the same in epochs as a decimal number that is exact."""
    if unit == "steps" or 1000 % per_epoch:
        return {f"{name}_steps": steps}
    return {f"{name}_epochs": steps / per_epoch}


units = st.sampled_from(["steps", "epochs"])


@given(training=trainings(), length=st.none() | lengths, unit=units, alpha=factors, exponent=st.sampled_from([1, 0.5]))
def test_cosine(training: Any, length: int | None, unit: str, alpha: float, exponent: float) -> None:
    """It begins where the warm-up ends, and takes what is left of training."""
    total, per_epoch, warmup, _ = training
    decay = length or max(total - warmup, 1)
    said = in_either(unit, "decay", decay, per_epoch) if length else {}

    def value(t: int) -> float:
        return PEAK * ((1 - alpha) * half_cosine(Fraction(t - warmup), decay, 1, 0, exponent) + alpha)

    check(training, value, name="cosine_decay_schedule", alpha=alpha, exponent=exponent, **said)


@given(
    training=trainings(),
    length=st.none() | lengths,
    unit=units,
    begin=st.none() | st.integers(0, 20),
    end=factors,
    degree=st.sampled_from([None, 0.5, 1, 2]),
)
def test_linear_and_polynomial(
    training: Any, length: int | None, unit: str, begin: int | None, end: float, degree: float | None
) -> None:
    """transition_begin counts from the start of training; what is left after it is the length."""
    total, per_epoch, warmup, _ = training
    first = warmup if begin is None else begin
    steps = length or max(total - first, 1)
    said = in_either(unit, "transition", steps, per_epoch) if length else {}
    said |= {} if begin is None else {"transition_begin": begin}
    said |= {"name": "linear_schedule"} if degree is None else {"name": "polynomial_schedule", "power": degree}
    check(training, lambda t: line(Fraction(t - first), steps, PEAK, end, degree or 1), end_value=end, **said)


@given(
    training=trainings(),
    length=lengths,
    unit=units,
    begin=st.none() | st.integers(0, 20),
    rate=factors,
    staircase=st.booleans(),
    end=st.sampled_from([None, 0.3]),
)
def test_exponential(
    training: Any, length: int, unit: str, begin: int | None, rate: float, staircase: bool, end: float | None
) -> None:
    _, per_epoch, warmup, _ = training
    first = warmup if begin is None else begin

    def value(t: int) -> float:
        found = PEAK * power(max(t - first, 0), length, rate, staircase)
        return found if end is None else max(found, end) if rate < 1 else min(found, end)

    said = in_either(unit, "transition", length, per_epoch) | ({} if begin is None else {"transition_begin": begin})
    said |= {"name": "exponential_decay", "decay_rate": rate, "staircase": staircase, "end_value": end}
    check(training, value, start=value(0), **said)


boundaries = st.dictionaries(st.integers(0, 50), factors, max_size=4)


@given(training=trainings(), at=boundaries)
def test_piecewise_constant(training: Any, at: dict[int, float]) -> None:
    """Boundaries count from the start of training, warm-up or not, and may lie beyond its end."""
    start = PEAK * scaled(0, at)
    name = "piecewise_constant_schedule"
    check(training, lambda t: PEAK * scaled(t, at), name=name, boundaries_and_scales=at, start=start)


@given(training=trainings(), at=boundaries, kind=st.sampled_from(["linear", "cosine"]))
def test_piecewise_interpolation(training: Any, at: dict[int, float], kind: str) -> None:
    """The first stretch begins where the warm-up ends, unless a boundary lies within the warm-up."""
    steps, (_, _, warmup, _) = sorted(at), training
    values = [PEAK * math.prod(at[step] for step in steps[:count]) for count in range(len(steps) + 1)]
    first = warmup if not steps or steps[0] > warmup else 0
    knots = list(zip([first, *steps], values, strict=True))
    curve = line if kind == "linear" else half_cosine
    check(
        training,
        lambda t: between_knots(t, knots, curve),
        name="piecewise_interpolate_schedule",
        interpolate_type=kind,
        boundaries_and_scales=at,
        start=between_knots(0, knots, curve),
    )


hundredths = st.integers(0, 100)


@given(training=trainings(), length=st.none() | lengths, parts=st.lists(hundredths, min_size=2, max_size=2))
def test_one_cycle(training: Any, length: int | None, parts: list[int]) -> None:
    """The cycle begins where the warm-up ends; its peak lies at the whole steps in its share."""
    total, _, warmup, _ = training
    steps, (up, down) = length or max(total - warmup, 1), sorted(parts)
    said: dict[str, Any] = {"transition_steps": length} if length else {}
    low, first, second = PEAK / 25, warmup + up * steps // 100, warmup + down * steps // 100
    end = low / 1e4
    cosine = [(warmup, low), (first, PEAK), (warmup + steps, end)]
    linear = [(warmup, low), (first, PEAK), (second, low), (warmup + steps, end)]
    for name, knots, curve, shares in (
        ("cosine_onecycle_schedule", cosine, half_cosine, {}),
        ("linear_onecycle_schedule", linear, line, {"pct_final": down / 100}),
    ):
        start = between_knots(warmup, knots, curve)
        check(
            training, lambda t, k=knots, c=curve: between_knots(t, k, c), name=name, pct_start=up / 100, start=start,
            **shares, **said,
        )  # fmt: skip


@given(training=trainings(), length=st.integers(1, 30), low=st.sampled_from([0.0, 0.2]), begin=st.integers(0, 9))
def test_schedules_of_optax_with_a_warm_up(training: Any, length: int, low: float, begin: int) -> None:
    """Optax counts the warm-up as a part of the cosine, and an exponential decay from its end."""
    total, per_epoch, warmup, warming = training

    def expected(after: Callable[[int], float]) -> list[float]:
        return [line(Fraction(t), warmup, low, PEAK) if t < warmup else after(t) for t in range(total)]

    cases: dict[str, tuple[dict[str, Any], Callable[[int], float]]] = {
        "warmup_constant_schedule": ({}, lambda t: PEAK),
        "warmup_cosine_decay_schedule": (
            {"decay_steps": warmup + length, "end_value": 0.1},
            lambda t: half_cosine(Fraction(t - warmup), length, PEAK, 0.1),
        ),
        "warmup_exponential_decay_schedule": (
            {"transition_steps": length, "transition_begin": begin, "decay_rate": 0.5, "staircase": True},
            lambda t: PEAK * power(max(t - warmup - begin, 0), length, 0.5, True),
        ),
    }
    for name, (said, after) in cases.items():
        found = rates(total, per_epoch, name=name, init_value=low, **said, **warming)
        np.testing.assert_allclose(found, expected(after), rtol=1e-6, atol=1e-12)


# What float32 got wrong, and published recipes -----------------------------------------------------------------------


def test_stairs_of_every_length_are_integer_division() -> None:
    """In float32, 41 / 41 and 50 others fall short of a whole number, and the rate drops one step late."""
    for length in range(1, 400):
        found = rates(4 * length + 1, name="exponential_decay", transition_steps=length, decay_rate=0.5, staircase=True)
        np.testing.assert_array_equal(found, np.float32(PEAK * 0.5 ** (np.arange(4 * length + 1) // length)))


@given(tenths=st.integers(1, 400), per_epoch=steps_per_epochs)
def test_stairs_in_epochs_do_not_drift(tenths: int, per_epoch: int) -> None:
    """Each is at the nearest step to a multiple of the length, as a boundary there would be."""
    length = max(Fraction(tenths, 10) * per_epoch, Fraction(1))
    drops = [round(stair * length) for stair in range(1, int(300 / length) + 2)]
    expected = [PEAK * 0.9 ** sum(drop <= t for drop in drops) for t in range(300)]
    said: dict[str, Any] = {"name": "exponential_decay", "decay_rate": 0.9, "staircase": True}
    found = rates(300, per_epoch, transition_epochs=tenths / 10, **said)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    boundaries = {stair * tenths / 10: 0.9 for stair in range(1, len(drops) + 1)}
    if length > 1:
        stepped = rates(
            300,
            per_epoch,
            name="piecewise_constant_schedule",
            boundaries_in="epochs",
            boundaries_and_scales=boundaries,
        )
        np.testing.assert_allclose(stepped, expected, rtol=1e-6)


def test_fractions_of_epochs_are_exact_decimals() -> None:
    """0.7 epochs of 15 steps are 10.5, which a product of float64 takes for less, and 2.5 of 40 are 100."""
    stepped = {"name": "piecewise_constant_schedule", "boundaries_in": "epochs"}
    for boundary, per_epoch, drop in ((2.5, 40, 100), (2.5, 39, 98), (1.1, 10, 11), (0.29, 100, 29)):
        found = rates(120, per_epoch, boundaries_and_scales={boundary: 0.1}, **stepped)
        assert int(np.argmax(found < 0.5 * PEAK)) == drop


def test_the_recipe_of_goyal_et_al() -> None:
    """A warm-up of 5 epochs, then a tenth at epochs 30, 60 and 80 of training. Source: arXiv:1706.02677, §5.1."""
    found = rates(
        90 * 4,
        4,
        name="piecewise_constant_schedule",
        boundaries_in="epochs",
        boundaries_and_scales={30: 0.1, 60: 0.1, 80: 0.1},
        warmup_epochs=5,
    )
    epochs = np.arange(90 * 4) / 4
    expected = np.where(epochs < 5, epochs / 5, 0.1 ** np.digitize(epochs, [30, 60, 80]))
    np.testing.assert_allclose(found, PEAK * expected, rtol=1e-6)


def test_the_recipe_of_efficientnet() -> None:
    """97 % every 2.4 epochs from the start of training, whose first 5 epochs a warm-up replaces.

    Source: build_learning_rate in github.com/tensorflow/tpu, models/official/efficientnet/utils.py.
    """
    found = rates(
        60 * 10,
        10,
        name="exponential_decay",
        transition_epochs=2.4,
        transition_begin=0,
        decay_rate=0.97,
        staircase=True,
        warmup_epochs=5,
    )
    steps = np.arange(60 * 10)
    np.testing.assert_allclose(found, PEAK * np.where(steps < 50, steps / 50, 0.97 ** (steps // 24)), rtol=1e-6)


def test_optax_schedules_with_a_warm_up_of_0_start_at_the_peak() -> None:
    """Optax itself would stay at 0."""
    np.testing.assert_array_equal(rates(5, name="warmup_constant_schedule", warmup_steps=0), np.full(5, PEAK))


def test_the_last_rates_of_a_long_cosine_keep_their_digits() -> None:
    """Near its end 1 + cos loses half of the digits in float64, and all of them in float32."""
    total = 100_000
    found = rates(total, name="cosine_decay_schedule")[-3:]
    expected = [PEAK * math.sin(0.5 * math.pi * left / total) ** 2 for left in (3, 2, 1)]
    np.testing.assert_allclose(found, expected, rtol=1e-7)


def test_very_long_times_do_not_overflow() -> None:
    assert rates(5, warmup_epochs=1e300).max() < 1e-9
    assert rates(5, name="cosine_decay_schedule", decay_steps=10**40).min() == np.float32(PEAK)
    stairs = {"name": "exponential_decay", "decay_rate": 0.5, "staircase": True}
    assert rates(5, 3, transition_epochs=1e200, **stairs).min() == np.float32(PEAK)
    far = {1e300: 0.1, 2: 0.5}
    np.testing.assert_allclose(
        rates(4, name="piecewise_constant_schedule", boundaries_and_scales=far), np.array([1, 1, 0.5, 0.5]) * PEAK
    )


# Optax itself --------------------------------------------------------------------------------------------------------

ARGUMENTS: dict[str, dict[str, Any]] = {
    "constant_schedule": {"value": PEAK},
    "cosine_decay_schedule": {"init_value": PEAK, "decay_steps": 37, "alpha": 0.1, "exponent": 1.5},
    "cosine_onecycle_schedule": {"transition_steps": 50, "peak_value": PEAK, "pct_start": 0.4},
    "exponential_decay": {
        "init_value": PEAK, "transition_steps": 7, "decay_rate": 0.8, "transition_begin": 5, "end_value": 0.1
    },
    "linear_onecycle_schedule": {"transition_steps": 50, "peak_value": PEAK, "div_factor": 10.0},
    "linear_schedule": {"init_value": PEAK, "end_value": 0.05, "transition_steps": 30, "transition_begin": 4},
    "piecewise_constant_schedule": {"init_value": PEAK, "boundaries_and_scales": {9: 0.5, 30: 0.1, 99: 0.1}},
    "piecewise_interpolate_schedule": {
        "interpolate_type": "cosine", "init_value": PEAK, "boundaries_and_scales": {9: 0.5, 30: 0.1}
    },
    "polynomial_schedule": {"init_value": PEAK, "end_value": 0.05, "transition_steps": 30, "power": 2.5},
    "warmup_constant_schedule": {"init_value": 0.1, "peak_value": PEAK, "warmup_steps": 8},
    "warmup_cosine_decay_schedule": {
        "init_value": 0.1, "peak_value": PEAK, "warmup_steps": 8, "decay_steps": 40, "end_value": 0.05
    },
    "warmup_exponential_decay_schedule": {
        "init_value": 0.1, "peak_value": PEAK, "warmup_steps": 8, "transition_steps": 7, "decay_rate": 0.8,
        "transition_begin": 3, "staircase": True,
    },
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_optax_agrees_within_float32(name: str) -> None:
    said = ARGUMENTS[name]
    with jax.numpy_dtype_promotion("standard"):
        schedule = getattr(optax, name)(**said)
        expected = np.asarray(jax.vmap(lambda step: jnp.asarray(schedule(step), jnp.float32))(jnp.arange(64)))
    np.testing.assert_allclose(rates(64, name=name, **said), expected, rtol=1e-6, atol=1e-7 * PEAK)
