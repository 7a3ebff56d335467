"""Every kind of layer, as the nodes that it adds to an ONNX graph, against onnxruntime."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, drawn, normal
from test_registry import TOKENS, entries, one

from runner.exporting.onnx_file import OPSET, OnnxGraph, runner_of
from runner.layers import KINDS
from runner.layers.base import Layer, Shape
from runner.layers.passes import Pass
from runner.losses import L2Loss, MulticlassHingeLoss, SoftmaxCrossEntropy

onnx = pytest.importorskip("onnx", reason="needs the extra onnx: make oracle")
pytest.importorskip("onnxruntime", reason="needs the extra onnx: make oracle")

MAP: Shape = (7, 6, 4)
LINE: Shape = (9, 4)
BOTH = (MAP, LINE)
CONV = {"filters": 6, "kernel_size": 3}
PADDED = {"conv": {**CONV, "padding": 1}}
MODES = ("reflect", "replicate", "circular")
ADAPTIVE = ("adaptive_avg_pool", "adaptive_max_pool")
TRANSPOSED: list[tuple[dict[str, Any], Shape]] = [
    ({"stride": 2, "padding": 1}, MAP),
    ({"stride": [3, 2], "padding": [[0, 1], [2, 0]], "output_padding": [2, 1], "groups": 2, "use_bias": False}, MAP),
    ({"stride": 2, "dilation": 2, "padding": "same"}, MAP),
    ({"stride": 5, "padding": "same"}, LINE),
]
POOLS = ("max_pool", "avg_pool", "sum_pool", "subsampling")
# Beside one layer of each kind as it comes by default.
CASES: list[tuple[dict[str, Any], Shape]] = [
    *(({"conv": {**CONV, "padding": padding}}, MAP) for padding in ("same", "full", 4, [[0, 2], [1, 0]])),
    *(({"conv": {**CONV, "padding": padding}}, LINE) for padding in ("same", "causal")),
    *(({"conv": {**CONV, "padding": 2, "padding_mode": mode}}, MAP) for mode in MODES),
    *(({"conv": {**CONV, "padding": "causal", "padding_mode": mode}}, LINE) for mode in MODES),
    ({"conv": {**CONV, "stride": [2, 1], "dilation": [1, 2], "padding": "same", "groups": 2}}, MAP),
    ({"conv": {**CONV, "stride": 2, "padding": "same", "use_bias": False}}, MAP),
    ({"conv": {"filters": 4, "kernel_size": 3, "groups": 4}}, MAP),
    *(({kind: {"size": 3, "stride": 2, "ceil_mode": True}}, shape) for kind in POOLS for shape in ((8, 6, 4), LINE)),
    *(({kind: {"size": 3, "stride": 2, "padding": 1, "ceil_mode": True}}, MAP) for kind in POOLS),
    *(({kind: {"size": 2, "stride": 1, "padding": "same", "dilation": 2}}, MAP) for kind in POOLS),
    *(({kind: {"size": 3, "padding": 1, "padding_mode": mode}}, MAP) for kind in POOLS for mode in MODES),
    *(({kind: {"size": 2, "stride": 1, "padding": "causal"}}, LINE) for kind in POOLS),
    *(({kind: {"size": 2, "stride": 3, "padding": 5}}, MAP) for kind in ("avg_pool", "sum_pool")),
    ({"max_pool": {"size": 3, "stride": 1, "padding": "full"}}, MAP),
    ({"max_pool": {"size": 3, "stride": 2, "padding": 3, "dilation": 2}}, MAP),
    ({"avg_pool": {"size": 3, "stride": 2, "padding": 1, "count_padding": True, "ceil_mode": True}}, MAP),
    *(({kind: {}}, shape) for kind in ("batch_norm", "layer_norm", "softmax") for shape in (LINE, (5,))),
    *(({"group_norm": {"groups": groups}}, shape) for groups in (1, 2) for shape in (*BOTH, (6,))),
    *(({"instance_norm": {"use_scale": scale, "epsilon": 0.5}}, shape) for scale in (True, False) for shape in BOTH),
    *(({kind: {"use_scale": False, "use_bias": False, "epsilon": 0.5}}, MAP) for kind in ("batch_norm", "layer_norm")),
    *(({"local_response_norm": {"size": size, "alpha": 0.3}}, shape) for size in (1, 2, 3, 9) for shape in BOTH),
    ({"local_response_norm": {"size": 4, "alpha": 0.3, "beta": -0.5}}, (5,)),
    ({"gelu": {"approximate": True}}, MAP),
    ({"leaky_relu": {"negative_slope": 0.3}}, MAP),
    *(({"prelu": {"per_channel": own}}, shape) for own in (False, True) for shape in (*BOTH, (5,))),
    ({"elu": {"alpha": 0.3}}, MAP),
    ({"scale": {"factor": 3.5}}, MAP),
    ({"dense": {"units": 3, "use_bias": False}}, (6,)),
    *(({kind: {}}, shape) for kind in ("flatten", "global_avg_pool", "global_max_pool") for shape in BOTH),
    *(({kind: {"size": size}}, shape) for kind in ADAPTIVE for size, shape in ((2, LINE), ([7, 3], MAP), (9, MAP))),
    *(({"conv_transpose": {**CONV, **own}}, shape) for own, shape in TRANSPOSED),
    ({"position_bias": {}}, LINE),
    *(({"upsample": {"size": size}}, shape) for size, shape in ((3, MAP), ([1, 2], MAP), (2, LINE))),
    *(({"pad_channels": {"channels": channels}}, shape) for channels in (4, 6) for shape in (MAP, LINE, (3,))),
    ({"partial_conv": {"connections": [[0, 2], [1]], "kernel_size": [2, 3], "stride": 2, "padding": 1}}, MAP),
    ({"embedding": {"dim": 3, "zero_padding": False}}, (6, 1)),
    *(({"branches": {"merge": merge, "paths": [["relu"], [], ["tanh"]]}}, MAP) for merge in ("add", "multiply")),
    ({"branches": {"merge": "multiply", "paths": [["global_avg_pool", "sigmoid"], [], ["global_max_pool"]]}}, MAP),
    ({"branches": {"paths": [["flatten"], ["global_avg_pool"]]}}, LINE),
    ({"residual": {"layers": [PADDED], "shortcut": [{"pad_channels": {"channels": 6}}]}}, MAP),
    ({"repeat": {"times": 3, "layers": [{"residual": {"layers": [{"scale": {"factor": 2}}]}}, "batch_norm"]}}, MAP),
    ({"dense_connection": {"layers": [{"repeat": {"times": 2, "layers": ["batch_norm", "relu"]}}]}}, LINE),
]  # fmt: skip


def session(graph: OnnxGraph, output: str, shape: Shape, *, tokens: bool = False) -> Any:
    """What has been added to the graph between `x` and an output, as a function of batches."""
    helper, types = onnx.helper, onnx.TensorProto
    graph.nodes.append(helper.make_node("Identity", [output], ["y"]))
    source = helper.make_tensor_value_info("x", types.INT32 if tokens else types.FLOAT, ["n", *shape])
    found = helper.make_tensor_value_info("y", types.FLOAT, None)
    whole = helper.make_graph(graph.nodes, "layer", [source], [found], list(graph.constants.values()))
    opset = [helper.make_opsetid("", OPSET)]
    run = runner_of(helper.make_model(whole, opset_imports=opset, ir_version=9).SerializeToString())
    assert run is not None
    return lambda batch: run(batch)[0]


def deviation(layer: Layer, shape: Shape, *, tokens: bool) -> float:
    """The largest difference of onnxruntime's output from ours, relative to the largest value of ours."""
    x = jnp.asarray(np.random.default_rng(1).integers(0, 7, (3, *shape)), jnp.int32) if tokens else normal(3, *shape)
    shapes = jax.eval_shape(lambda: drawn(layer, shape))
    values = jax.tree.map(lambda leaf: abs(normal(*leaf.shape, seed=2)) + 0.1, shapes)
    run = jax.jit(lambda values, x: layer.apply(*values, x, Pass(training=False, key=KEY))[0])
    ours = np.asarray(run(values, x))
    rank, graph = len(shape) + 1, OnnxGraph()
    first = graph.node("Transpose", "x", perm=[0, rank - 1, *range(1, rank - 1)])
    merged = jax.tree_util.tree_map(np.asarray, both(*values))
    y = layer.nodes(graph.inside("0_layer"), first, shape, merged)
    if ours.ndim > 2:
        y = graph.node("Transpose", y, perm=[0, *range(2, ours.ndim), 1])
    theirs = session(graph, y, shape, tokens=tokens)(np.asarray(x))
    assert theirs.shape == ours.shape
    assert all(name.startswith("0_layer") for name in graph.constants)
    return float(abs(theirs - ours).max() / abs(ours).max())


def both(params: Any, statistics: Any) -> Any:
    """Two trees of dicts as one."""
    if not isinstance(params, dict) or not isinstance(statistics, dict):
        return params
    return {
        name: both(params.get(name, statistics.get(name)), statistics.get(name)) for name in {**params, **statistics}
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_says_its_nodes(kind: str) -> None:
    layer, shape = one(kind)
    assert deviation(layer, shape, tokens=kind in TOKENS) < 1e-4


@pytest.mark.parametrize(("entry", "shape"), CASES, ids=str)
def test_every_argument_reaches_the_nodes(entry: dict[str, Any], shape: Shape) -> None:
    [layer] = entries(entry)
    assert deviation(layer.bind(3, 7), shape, tokens="embedding" in entry) < 1e-4


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), L2Loss(), MulticlassHingeLoss()], ids=lambda loss: loss.name)
def test_a_loss_says_how_outputs_become_probabilities(loss: Any) -> None:
    outputs, graph = normal(4, 5), OnnxGraph()
    theirs = session(graph, loss.nodes(graph, "x", 5), (5,))(np.asarray(outputs))
    assert abs(theirs - np.asarray(loss.probabilities(outputs))).max() < 1e-6
