"""Learning rates against numbers worked out by hand, and every text that a user can meet."""

import json
import math
from pathlib import Path
from typing import Any

import jax
import jsonschema
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import ValidationError

from runner.errors import ConfigError
from runner.schedule import SCHEDULES, Schedule


def rates(peak: float = 1.0, total_steps: int = 8, steps_per_epoch: int = 4, **fields: Any) -> np.ndarray:
    return Schedule(**fields).learning_rates(peak, total_steps=total_steps, steps_per_epoch=steps_per_epoch)


def faults(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Schedule(**fields)
    return [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in caught.value.errors()]


def half_cosine(steps: int, length: int) -> np.ndarray:
    return np.array([0.5 * (1 + math.cos(math.pi * min(step, length) / length)) for step in range(steps)])


def test_constant_is_the_optimizers_learning_rate() -> None:
    actual = rates(0.3)
    assert actual.dtype == np.float32
    np.testing.assert_array_equal(actual, np.full(8, 0.3, np.float32))


def test_cosine_ends_with_training() -> None:
    np.testing.assert_allclose(rates(name="cosine_decay_schedule"), half_cosine(8, 8), atol=1e-6)


def test_cosine_takes_epochs_or_steps() -> None:
    expected = half_cosine(8, 4)
    np.testing.assert_allclose(rates(name="cosine_decay_schedule", decay_epochs=1), expected, atol=1e-6)
    np.testing.assert_allclose(rates(name="cosine_decay_schedule", decay_steps=4), expected, atol=1e-6)
    np.testing.assert_allclose(
        rates(name="cosine_decay_schedule", decay_epochs=0.5), half_cosine(8, 2), atol=1e-6, err_msg="half an epoch"
    )


def test_warm_up_comes_before_any_schedule() -> None:
    rise = [0.0, 0.25, 0.5, 0.75]
    np.testing.assert_allclose(rates(warmup_epochs=1), [*rise, 1, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(rates(warmup_steps=2), [0, 0.5, 1, 1, 1, 1, 1, 1], atol=1e-6)
    np.testing.assert_allclose(rates(warmup_steps=0), np.ones(8))
    # The cosine takes what the warm-up leaves.
    expected = [*rise, *half_cosine(4, 4)]
    np.testing.assert_allclose(rates(name="cosine_decay_schedule", warmup_epochs=1), expected, atol=1e-6)
    # Optax's own schedule with warm-up is the same curve.
    np.testing.assert_allclose(rates(name="warmup_cosine_decay_schedule", warmup_epochs=1), expected, atol=1e-6)


def test_training_can_end_during_the_warm_up() -> None:
    """A few steps of a long experiment (`debug=fast`) are no mistake."""
    for name in ("constant_schedule", "cosine_decay_schedule", "warmup_cosine_decay_schedule"):
        np.testing.assert_allclose(rates(name=name, warmup_epochs=4, total_steps=4), np.arange(4) / 16, atol=1e-6)


def test_steps_down_at_boundaries() -> None:
    expected = [1, 1, 1, 1, 0.1, 0.1, 0.05, 0.05]
    stepped = {"name": "piecewise_constant_schedule"}
    # Optax scales from the step after the boundary on.
    in_steps = rates(**stepped, boundaries_and_scales={6: 0.5, 4: 0.1})
    in_epochs = rates(**stepped, boundaries_and_scales={1: 0.1, 1.5: 0.5}, boundaries_in="epochs")
    plain = optax.piecewise_constant_schedule(1.0, {4: 0.1, 6: 0.5})
    np.testing.assert_allclose(in_steps, [plain(step) for step in range(8)], rtol=1e-6)
    np.testing.assert_allclose(in_epochs, in_steps)
    np.testing.assert_allclose(sorted(set(np.round(in_steps, 6).tolist())), sorted(set(expected)))


def test_boundaries_on_one_step_scale_together() -> None:
    """Epochs so short that two boundaries fall on one step."""
    halves = {1: 0.5, 1.1: 0.5}
    actual = rates(name="piecewise_constant_schedule", boundaries_in="epochs", boundaries_and_scales=halves)
    np.testing.assert_allclose(actual, [1, 1, 1, 1, 0.25, 0.25, 0.25, 0.25], rtol=1e-6)


def test_boundaries_are_hashable_and_in_order() -> None:
    one = Schedule(name="piecewise_constant_schedule", boundaries_and_scales={6: 0.5, 4: 0.1})
    assert one.model_extra == {"boundaries_and_scales": ((4.0, 0.1), (6.0, 0.5))}
    assert hash(one) == hash(Schedule(name="piecewise_constant_schedule", boundaries_and_scales={4: 0.1, 6: 0.5}))
    assert Schedule(**one.model_dump()) == one


def test_exponential_and_linear() -> None:
    decay = rates(name="exponential_decay", decay_rate=0.5, transition_epochs=1)
    np.testing.assert_allclose(decay, 0.5 ** (np.arange(8) / 4), rtol=1e-6)
    staircase = rates(name="exponential_decay", decay_rate=0.5, transition_epochs=1, staircase=True)
    np.testing.assert_allclose(staircase, [1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5], rtol=1e-6)
    np.testing.assert_allclose(rates(name="linear_schedule", end_value=0), 1 - np.arange(8) / 8, atol=1e-6)


def test_one_cycle_peaks_at_the_learning_rate() -> None:
    actual = rates(0.4, name="cosine_onecycle_schedule", total_steps=100)
    assert actual.argmax() == 30  # pct_start
    np.testing.assert_allclose([actual[0], actual.max()], [0.4 / 25, 0.4], rtol=1e-5)


def test_given_values_take_precedence_over_the_learning_rate() -> None:
    np.testing.assert_allclose(rates(0.3, value=2), np.full(8, 2.0))
    actual = rates(0.3, name="cosine_decay_schedule", init_value=2, alpha=0.5)
    np.testing.assert_allclose(actual, 2 * (0.5 + 0.5 * half_cosine(8, 8)), rtol=1e-6)


def test_a_schedule_does_not_compile(caplog: pytest.LogCaptureFixture) -> None:
    with jax.log_compiles(), caplog.at_level("WARNING"):
        rates(0.3, name="cosine_decay_schedule", warmup_steps=2, total_steps=37)
        assert "ompiling" not in caplog.text
        jax.jit(lambda x: x + 1)(0)
    assert "ompiling" in caplog.text  # compiling is heard


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "cosine_decay"}, [
            'name: unknown schedule "cosine_decay"; did you mean "cosine_decay_schedule"?'
        ]),
        ({"name": "cosine_decay_schedule", "decay_step": 5}, [
            'decay_step: unknown cosine_decay_schedule argument "decay_step"; did you mean "decay_steps"?'
        ]),
        ({"name": "cosine_decay_schedule", "decay_steps": 0}, ["decay_steps: must be ≥ 1, got 0"]),
        ({"name": "cosine_decay_schedule", "decay_steps": 1.5}, ["decay_steps: must be a whole number, got 1.5"]),
        ({"name": "cosine_decay_schedule", "decay_epochs": 0}, ["decay_epochs: must be a number of epochs > 0, got 0"]),
        ({"name": "cosine_decay_schedule", "decay_epochs": 1, "decay_steps": 5}, [
            "decay_epochs: must be left out if decay_steps is given, got 1"
        ]),
        ({"warmup_steps": 3, "warmup_epochs": 1}, [
            "warmup_epochs: must be left out if warmup_steps is given, got 1"
        ]),
        ({"name": "warmup_cosine_decay_schedule"}, [
            "warmup_epochs: must be given for warmup_cosine_decay_schedule (or warmup_steps), got null"
        ]),
        ({"name": "linear_schedule"}, ["end_value: must be given for linear_schedule, got null"]),
        ({"name": "piecewise_constant_schedule", "boundaries_and_scales": {"a": 0.1}}, [
            "boundaries_and_scales: must map steps or epochs to scales, all ≥ 0, got {a: 0.1}"
        ]),
        ({"name": "piecewise_constant_schedule", "boundaries_and_scales": 3}, [
            "boundaries_and_scales: must map steps or epochs to scales, all ≥ 0, got 3"
        ]),
        ({"name": "piecewise_interpolate_schedule", "interpolate_type": "cubic"}, [
            "interpolate_type: must be one of linear, cosine, got cubic"
        ]),
        ({"name": "cosine_onecycle_schedule", "pct_start": 1.5}, ["pct_start: must be ≥ 0 and ≤ 1, got 1.5"]),
        ({"name": "cosine_onecycle_schedule", "div_factor": 0}, ["div_factor: must be > 0, got 0.0"]),
        ({"name": "linear_onecycle_schedule", "pct_start": 0.9}, [
            "pct_final: must be ≥ pct_start (0.9), got 0.85"
        ]),
        ({"name": "sgdr_schedule"}, None),
        ({"name": "join_schedules"}, None),
    ],
)  # fmt: skip
def test_a_fault_is_reported_at_its_path(fields: dict[str, Any], expected: list[str] | None) -> None:
    found = faults(**fields)
    assert found == expected if expected else found[0].startswith("name: unknown schedule")


