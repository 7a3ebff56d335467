"""Dropout of values, channels and images: its expectation, its key, and a rate that never recompiles."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, check_gradients, evaluated_shape, normal, output, told
from test_registry import entries

from runner.layers.base import Shape
from runner.layers.dropout import Dropout, SpatialDropout, StochasticDepth
from runner.layers.passes import Pass

KINDS = (Dropout, SpatialDropout, StochasticDepth)


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_expectation_stays(rate: float) -> None:
    y = np.asarray(output(Dropout(rate=rate), jnp.ones((100, 100)), training=True))
    deviation = np.sqrt(rate * (1 - rate) / y.size)
    assert abs((y == 0).mean() - rate) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - rate)
    np.testing.assert_allclose(np.unique(y), [0, 1 / (1 - rate)], rtol=1e-6)


@pytest.mark.parametrize("shape", [(400, 3, 100), (200, 2, 3, 200)], ids=str)
@pytest.mark.parametrize("rate", [0.2, 0.7])
def test_whole_channels_and_whole_images_are_left_out_as_pytorch_leaves_them_out(rate: float, shape: Shape) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    theirs = (torch.nn.Dropout1d if len(shape) == 3 else torch.nn.Dropout2d)(rate)
    torch.manual_seed(0)
    dropped = np.moveaxis(theirs(torch.ones(shape[0], shape[-1], *shape[1:-1])).numpy(), 1, -1)
    spatial = tuple(range(1, len(shape) - 1))
    for layer, units in ((SpatialDropout(rate=rate), spatial), (StochasticDepth(rate=rate), (*spatial, -1))):
        y = np.asarray(output(layer, jnp.ones(shape), {}, {}, training=True))
        np.testing.assert_allclose(np.unique(y), np.unique(dropped), rtol=1e-6)  # 0 and 1 / (1 − rate)
        np.testing.assert_array_equal(y.min(axis=units), y.max(axis=units))
        shares = (y.min(axis=units) == 0).ravel()
        assert abs(shares.mean() - rate) < 5 * np.sqrt(rate * (1 - rate) / shares.size)
    assert ((dropped == 0).mean(axis=spatial) % 1 == 0).all()  # a channel of PyTorch's is left out whole, too


def test_an_image_without_the_body_passes_by_the_shortcut() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    body: list[Any] = [{"scale": {"factor": 3.0}}, {"stochastic_depth": {"rate": 0.4}}]
    [residual] = entries({"residual": {"layers": body}})
    x = normal(64, 4, 4, 2)
    y = np.asarray(output(residual, x, training=True))
    by = (y - np.asarray(x)) / np.asarray(x)
    # torchvision's stochastic_depth(3 x, 0.4, mode="row"): bernoulli(0.6) / 0.6 for each image.
    noise = torch.empty(64, 1, 1, 1).bernoulli_(0.6).div_(0.6).numpy()
    np.testing.assert_allclose(np.unique(by.round(3)), np.unique((3 * noise).round(3)), rtol=1e-3)
    np.testing.assert_allclose(output(residual, x), 4 * np.asarray(x), rtol=1e-6)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_nothing_is_left_out_in_evaluation(kind: type[Dropout]) -> None:
    x = normal(4, 5)
    assert output(kind(rate=0.9), x, {}, {}) is x


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_a_rate_of_zero_changes_nothing(kind: type[Dropout]) -> None:
    x = normal(4, 5, 2)
    np.testing.assert_array_equal(output(kind(rate=0.0), x, training=True), x)


def test_one_key_leaves_out_the_same_values_and_another_others() -> None:
    def run(key: jax.Array) -> np.ndarray:
        return np.asarray(Dropout().apply({}, {}, jnp.ones((8, 8)), Pass(training=True, key=key))[0])

    np.testing.assert_array_equal(run(KEY), run(KEY))
    assert not np.array_equal(run(KEY), run(jax.random.key(1)))


def test_a_higher_rate_leaves_out_more_of_the_same_values() -> None:
    # Under one key, so that members of a sweep over rates differ by the rate alone.
    low, high = (np.asarray(output(Dropout(rate=rate), jnp.ones((50, 50)), training=True)) == 0 for rate in (0.2, 0.6))
    assert (low <= high).all()


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_the_rate_is_an_argument_of_the_program(kind: type[Dropout]) -> None:
    traces = []

    @jax.jit
    def run(layer: Dropout, x: jax.Array) -> jax.Array:
        traces.append(layer.kind)
        return layer.apply({}, {}, x, Pass(training=True, key=KEY))[0]

    ones = jnp.ones((2500, 1, 2))
    shares = [float(jnp.mean(run(kind(rate=rate), ones) == 0)) for rate in (0.0, 0.3, 0.8)]
    np.testing.assert_allclose(shares, [0.0, 0.3, 0.8], atol=0.05)
    assert len(traces) == 1
    # And members of a fused sweep, mapped over their rates, get what they get alone.
    rates = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(kind(rate=jnp.float32(rate)) for rate in (0.3, 0.8)))
    mapped = jax.vmap(run, in_axes=(0, None))(rates, jnp.ones((8, 3, 8)))
    for index, rate in enumerate((0.3, 0.8)):
        np.testing.assert_array_equal(mapped[index], run(kind(rate=rate), jnp.ones((8, 3, 8))))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_gradients_go_to_what_was_kept(kind: type[Dropout]) -> None:
    layer, ones = kind(rate=0.4), jnp.ones((4, 3, 5))
    check_gradients(jax.jit(lambda x: output(layer, x, {}, {}, training=True)), normal(4, 3, 5))
    gradient = jax.grad(lambda x: jnp.sum(output(layer, x, {}, {}, training=True)))(ones)
    np.testing.assert_array_equal(gradient, output(layer, ones, {}, {}, training=True))


def test_shape_and_precision_stay() -> None:
    for kind in KINDS:
        for dtype in (jnp.float32, jnp.bfloat16):
            assert evaluated_shape(kind(), (3, 4, 5), dtype) == (3, 4, 5)


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


@pytest.mark.parametrize("kind", ["spatial_dropout", "stochastic_depth"])
def test_faults_of_the_other_kinds(kind: str) -> None:
    lines = told({kind: {"rate": 1}}, "flatten", "classifier")
    assert lines == [f"model.layers[0].{kind}.rate: must be < 1, got 1"]


def test_a_flat_input_has_no_channels_to_leave_out_whole() -> None:
    rule = "must have an input with spatial axes, got 192"
    assert told("flatten", "spatial_dropout", "classifier") == [f"model.layers[1].spatial_dropout: {rule}"]
    assert not told("flatten", "stochastic_depth", "classifier")
