"""Whole networks in the page: every layer of LeNet-5 on a thousand images, gradients against JAX's, the speed."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from browser import started
from configurations import experiment
from page.computing import drawn_nodes, node, with_values
from page.made import written

from runner.layers.passes import Pass
from runner.network import Network

LAYERS = """
const { prepared, forward } = await load("engine");
const net = prepared(given.net, arrays[0]), size = given.size, sums = [];
const all = net.nodes.map(({ shape }) => new Float32Array(given.count * shape.reduce((a, b) => a * b, 1)));
for (let n = 0; n < given.count; n++)
  forward(net, arrays[1].subarray(n * size, (n + 1) * size)).forEach((y, at) => all[at].set(y, n * y.length));
all.forEach((values, at) => writeFileSync(`values-${at}.f32`, new Uint8Array(values.buffer)));
print(net.nodes.map(({ paths }) => paths));
"""


def network_of(*overrides: str, shape: tuple[int, ...] = (28, 28, 1)) -> Network:
    return experiment(*overrides).network(shape, 10)


def every_layer(network: Network, params: Any, statistics: Any, x: np.ndarray) -> dict[str, np.ndarray]:
    """The output of each layer by its path, from the compiled program's own layers."""

    @jax.jit
    def run(x: jax.Array) -> dict[str, jax.Array]:
        found: dict[str, jax.Array] = {}
        at = Pass(training=False, key=jax.random.key(0), tap=lambda path, y: found.setdefault(path, y))
        network.apply(params, statistics, x, at)
        return found

    return {path: np.asarray(y) for path, y in run(jnp.asarray(x)).items()}


@pytest.mark.parametrize(
    ("overrides", "shape", "count"),
    [
        pytest.param(("model=lenet5",), (32, 32, 1), 1000, marks=pytest.mark.slow, id="lenet5"),
        pytest.param(("model=resnet20_cifar",), (32, 32, 3), 10, marks=pytest.mark.slow, id="resnet20"),
    ],
)
def test_every_layer_agrees(overrides: tuple[str, ...], shape: tuple[int, ...], count: int, tmp_path: Path) -> None:
    network = network_of(*overrides, shape=shape)
    params, statistics = jax.jit(lambda: network.init(jax.random.key(0)))()
    x = np.random.default_rng(0).normal(size=(count, *shape)).astype(np.float32)
    expected = every_layer(network, params, statistics, x)
    description, values = drawn_nodes(network, params, statistics)
    given = {"net": description, "count": count, "size": int(np.prod(shape))}
    paths = node(tmp_path, LAYERS, given, [values, x])
    compared = 0
    for at, names in enumerate(paths):
        found = np.fromfile(tmp_path / f"values-{at}.f32", np.float32)
        for name in filter(None, names):
            wanted = expected[name]
            largest = max(1.0, float(np.abs(wanted).max()))
            np.testing.assert_allclose(found, wanted.ravel(), atol=1e-4 * largest)
            compared += 1
    assert compared >= len(expected)


GRADIENTS = """
const { prepared, forward } = await load("engine");
const { oneStep } = await load("learning");
const net = { ...prepared(given.net, arrays[0]), loss: given.loss };
const step = oneStep(net, forward(net, arrays[1]), 3, 0.01);
const { before, after, y, gradients: { tensors } } = step;
print({ before, after, y, tensors });
"""
SMALL = "{conv: {filters: 4, kernel_size: 3, padding: 1}}"
JOINED = (
    f"model.layers=[{SMALL}, batch_norm, tanh, {{residual: {{layers: [{SMALL}, silu]}}}}, {{branches: {{paths: "
    f"[[{SMALL}], [{{avg_pool: {{size: 3, stride: 1, padding: 1}}}}]]}}}}, {{dense_connection: {{layers: "
    f"[{SMALL}]}}}}, {{max_pool: {{size: 2}}}}, flatten, {{dense: {{units: 12}}}}, gelu, classifier]"
)
CHAIN = f"model.layers=[{SMALL}, relu, {{max_pool: {{size: 2}}}}, flatten, classifier]"


