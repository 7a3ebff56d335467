"""Dropout: its expectation, its key, and a rate that never recompiles."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, check_gradients, evaluated_shape, normal, output, told

from runner.layers.dropout import Dropout
from runner.layers.passes import Pass


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_expectation_stays(rate: float) -> None:
    y = np.asarray(output(Dropout(rate=rate), jnp.ones((100, 100)), training=True))
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)


def test_nothing_is_left_out_in_evaluation() -> None:
    x = normal(4, 5)
    assert output(Dropout(rate=0.9), x) is x


def test_a_rate_of_zero_changes_nothing() -> None:
    x = normal(4, 5)
    np.testing.assert_array_equal(output(Dropout(rate=0.0), x, training=True), x)


def test_one_key_leaves_out_the_same_values_and_another_others() -> None:
    def run(key: jax.Array) -> np.ndarray:
        return np.asarray(Dropout().apply({}, {}, jnp.ones((8, 8)), Pass(training=True, key=key))[0])

    np.testing.assert_array_equal(run(KEY), run(KEY))
    assert not np.array_equal(run(KEY), run(jax.random.key(1)))


def test_a_higher_rate_leaves_out_more_of_the_same_values() -> None:
    # Under one key, so that members of a sweep over rates differ by the rate alone.
    low, high = (np.asarray(output(Dropout(rate=rate), jnp.ones((50, 50)), training=True)) == 0 for rate in (0.2, 0.6))
    assert (low <= high).all()


def test_the_rate_is_an_argument_of_the_program() -> None:
    traces = []

    @jax.jit
    def run(layer: Dropout, x: jax.Array) -> jax.Array:
        traces.append(layer.kind)
        return layer.apply({}, {}, x, Pass(training=True, key=KEY))[0]

    shares = [float(jnp.mean(run(Dropout(rate=rate), jnp.ones((50, 50))) == 0)) for rate in (0.0, 0.3, 0.8)]
    np.testing.assert_allclose(shares, [0.0, 0.3, 0.8], atol=0.05)
    assert len(traces) == 1
    # And members of a fused sweep, mapped over their rates, get what they get alone.
    rates = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(Dropout(rate=jnp.float32(rate)) for rate in (0.3, 0.8)))
    mapped = jax.vmap(run, in_axes=(0, None))(rates, jnp.ones((8, 8)))
    for index, rate in enumerate((0.3, 0.8)):
        np.testing.assert_array_equal(mapped[index], run(Dropout(rate=rate), jnp.ones((8, 8))))


def test_gradients_go_to_what_was_kept() -> None:
    check_gradients(jax.jit(lambda x: output(Dropout(rate=0.4), x, {}, {}, training=True)), normal(4, 5))
    gradient = jax.grad(lambda x: jnp.sum(output(Dropout(rate=0.4), x, {}, {}, training=True)))(jnp.ones((4, 5)))
    np.testing.assert_array_equal(gradient, output(Dropout(rate=0.4), jnp.ones((4, 5)), training=True))


def test_shape_and_precision_stay() -> None:
    for dtype in (jnp.float32, jnp.bfloat16):
        assert evaluated_shape(Dropout(), (3, 4, 5), dtype) == (3, 4, 5)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"rate": 1}, "dropout.rate: must be < 1, got 1"),
        ({"rate": -0.1}, "dropout.rate: must be ≥ 0, got -0.1"),
        ({"rate": "half"}, "dropout.rate: must be a number, got half"),
        ({"p": 0.5}, 'dropout.p: unknown key "p"; must be one of rate'),
        (0.5, "dropout: must be a mapping such as {rate: 0.5}, got 0.5"),
    ],
)
def test_faults(arguments: Any, expected: str) -> None:
    assert told({"dropout": arguments}, "flatten", "classifier") == [f"model.layers[0].{expected}"]
