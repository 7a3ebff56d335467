"""One layer on its own, for tests: its parameters drawn, its output for a batch, and what a user is told of it."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads
from numpy.typing import ArrayLike
from pydantic import ValidationError

from runner.faults import fault
from runner.layers.base import Layer, Shape, Tree
from runner.layers.passes import Pass
from runner.model import Model
from runner.records import frozen

KEY = jax.random.key(0)
RANDOM_SEED = 0


def normal(*shape: int, seed: int = RANDOM_SEED) -> jax.Array:
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def distinct(*shape: int, step: float = 0.25, seed: int = RANDOM_SEED) -> jax.Array:
    """Values of which no two are nearer than `step`, and none nearer than half of it to zero: no kink is near."""
    size = int(np.prod(shape))
    values = (np.random.default_rng(seed).permutation(size) - size // 2 + 0.5) * step
    return jnp.asarray(values.reshape(shape), jnp.float32)


def drawn(layer: Layer, shape: Shape) -> tuple[Tree, Tree]:
    """Parameters and statistics of the layer for inputs of `shape`."""
    params, statistics = Model(name="alone", layers=(layer,)).bind(shape, classes=10).init(KEY)
    name = f"0_{layer.kind}"
    return params.get(name, {}), statistics.get(name, {})


def output(
    layer: Layer, x: ArrayLike, params: Tree | None = None, statistics: Tree | None = None, *, training: bool = False
) -> jax.Array:
    """What the layer makes of a batch; parameters that are not given are drawn."""
    batch = jnp.asarray(x)
    own, measured = drawn(layer, batch.shape[1:]) if params is None or statistics is None else ({}, {})
    y, _ = layer.apply(
        own if params is None else params,
        measured if statistics is None else statistics,
        batch,
        Pass(training=training, key=KEY),
    )
    return y


def evaluated_shape(layer: Layer, shape: Shape, dtype: Any = jnp.float32, *, gives: Any = None) -> Shape:
    """The shape of what JAX says `apply` gives for inputs of `shape`, in their type or `gives`. Nothing is computed."""

    def run(x: jax.Array) -> jax.Array:
        params, statistics = drawn(layer, shape)
        y, _ = layer.apply(params, statistics, x, Pass(training=True, key=KEY))
        return y

    y = jax.eval_shape(run, jax.ShapeDtypeStruct((2, *shape), dtype))
    assert y.dtype == (gives or dtype)
    return tuple(y.shape[1:])


def check_gradients(function: Callable[..., jax.Array], *arguments: Any) -> None:
    """Holds reverse-mode gradients against central differences along random directions."""
    check_grads(function, arguments, order=1, modes=["rev"], eps=1e-2, atol=2e-3, rtol=1e-2)


def told(*layers: Any, shape: Shape = (8, 8, 3), classes: int = 10) -> list[str]:
    """What a user is told of these layers on data of `shape`: of the schema, or of how they fit each other."""
    raw = frozen({"model": {"name": "told", "layers": list(layers)}})
    try:
        model = Model.model_validate(raw["model"])
    except ValidationError as error:
        found = [fault({**item, "loc": ("model", *item["loc"])}, raw) for item in error.errors(include_url=False)]
    else:
        found = model.survey(shape, classes).faults
    return [str(item) for item in found]


def images(*shape: int) -> np.ndarray:
    """Channels with means and deviations of their own."""
    x = np.random.default_rng(0).normal(size=shape) * np.arange(1, shape[-1] + 1) + np.arange(shape[-1])
    return np.asarray(x, np.float32)