@pytest.mark.parametrize(
    ("layers", "loss"),
    [
        pytest.param(CHAIN, "cross_entropy", id="chain-cross_entropy", marks=pytest.mark.slow),
        pytest.param(CHAIN, "squared_error", id="chain-squared_error"),
        pytest.param(CHAIN, "hinge", id="chain-hinge", marks=pytest.mark.slow),
        pytest.param(CHAIN, "focal", id="chain-focal"),
        pytest.param(JOINED, "cross_entropy", id="joined-cross_entropy"),
        pytest.param(JOINED, "squared_error", id="joined-squared_error", marks=pytest.mark.slow),
        pytest.param(JOINED, "hinge", id="joined-hinge", marks=pytest.mark.slow),
    ],
)
def test_the_gradients_of_one_step_are_those_of_jax(layers: str, loss: str, tmp_path: Path) -> None:
    made = experiment(layers, "model.input=null", f"loss={loss}")
    network = made.network((8, 8, 2), 10)
    params, statistics = with_values(network)
    x = np.random.default_rng(2).normal(size=(1, 8, 8, 2)).astype(np.float32)
    target = jax.nn.one_hot(jnp.asarray([3]), 10)

    @jax.jit
    def objective(params: Any) -> tuple[jax.Array, jax.Array]:
        y, _ = network.apply(params, statistics, jnp.asarray(x), Pass(training=False, key=jax.random.key(0)))
        return made.loss.per_example(y, target)[0], y

    (before, y), gradients = jax.value_and_grad(objective, has_aux=True)(params)
    after, _ = objective(jax.tree.map(lambda p, g: p - jnp.float32(0.01) * g, params, gradients))
    description, values = drawn_nodes(network, params, statistics)
    description["gamma"] = getattr(made.loss, "gamma", 0.0)
    found = node(tmp_path, GRADIENTS, {"net": description, "loss": made.loss.name}, [values, x])
    np.testing.assert_allclose(found["y"], np.ravel(y), rtol=1e-4, atol=1e-4)
    assert found["before"] == pytest.approx(float(before), rel=1e-4, abs=1e-4)
    assert found["after"] == pytest.approx(float(after), rel=1e-3, abs=1e-3)
    nodes = description["nodes"]
    wanted = {path: np.ravel(leaf) for path, leaf in leaves(gradients).items()}
    ours = {
        f"{nodes[at]['paths'][0]}.{name}": np.asarray(value)
        for at, own in enumerate(found["tensors"])
        for name, value in (own or {}).items()
    }
    assert set(ours) == set(wanted)
    for path, gradient in wanted.items():
        scale = max(1.0, float(np.abs(gradient).max()))
        np.testing.assert_allclose(ours[path], gradient, atol=1e-4 * scale, err_msg=path)


def leaves(tree: Any, above: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted path."""
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= leaves(value, f"{above}{name}.") if isinstance(value, dict) else {f"{above}{name}": value}
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("model", "milliseconds"), [("lenet5", 10), ("resnet20_cifar", 300)])
def test_a_forward_pass_in_a_browser_is_fast(model: str, milliseconds: int, tmp_path: Path) -> None:
    # On a machine that others load it takes longer, hence the best of several.
    path, _, _ = written(tmp_path, f"model={model}", "model.input={height: 32, width: 32}", "train.epochs=1")
    with started() as page:
        page.open(path.as_uri())
        took = [page.value("(page.show(page.examples[0].data, 0), page.milliseconds)") for _ in range(10)]
        assert page.faults == []
    assert min(took) < milliseconds


FIELDS = """
const { seenBy } = await load("fields");
print(given.units.map(([at, y, x]) => seenBy(given.net.nodes, at, y, x)[0]));
"""


@pytest.mark.parametrize("model", ["lenet5", "alexnet_slim", "googlenet"])
def test_a_unit_sees_the_receptive_field_that_describe_has(model: str, tmp_path: Path) -> None:
    shape = (96, 96, 3) if model != "lenet5" else (32, 32, 1)
    network = network_of(f"model={model}", f"model.input={{height: {shape[0]}, width: {shape[1]}}}", shape=shape)
    params, statistics = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    zeros: Any = jax.tree.map(lambda leaf: np.zeros(leaf.shape, np.float32), (params, statistics))
    description, _ = drawn_nodes(network, *zeros)
    rows = {row.path.removeprefix("model."): row for row in network.rows}
    units, expected = [], []
    for at, one in enumerate(description["nodes"]):
        row = rows.get(one["place"])
        if row is None or len(one["shape"]) != 3:
            continue
        for y, x in ((0, 0), (one["shape"][0] // 2, one["shape"][1] // 3), (one["shape"][0] - 1, 0)):
            units.append([at, y, x])
            fields = zip(row.output.fields, (y, x), shape[:2], strict=True)
            expected.append([[max(f.first(i), 0), min(f.last(i), size - 1)] for f, i, size in fields])
    assert len(units) > 9
    found = node(tmp_path, FIELDS, {"net": description, "units": units})
    exact = 0
    for ours, theirs in zip(found, expected, strict=True):
        # At the edge of a map in the middle the theory goes on beyond it: the unit itself sees less.
        assert all(low >= first and high <= last for (low, high), (first, last) in zip(ours, theirs, strict=True))
        if all(first > 0 and last < size - 1 for (first, last), size in zip(theirs, shape, strict=False)):
            assert ours == theirs
            exact += 1
    assert exact > 1
