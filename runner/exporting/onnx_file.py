"""A trained network as an ONNX file: its preprocessing, its layers under their names, its probabilities and outputs.

The input is one of the data, (n, h, w, c) as everywhere here; n is free. Each kind of layer says its own nodes.
Source: https://onnx.ai/onnx/repo-docs/IR.html.
"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike

from runner import train, views
from runner.data.fit import fit_nodes
from runner.errors import ConfigError, Fault
from runner.experiment import Program
from runner.layers import places, sequence
from runner.trained import Trained

OPSET: Final = 20  # the first with Gelu; every onnxruntime since 1.17 reads it
_IR_VERSION: Final = 9  # that of the opset
_OUTPUTS: Final = "outputs"
ANSWERS: Final = {"classes": "probabilities", "labels": "probabilities", "numbers": "estimates"}
"""The name of what a network answers in exported files, by what it is."""


@dataclass
class OnnxGraph:
    """A graph at one layer; implements `runner.graph.Graph`. All layers share the lists."""

    path: str = ""
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Any] = field(default_factory=dict)
    taken: Counter[str] = field(default_factory=Counter)

    def node(self, op: str, *inputs: str, **attributes: Any) -> str:
        from onnx import TensorProto, defs, helper

        if isinstance(kind := attributes.get("to"), str):
            attributes["to"] = getattr(TensorProto, {"float32": "FLOAT"}.get(kind, kind.upper()))
        name = self._free(op)
        # Further outputs that the operator always has are not used.
        outputs = [name, *(f"{name}.{n}" for n in range(1, defs.get_schema(op, OPSET).min_output))]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, name=name, **attributes))
        return name

    def constant(self, values: ArrayLike, name: str = "") -> str:
        from onnx import numpy_helper

        array = np.asarray(values)
        array = np.ascontiguousarray(array, np.int64 if array.dtype.kind in "iu" else np.float32)
        own = self._free(name or "constant")
        self.constants[own] = numpy_helper.from_array(array.reshape(np.shape(values)), own)
        return own

    def inside(self, name: str) -> Self:
        return type(self)(self._below(name), self.nodes, self.constants, self.taken)

    def _below(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def _free(self, name: str) -> str:
        own = self._below(name)
        self.taken[own] += 1
        return own if self.taken[own] == 1 else f"{own}_{self.taken[own]}"


def in_float32(trained: Trained) -> Trained:
    """The network as it computes in float32, the type of exported files."""
    if trained.program.precision == "float32":
        return trained
    from dataclasses import replace

    experiment = trained.experiment
    wide = experiment.model_copy(update={"train": experiment.train.model_copy(update={"precision": "float32"})})
    old = trained.program
    network = wide.network(old.network.data_shape, old.network.classes, old.network.vocabulary)
    program = wide.program(network, mean=old.mean, std=old.std, values=trained.value_range)
    return replace(trained, experiment=wide, program=program)


def content(trained: Trained) -> bytes:
    """The file. Raises ConfigError if onnx is not installed, or if a layer has no nodes in ONNX."""
    try:
        import onnx
        from onnx import TensorProto, helper
    except ImportError as error:
        rule = "must not be onnx, as its library is not installed: pip install 'convrunner[onnx]'"
        raise ConfigError(Fault("format", rule)) from error
    network, graph = trained.program.network, OnnxGraph()
    source = "tokens" if trained.vocabulary else "images"
    try:
        graph.node("Identity", _answers(trained, graph, source))
    except NotImplementedError as error:
        rule = f"must not be onnx for a network with the layer {error}, which has no nodes in ONNX"
        raise ConfigError(Fault("format", rule)) from error
    answers = ANSWERS[trained.program.task.form]
    graph.nodes[-1].output[0] = answers
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(trained.input_dtype))
    made = helper.make_model(
        helper.make_graph(
            graph.nodes,
            trained.experiment.model.name,
            [helper.make_tensor_value_info(source, kind, ["n", *network.data_shape])],
            [
                helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", network.classes])
                for name in (answers, _OUTPUTS)
            ],
            initializer=list(graph.constants.values()),
        ),
        producer_name="convrunner",
        producer_version=trained.facts.version,
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=_IR_VERSION,
    )
    facts = {trained.program.task.form: json.dumps(trained.classes, ensure_ascii=False), "data": trained.facts.digest}
    if trained.vocabulary:
        facts["vocabulary"] = json.dumps(trained.vocabulary, ensure_ascii=False)
    helper.set_model_props(made, facts)
    onnx.checker.check_model(made)
    return bytes(made.SerializeToString())


def _answers(trained: Trained, graph: OnnxGraph, source: str) -> str:
    """Adds everything from the input to the answers."""
    program, network = trained.program, trained.program.network
    test_time = program.test_time
    x = views.nodes(
        graph, _seen(program, graph.inside("input"), source, trained.input_dtype), test_time, network.input_shape
    )
    values = places.nested(places.dotted(trained.params) | places.dotted(trained.statistics))
    outputs = sequence.nodes(network.layers, graph, x, network.input_shape, values)
    if test_time.views != "one":
        count = len(test_time.places) or 2
        outputs = graph.node("Reshape", outputs, graph.constant([count, -1, network.classes]))
        if test_time.views == "mirror":
            outputs = graph.node("ReduceMean", outputs, graph.constant([0]), keepdims=0)
        else:
            outputs = program.loss.mean_nodes(graph, outputs, count)
    graph.node("Identity", outputs)
    graph.nodes[-1].output[0] = _OUTPUTS
    return program.task.nodes(graph.inside("loss"), program.loss, _OUTPUTS, network.classes)


def _seen(program: Program, graph: OnnxGraph, x: str, dtype: str) -> str:
    """Adds the preprocessing, as `train.outputs` does it: the input of the first layer, channels second."""
    shape = program.network.data_shape
    if len(shape) > 1:
        x = graph.node("Transpose", x, perm=[0, len(shape), *range(1, len(shape))])
    if program.network.vocabulary is not None:
        return x
    x = graph.node("Cast", x, to="float32") if dtype != "float32" else x
    if dtype == "uint8":
        x = graph.node("Div", x, graph.constant(255.0))
    if len(shape) == 3:
        margin = program.test_time.margin or 0
        height, width, _ = program.network.input_shape
        black = np.asarray(train.value_range_of(program)[0], np.float32)
        size = (height + margin, width + margin)
        x = fit_nodes(graph, x, shape, size, program.network.fit or "resize", black=black)
    mean, std = (
        np.reshape(np.asarray(values, np.float32), (-1, *(1,) * (len(shape) - 1)))
        for values in (program.mean, program.std)
    )
    return graph.node("Div", graph.node("Sub", x, graph.constant(mean)), graph.constant(std))


def runner_of(content: bytes) -> Callable[[np.ndarray], tuple[np.ndarray, ...]] | None:
    """The file as a function of inputs (n, …) to all its outputs, by onnxruntime; None if that is not installed."""
    try:
        import onnxruntime
    except ImportError:
        return None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors: it warns of what its optimiser folds
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    source = session.get_inputs()[0].name
    return lambda inputs: tuple(np.asarray(output) for output in session.run(None, {source: inputs}))