def test_every_fault_is_reported_at_once() -> None:
    found = faults(name="exponential_decay", warmup_steps=-1, transition_epochs="a", staircase=1, foo=2)
    where = sorted(line.split(":")[0] for line in found)
    assert where == ["decay_rate", "foo", "staircase", "transition_epochs", "warmup_steps"]


def test_faults_that_depend_on_the_number_of_steps() -> None:
    with pytest.raises(ConfigError) as caught:
        rates(name="warmup_cosine_decay_schedule", warmup_steps=5, decay_steps=3)
    rule = "be more than the 5 steps of the warm-up, which it includes"
    assert str(caught.value) == f"schedule.decay_steps: must {rule}, got 3"
    with pytest.raises(
        ConfigError, match=r"schedule: must give a finite learning rate ≥ 0 at every step \(step 5\), got"
    ):
        rates(name="linear_schedule", end_value=-1.0)


@settings(max_examples=30)
@given(
    name=st.sampled_from(sorted(SCHEDULES)),
    said=st.dictionaries(
        st.sampled_from(["decay_steps", "decay_epochs", "alpha", "end_value", "power", "decay_rate", "warmup_epochs"]),
        st.booleans() | st.integers(-1, 3) | st.floats(-1, 2) | st.text(max_size=1),
        max_size=3,
    ),
)
def test_any_schedule_is_reported_or_gives_finite_rates(name: str, said: dict[str, Any]) -> None:
    try:
        actual = rates(name=name, **said)
    except (ValidationError, ConfigError):
        return
    assert actual.shape == (8,)
    assert np.isfinite(actual).all()
    assert (actual >= 0).all()


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "conf" / "schedule").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_schedule_of_conf_is_valid(path: Path) -> None:
    said = OmegaConf.to_container(OmegaConf.load(path))
    jsonschema.validate(json.loads(json.dumps(said)), Schedule.model_json_schema())
    actual = rates(0.1, total_steps=400, steps_per_epoch=4, **said)
    assert actual.max() <= np.float32(0.1)
    assert actual.max() > 0.05
