"""Normalisation against NumPy, PyTorch, the papers' formulas and finite differences."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, check_gradients, drawn, evaluated_shape, images, normal, output, told

from runner.layers.base import Layer
from runner.layers.norm import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm
from runner.layers.passes import Pass

EVERY: list[Layer] = [BatchNorm(), LayerNorm(), GroupNorm(groups=1), InstanceNorm(), LocalResponseNorm()]
LEARNT = {"scale": jnp.array([2.0, 0.5, -1.0]), "bias": jnp.array([0.0, 1.0, -3.0])}
SEEN = {"mean": jnp.array([0.5, -1.0, 2.0]), "variance": jnp.array([4.0, 1.0, 0.25])}


# Batch normalisation


def test_batch_norm_in_training_by_numpy() -> None:
    x = images(4, 3, 2, 3)
    mean, variance = x.mean(axis=(0, 1, 2)), x.var(axis=(0, 1, 2))
    expected = (x - mean) / np.sqrt(variance + 1e-5) * np.asarray(LEARNT["scale"]) + np.asarray(LEARNT["bias"])
    layer = BatchNorm(momentum=0.8)
    y, statistics = layer.apply(LEARNT, SEEN, jnp.asarray(x), Pass(training=True, key=KEY))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    unbiased = x.var(axis=(0, 1, 2), ddof=1)
    np.testing.assert_allclose(statistics["mean"], 0.8 * np.asarray(SEEN["mean"]) + 0.2 * mean, rtol=1e-5)
    np.testing.assert_allclose(statistics["variance"], 0.8 * np.asarray(SEEN["variance"]) + 0.2 * unbiased, rtol=1e-5)


def test_batch_norm_in_evaluation_by_numpy() -> None:
    x = images(4, 3, 2, 3)
    expected = (x - np.asarray(SEEN["mean"])) / np.sqrt(np.asarray(SEEN["variance"]) + 1e-3)
    expected = expected * np.asarray(LEARNT["scale"]) + np.asarray(LEARNT["bias"])
    y, statistics = BatchNorm(epsilon=1e-3).apply(LEARNT, SEEN, jnp.asarray(x), Pass(training=False, key=KEY))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    assert statistics is SEEN


def test_batch_norm_leaves_channels_with_mean_0_and_variance_1() -> None:
    y = np.asarray(output(BatchNorm(), images(8, 5, 5, 3), training=True))
    np.testing.assert_allclose(y.mean(axis=(0, 1, 2)), np.zeros(3), atol=1e-5)
    np.testing.assert_allclose(y.var(axis=(0, 1, 2)), np.ones(3), rtol=1e-3)


def test_running_statistics_tend_to_those_of_the_data() -> None:
    layer, statistics = BatchNorm(momentum=0.5), drawn(BatchNorm(), (3,))[1]
    x = jnp.asarray(images(64, 3))
    for _ in range(20):
        _, statistics = layer.apply(LEARNT, statistics, x, Pass(training=True, key=KEY))
    np.testing.assert_allclose(statistics["mean"], x.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(statistics["variance"], np.asarray(x).var(axis=0, ddof=1), rtol=1e-4)


def test_a_batch_of_one_value_keeps_the_statistics_finite() -> None:
    y, statistics = BatchNorm().apply(LEARNT, SEEN, jnp.ones((1, 3)), Pass(training=True, key=KEY))
    assert np.isfinite(y).all()
    assert np.isfinite(statistics["variance"]).all()


def test_batch_norm_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    x, statistics = images(4, 5, 6, 3), drawn(BatchNorm(), (5, 6, 3))[1]
    theirs = torch.nn.BatchNorm2d(3)
    theirs.weight.data, theirs.bias.data = (torch.tensor(np.asarray(LEARNT[name])) for name in ("scale", "bias"))
    first = torch.tensor(x.transpose(0, 3, 1, 2))
    for batch in (first, 2 * first + 1):
        expected = theirs(batch).detach().numpy().transpose(0, 2, 3, 1)
        ours = jnp.asarray(batch.numpy().transpose(0, 2, 3, 1))
        y, statistics = BatchNorm().apply(LEARNT, statistics, ours, Pass(training=True, key=KEY))
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(statistics["mean"], theirs.running_mean.numpy(), rtol=1e-5)
    np.testing.assert_allclose(statistics["variance"], theirs.running_var.numpy(), rtol=1e-5)
    expected = theirs.eval()(first).detach().numpy().transpose(0, 2, 3, 1)
    y, _ = BatchNorm().apply(LEARNT, statistics, jnp.asarray(x), Pass(training=False, key=KEY))
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_no_gradient_goes_through_running_statistics() -> None:
    def run(x: jax.Array) -> jax.Array:
        _, statistics = BatchNorm().apply(LEARNT, SEEN, x, Pass(training=True, key=KEY))
        return jnp.sum(statistics["mean"]) + jnp.sum(statistics["variance"])

    assert not jax.grad(run)(jnp.asarray(images(4, 3))).any()


# Layer normalisation


def test_layer_norm_by_numpy() -> None:
    x = images(4, 3, 2, 3)
    centred = x - x.mean(axis=-1, keepdims=True)
    expected = centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-3)
    expected = expected * np.asarray(LEARNT["scale"]) + np.asarray(LEARNT["bias"])
    for training in (False, True):
        y = output(LayerNorm(epsilon=1e-3), x, LEARNT, {}, training=training)
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-5)


def test_layer_norm_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    x, (scale, bias) = images(4, 5, 3), (torch.tensor(np.asarray(LEARNT[name])) for name in ("scale", "bias"))
    expected = torch.nn.functional.layer_norm(torch.tensor(x), (3,), scale, bias).numpy()
    np.testing.assert_allclose(output(LayerNorm(), x, LEARNT, {}), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [BatchNorm, LayerNorm, InstanceNorm], ids=lambda kind: kind.kind)
def test_what_is_learnt_can_be_left_out(kind: Any) -> None:
    assert set(kind().parameters((4, 4, 3))) == {"scale", "bias"}
    assert kind().parameter_count((4, 4, 3)) == 6
    assert set(kind(use_scale=False).parameters((4, 4, 3))) == {"bias"}
    assert kind(use_scale=False, use_bias=False).parameters((4, 4, 3)) == {}
    assert not any(parameter.decays for parameter in kind().parameters((4, 4, 3)).values())
    params, _ = drawn(kind(), (4, 4, 3))
    x = images(2, 4, 4, 3)
    bare = output(kind(use_scale=False, use_bias=False), x, {}, SEEN)
    np.testing.assert_array_equal(output(kind(), x, params, SEEN), bare)  # scale begins at 1, bias at 0


# Local response normalisation


@pytest.mark.parametrize("size", [1, 2, 4, 5, 9])
def test_local_response_norm_by_the_papers_formula(size: int) -> None:
    # Krizhevsky et al. 2012, §3.3, with sums from i − n/2 to i + n/2; an even n looks one further down than up.
    x = images(2, 3, 7)
    layer = LocalResponseNorm(size=size, alpha=0.1, beta=0.6, k=1.5)
    expected = np.zeros_like(x)
    for i in range(7):
        low, high = max(0, i - size // 2), min(7, i + (size - 1) // 2 + 1)
        expected[..., i] = x[..., i] / (1.5 + 0.1 * (x[..., low:high] ** 2).sum(axis=-1)) ** 0.6
    np.testing.assert_allclose(output(layer, x), expected, rtol=1e-5)


@pytest.mark.parametrize("size", [3, 4, 5])
def test_local_response_norm_is_that_of_pytorch_with_alpha_times_size(size: int) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    x = images(2, 4, 4, 6)
    theirs = torch.nn.LocalResponseNorm(size, alpha=0.1 * size, beta=0.75, k=2.0)
    expected = theirs(torch.tensor(x.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(output(LocalResponseNorm(size=size, alpha=0.1), x), expected, rtol=1e-5)


def test_the_defaults_are_the_papers() -> None:
    layer = LocalResponseNorm()
    assert (layer.size, layer.alpha, layer.beta, layer.k) == (5, 1e-4, 0.75, 2.0)


# All of them


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize("layer", EVERY, ids=lambda layer: layer.kind)
def test_gradients(layer: Layer, training: bool) -> None:
    params = LEARNT if layer.parameters((3,)) else {}
    weights = normal(4, 5, 3, seed=1)  # the plain sum of normalised values does not depend on them

    def run(params: Any, x: jax.Array) -> jax.Array:
        return jnp.sum(weights * output(layer, x, params, SEEN, training=training))

    check_gradients(jax.jit(run), params, normal(4, 5, 3))


@pytest.mark.parametrize("layer", EVERY, ids=lambda layer: layer.kind)
def test_shape_and_precision_stay(layer: Layer) -> None:
    for dtype in (jnp.float32, jnp.bfloat16):
        assert evaluated_shape(layer, (3, 4, 5), dtype) == (3, 4, 5) == layer.output_shape((3, 4, 5))
    x = jnp.asarray(images(4, 2, 3), jnp.bfloat16)
    _, statistics = layer.apply(LEARNT, SEEN, x, Pass(training=True, key=KEY))
    assert all(value.dtype == jnp.float32 for value in statistics.values())


@pytest.mark.parametrize("layer", EVERY, ids=lambda layer: layer.kind)
def test_its_numbers_are_arguments_of_the_program(layer: Layer) -> None:
    traces = []

    @jax.jit
    def run(layer: Layer, x: jax.Array) -> Any:
        traces.append(layer.kind)
        return layer.apply(LEARNT, SEEN, x, Pass(training=True, key=KEY))

    x = jnp.asarray(images(4, 2, 3))
    found = [run(jax.tree.map(lambda leaf, by=factor: leaf * by, layer), x) for factor in (1.0, 0.5)]
    assert len(traces) == 1
    assert any(not np.array_equal(a, b) for a, b in zip(*map(jax.tree.leaves, found), strict=True))


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"batch_norm": {"momentum": 1.5}}, "batch_norm.momentum: must be ≤ 1, got 1.5"),
        ({"batch_norm": {"momentum": -0.1}}, "batch_norm.momentum: must be ≥ 0, got -0.1"),
        ({"batch_norm": {"epsilon": 0}}, "batch_norm.epsilon: must be > 0, got 0"),
        ({"batch_norm": {"eps": 1e-3}}, 'batch_norm.eps: unknown key "eps"; did you mean "epsilon"?'),
        ({"layer_norm": {"epsilon": "small"}}, "layer_norm.epsilon: must be a number, got small"),
        ({"group_norm": {"groups": 0}}, "group_norm.groups: must be ≥ 1, got 0"),
        ({"group_norm": None}, "group_norm.groups: must divide the input's channels, 3, got 32"),
        ({"instance_norm": {"epsilon": 0}}, "instance_norm.epsilon: must be > 0, got 0"),
        ({"local_response_norm": {"size": 0}}, "local_response_norm.size: must be ≥ 1, got 0"),
        ({"local_response_norm": {"alpha": -1}}, "local_response_norm.alpha: must be ≥ 0, got -1"),
        ({"local_response_norm": {"k": 0}}, "local_response_norm.k: must be > 0, got 0"),
    ],
)
def test_faults(entry: Any, expected: str) -> None:
    assert told(entry, "flatten", "classifier") == [f"model.layers[0].{expected}"]
