"""Activations against their formulas, PyTorch and finite differences."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from alone import KEY, check_gradients, distinct, drawn, evaluated_shape, normal, output, told

from runner.layers import KINDS
from runner.layers.activation import (
    Elu,
    Gelu,
    HardSwish,
    LeakyRelu,
    Mish,
    Prelu,
    Relu,
    Relu6,
    Scale,
    ScaledTanh,
    Sigmoid,
    Silu,
    Softmax,
    Tanh,
)
from runner.layers.base import Layer
from runner.layers.passes import Pass

X = np.linspace(-4, 4, 24).reshape(2, 3, 4)


def normal_distribution(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


FORMULAS: list[tuple[Layer, Any]] = [
    (Relu(), lambda x: np.maximum(x, 0)),
    (Relu6(), lambda x: np.clip(x, 0, 6)),
    (Tanh(), np.tanh),
    (ScaledTanh(), lambda x: 1.7159 * np.tanh(2 / 3 * x)),
    (Sigmoid(), lambda x: 1 / (1 + np.exp(-x))),
    (LeakyRelu(), lambda x: np.where(x > 0, x, 0.01 * x)),
    (LeakyRelu(negative_slope=0.2), lambda x: np.where(x > 0, x, 0.2 * x)),
    (Elu(), lambda x: np.where(x > 0, x, np.expm1(x))),
    (Elu(alpha=0.5), lambda x: np.where(x > 0, x, 0.5 * np.expm1(x))),
    (Gelu(), lambda x: x * normal_distribution(x)),
    (Gelu(approximate=True), lambda x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))),
    (Silu(), lambda x: x / (1 + np.exp(-x))),
    (HardSwish(), lambda x: x * np.clip(x + 3, 0, 6) / 6),
    (Mish(), lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    (Scale(factor=0.25), lambda x: 0.25 * x),
    (Softmax(), lambda x: scipy.special.softmax(x, axis=-1)),
]
EVERY = [layer for layer, _ in FORMULAS]


def label(value: Any) -> str:
    return f"{value.kind} {value}".strip() if isinstance(value, Layer) else ""


@pytest.mark.parametrize(("layer", "formula"), FORMULAS, ids=label)
def test_values_are_those_of_the_formula(layer: Layer, formula: Any) -> None:
    np.testing.assert_allclose(output(layer, jnp.asarray(X, jnp.float32)), formula(X), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("layer", EVERY, ids=label)
def test_values_are_those_of_pytorch(layer: Layer) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    functional, x = torch.nn.functional, torch.tensor(X)
    theirs = {
        "leaky_relu": lambda: functional.leaky_relu(x, getattr(layer, "negative_slope", 0)),
        "elu": lambda: functional.elu(x, getattr(layer, "alpha", 0)),
        "gelu": lambda: functional.gelu(x, approximate="tanh" if getattr(layer, "approximate", False) else "none"),
        "softmax": lambda: functional.softmax(x, dim=-1),
        "hard_swish": lambda: functional.hardswish(x),
        "scale": lambda: 0.25 * x,
        "scaled_tanh": lambda: 1.7159 * functional.tanh(2 / 3 * x),
    }
    expected = theirs.get(layer.kind, lambda: getattr(functional, layer.kind)(x))()
    np.testing.assert_allclose(output(layer, jnp.asarray(X, jnp.float32)), expected.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("shape", [(4,), (5, 4), (3, 5, 4)], ids=str)
def test_prelu_and_its_gradients_are_those_of_pytorch(per_channel: bool, shape: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    layer, x, g = Prelu(per_channel=per_channel), normal(2, *shape), normal(2, *shape, seed=1)
    theirs = torch.nn.PReLU(4 if per_channel else 1)  # which begins at 0.25 as well
    params, _ = drawn(layer, shape)
    np.testing.assert_array_equal(params["slope"], theirs.weight.detach().numpy())
    first = torch.tensor(np.moveaxis(np.asarray(x), -1, 1), requires_grad=True)
    y = theirs(first)
    y.backward(torch.tensor(np.moveaxis(np.asarray(g), -1, 1)))
    ours, pull = jax.vjp(lambda params, x: output(layer, x, params, {}), params, x)
    by_params, by_x = pull(g)
    np.testing.assert_allclose(ours, np.moveaxis(y.detach().numpy(), 1, -1), rtol=1e-6)
    np.testing.assert_allclose(by_x, np.moveaxis(first.grad.numpy(), 1, -1), rtol=1e-6)
    np.testing.assert_allclose(by_params["slope"], theirs.weight.grad.numpy(), rtol=1e-5, atol=1e-6)


def test_a_prelu_counts_its_slopes_which_do_not_decay() -> None:
    assert [Prelu(per_channel=own).parameter_count((3, 5, 4)) for own in (False, True)] == [1, 4]
    assert not any(parameter.decays for parameter in Prelu().parameters((3, 5, 4)).values())


@pytest.mark.parametrize("layer", EVERY, ids=label)
def test_gradients(layer: Layer) -> None:
    check_gradients(jax.jit(lambda x: output(layer, x, {}, {})), distinct(2, 3, 4, step=0.25))


@pytest.mark.parametrize("layer", [LeakyRelu(negative_slope=0.2), Elu(alpha=0.7)], ids=label)
def test_gradients_of_what_is_traced(layer: Layer) -> None:
    x = distinct(2, 3, 4)
    check_gradients(lambda layer: output(layer, x, {}, {}), jax.tree.map(jnp.float32, layer))


@pytest.mark.parametrize("layer", EVERY, ids=label)
def test_far_values_and_their_gradients_stay_finite(layer: Layer) -> None:
    x = jnp.array([[-1e4, -100.0, 0.0, 100.0, 1e4]])
    y, backward = jax.vjp(lambda x: output(layer, x, {}, {}), x)
    assert np.isfinite(y).all()
    assert np.isfinite(backward(jnp.ones_like(y))[0]).all()


@pytest.mark.parametrize("layer", EVERY, ids=label)
def test_shape_and_precision_stay(layer: Layer) -> None:
    assert layer.output_shape((3, 4, 5)) == (3, 4, 5)
    for dtype in (jnp.float32, jnp.bfloat16):
        assert evaluated_shape(layer, (3, 4, 5), dtype) == (3, 4, 5)
    assert layer.parameters((3, 4, 5)) == {} == layer.statistics((3, 4, 5))


def test_softmax_sums_to_one_over_channels() -> None:
    y = np.asarray(output(Softmax(), normal(2, 3, 4, 5)))
    np.testing.assert_allclose(y.sum(axis=-1), np.ones((2, 3, 4)), rtol=1e-6)
    assert (y > 0).all()


def test_a_slope_is_an_argument_of_the_program() -> None:
    traces = []

    @jax.jit
    def run(layer: Layer, x: jax.Array) -> jax.Array:
        traces.append(layer.kind)
        return layer.apply({}, {}, x, Pass(training=True, key=KEY))[0]

    x = jnp.array([[-1.0, 1.0]])
    slopes = [np.asarray(run(LeakyRelu(negative_slope=slope), x))[0, 0] for slope in (0.1, 0.2, 0.3)]
    np.testing.assert_allclose(slopes, [-0.1, -0.2, -0.3], rtol=1e-6)
    assert len(traces) == 1


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"leaky_relu": {"negative_slope": "steep"}}, "leaky_relu.negative_slope: must be a number, got steep"),
        ({"elu": {"alpha": True}}, "elu.alpha: must be a number, got true"),
        ({"gelu": {"approximate": "tanh"}}, "gelu.approximate: must be true or false, got tanh"),
        ({"relu": {"slope": 1}}, 'relu.slope: unknown key "slope"'),
        ({"relu": 3}, "relu: must have no arguments, got 3"),
        ({"prelu": {"per_channel": 3}}, "prelu.per_channel: must be true or false, got 3"),
        ({"prelu": {"slope_init": "orthogonal"}}, "prelu.slope_init: must not be orthogonal for a vector, got [1]"),
    ],
)
def test_faults(entry: Any, expected: str) -> None:
    assert told(entry, "flatten", "classifier") == [f"model.layers[0].{expected}"]


@pytest.mark.parametrize("kind", [layer.kind for layer in EVERY])
def test_a_bare_word_is_enough(kind: str) -> None:
    assert told(kind, {kind: None}, "flatten", "classifier") == []
    assert kind in KINDS
