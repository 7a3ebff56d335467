"""The page computes what the compiled program computes: every kind of layer, forward and backward."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from layer_kinds import REQUIRED, SHAPES, TOKENS
from page.computing import described, node, with_values

from runner.layers import EVERY_KIND
from runner.layers.base import Shape
from runner.layers.passes import Pass
from runner.layers.places import dotted
from runner.model import Model
from runner.page.graph import RUNS_IN_BROWSER, flat_values, nodes_of
from runner.records import frozen

RECORDED_ONLY: set[str] = set()
"""The kinds of layer that the page does not compute. It shows recorded maps of a network that has one."""

IMAGE: Shape = (6, 5, 4)
LINE: Shape = (9, 4)
SAME = {"filters": 4, "kernel_size": 3, "padding": 1}
# What one case of a kind leaves out.
OTHERS: list[tuple[Any, Shape]] = [
    *(
        ({"conv": {"filters": 4, "kernel_size": 3, "padding": padding}}, IMAGE)
        for padding in ("same", "full", [[1, 0], [2, 1]])
    ),
    *(({"conv": {**SAME, "padding_mode": mode}}, IMAGE) for mode in ("reflect", "replicate", "circular")),
    ({"conv": {"filters": 6, "kernel_size": [2, 3], "stride": [2, 1], "groups": 2, "use_bias": False}}, IMAGE),
    ({"conv": {"filters": 3, "kernel_size": 2, "dilation": [2, 3], "padding": "same"}}, IMAGE),
    ({"conv": {"filters": 3, "kernel_size": 3, "dilation": 2, "padding": "causal"}}, LINE),
    ({"conv": {"filters": 3, "kernel_size": 3, "padding": 2, "padding_mode": "circular", "stride": 2}}, LINE),
    *(({kind: {"size": 3, "stride": 2, "padding": 1}}, IMAGE) for kind in ("max_pool", "avg_pool", "sum_pool")),
    *(({kind: {"size": 2, "padding": 1, "padding_mode": "reflect"}}, IMAGE) for kind in ("max_pool", "avg_pool")),
    ({"max_pool": {"size": 2, "dilation": 2, "stride": 1}}, IMAGE),
    *(({kind: {"size": 2, "ceil_mode": True}}, IMAGE) for kind in ("max_pool", "avg_pool", "subsampling")),
    ({"avg_pool": {"size": 3, "stride": 2, "padding": 1, "count_padding": True, "ceil_mode": True}}, IMAGE),
    ({"max_pool": {"size": 2}}, LINE),
    ({"gelu": {"approximate": True}}, IMAGE),
    *(({f"adaptive_{how}_pool": {"size": size}}, IMAGE) for how in ("avg", "max") for size in (1, [2, 5], [4, 8])),
    ({"adaptive_max_pool": {"size": 4}}, LINE),
    ({"conv_transpose": {"filters": 6, "kernel_size": [2, 3], "stride": [3, 2], "groups": 2, "padding": 1}}, IMAGE),
    ({"conv_transpose": {"filters": 3, "kernel_size": 3, "stride": 2, "dilation": 2, "use_bias": False}}, IMAGE),
    ({"conv_transpose": {"filters": 3, "kernel_size": 2, "stride": 3, "padding": "same"}}, LINE),
    ({"group_norm": {"groups": 1, "use_scale": False}}, IMAGE),
    ({"group_norm": {"groups": 4, "use_bias": False}}, (8,)),
    ({"instance_norm": {}}, LINE),
    ({"prelu": {"per_channel": True}}, IMAGE),
    ({"upsample": {"size": [2, 3]}}, IMAGE),
    ({"upsample": {"size": 2}}, LINE),
    ({"batch_norm": {"use_scale": False}}, IMAGE),
    ({"layer_norm": {"use_bias": False}}, LINE),
    ({"local_response_norm": {"size": 20, "alpha": 0.5, "beta": 0.5}}, IMAGE),
    ({"softmax": {}}, (7,)),
    ({"branches": {"merge": "add", "paths": [["relu"], ["tanh"], []]}}, IMAGE),
    ({"branches": {"merge": "multiply", "paths": [["global_avg_pool", "sigmoid"], []]}}, IMAGE),
    ({"residual": {"layers": [{"conv": SAME}], "shortcut": ["relu"]}}, IMAGE),
    (
        {"residual": {"layers": [{"dense_connection": {"layers": ["relu"]}}, {"conv": {**SAME, "kernel_size": 3}}]}},
        IMAGE,
    ),
    ({"embedding": {"dim": 3, "zero_padding": False}}, (6, 1)),
    ({"repeat": {"times": 0, "layers": ["relu"]}}, IMAGE),
]
KINDS = [kind for kind in EVERY_KIND if not kind.startswith("$")]
ONE_OF_EACH: list[tuple[Any, Shape]] = [({kind: REQUIRED.get(kind, {})}, SHAPES.get(kind, IMAGE)) for kind in KINDS]
SCRIPT = """
const { prepared, forward, backward } = await load("engine");
const net = prepared(given, arrays[0]);
const values = forward(net, arrays[1]);
const by = backward(net, values, arrays[2]);
print({ y: values[net.output], x: by.values[0], tensors: by.tensors });
"""


def test_every_kind_of_layer_runs_in_the_page_or_is_named() -> None:
    assert set(EVERY_KIND) == RUNS_IN_BROWSER | RECORDED_ONLY


@pytest.mark.parametrize(
    ("entry", "shape"), [*ONE_OF_EACH, *(pytest.param(*other, marks=pytest.mark.slow) for other in OTHERS)], ids=str
)
def test_a_layer_in_the_page_is_the_layer_of_the_program(entry: Any, shape: Shape, tmp_path: Path) -> None:
    tokens = next(iter(entry)) in TOKENS
    # A layer before it keeps a list of no layers from being the input itself.
    model = Model.model_validate(
        frozen({"name": "one", "layers": [entry if tokens else "dropout", *([] if tokens else [entry])]})
    )
    network = model.bind(shape, classes=10, vocabulary=7 if tokens else None)
    params, statistics = with_values(network)
    random = np.random.default_rng(1)
    x = random.integers(0, 7, shape) if tokens else random.normal(size=shape)
    x = jnp.asarray(x[None], jnp.int32 if tokens else jnp.float32)

    def run(params: Any, x: jax.Array) -> jax.Array:
        return network.apply(params, statistics, x, Pass(training=False, key=jax.random.key(0)))[0]

    g = random.normal(size=jax.eval_shape(run, params, x).shape).astype(np.float32)

    @jax.jit
    def both(params: Any, x: jax.Array) -> tuple[jax.Array, Any, Any]:
        if tokens:
            y, pull = jax.vjp(lambda params: run(params, x), params)
            return y, *pull(jnp.asarray(g)), None
        y, pull = jax.vjp(run, params, x)
        return y, *pull(jnp.asarray(g))

    y, by_params, by_x = both(params, x)
    nodes = nodes_of(network, params, statistics)
    found = node(tmp_path, SCRIPT, described(nodes), [flat_values(nodes)[0], np.asarray(x, np.float32), g])
    np.testing.assert_allclose(found["y"], np.ravel(y), atol=1e-4)
    if not tokens:
        np.testing.assert_allclose(found["x"], np.ravel(by_x), atol=1e-4)
    ours = {
        f"{nodes[at].paths[0]}.{name}": values
        for at, own in enumerate(found["tensors"])
        for name, values in (own or {}).items()
    }
    for path, gradient in dotted(by_params).items():
        # A side head has no part in the outputs of evaluation.
        np.testing.assert_allclose(ours.get(path, 0.0), np.ravel(gradient), atol=1e-4, err_msg=path)
