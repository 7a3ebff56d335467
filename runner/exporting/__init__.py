"""A trained network as a file for other programs: ONNX, StableHLO or safetensors, with a model card beside it.

>>> done = export(trained, "stablehlo", folder / "tiny.stablehlo")
>>> done.path.name, done.card.name, done.deviation < 1e-6
('tiny.stablehlo', 'tiny.stablehlo.md', True)
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np

from runner import atomic, compiling, placement, train, weights
from runner.errors import ConfigError, Fault
from runner.exporting import card, onnx_file, stablehlo
from runner.trained import Trained

Format = Literal["stablehlo", "onnx", "safetensors"]
LARGEST_DEVIATION: Final = 1e-4
"""A file whose results differ by more from ours, relative to the largest, is not written."""
_INPUTS: Final = 2

Results = tuple[np.ndarray, ...]
"""Of a network for inputs (n, …): the probabilities (n, k), and the outputs of its last layer that they are made of."""


@dataclass(frozen=True)
class Exported:
    """A file that was written, and the model card beside it.

    `deviation` is that of the file's results from ours, relative to the largest; None if they were not compared, for
    the reason that `compared` gives.
    """

    path: Path
    card: Path
    size_bytes: int
    deviation: float | None
    compared: str


class _Made(NamedTuple):
    content: bytes
    results: Callable[[np.ndarray], Results] | None  # of the content, as another program computes them
    by: str  # which program that is, or why there is none


def export(trained: Trained, form: Format, path: Path) -> Exported:
    """Writes the network to a file in an existing folder, and a model card beside it.

    The results of the content are first compared with ours. Raises ConfigError if they differ, if a library is missing,
    or if ONNX cannot express a layer; OSError if a file cannot be written.
    """
    content, results, by = _MAKERS[form](trained)
    deviation = None if results is None else _deviation(trained, results)
    if deviation is not None and not deviation <= LARGEST_DEVIATION:
        rule = f"must give outputs within {LARGEST_DEVIATION:g} of ours"
        raise ConfigError(Fault("format", f"{rule}, but {by} gives outputs that differ by {deviation:.1e}"))
    compared = by if deviation is None else f"{deviation:.1e} from ours by {by}, relative to the largest output"
    atomic.write(path, content)
    text = card.text(trained, form, path.name, compared)
    beside = path.with_name(f"{path.name}.md")
    atomic.write(beside, text.encode())
    return Exported(path, beside, len(content), deviation, compared)


def _deviation(trained: Trained, results: Callable[[np.ndarray], Results]) -> float:
    """The largest deviation of results from ours, for several inputs and for one.

    Of the outputs too: where a softmax saturates, the probabilities are 0 and 1 whatever the outputs are.
    """
    inputs = drawn_inputs(trained, _INPUTS)
    program = onnx_file.in_float32(trained).program
    compute = compiling.special(program, placement.choose("cpu"), train.results)
    ours = compute(compiling.leaves(program), trained.params, trained.statistics, inputs)
    theirs, first = results(inputs), results(inputs[:1])
    return max(_relative(*three) for three in zip(theirs, first, map(np.asarray, ours), strict=True))


def _relative(theirs: np.ndarray, first: np.ndarray, ours: np.ndarray) -> float:
    largest = abs(ours).max() or 1.0
    return float(max(abs(theirs - ours).max(), abs(first - ours[:1]).max()) / largest)


def drawn_inputs(trained: Trained, count: int) -> np.ndarray:
    """Random inputs of the network (count, …) in the type and the range of its data, always the same ones."""
    draw, shape = np.random.default_rng(0), (count, *trained.program.network.data_shape)
    if trained.vocabulary:
        return draw.integers(0, len(trained.vocabulary), shape, np.int32)
    if trained.input_dtype == "uint8":
        return draw.integers(0, 256, shape, np.uint8)
    black, white = (np.asarray(values, np.float32) for values in trained.value_range)
    return np.asarray(black + draw.random(shape) * (white - black)).astype(trained.input_dtype)


def _onnx(trained: Trained) -> _Made:
    content = onnx_file.content(trained)
    run = onnx_file.runner_of(content)
    if run is None:
        return _Made(content, None, "not compared with ours, as onnxruntime is not installed")
    return _Made(content, run, "onnxruntime")


def _stablehlo(trained: Trained) -> _Made:
    content = stablehlo.content(onnx_file.in_float32(trained))
    return _Made(content, stablehlo.runner_of(content), "jax.export")


def _safetensors(trained: Trained) -> _Made:
    return _Made(weights.serialized(trained.params, trained.statistics), None, "the weights themselves")


_MAKERS: Final[dict[Format, Callable[[Trained], _Made]]] = {
    "onnx": _onnx,
    "stablehlo": _stablehlo,
    "safetensors": _safetensors,
}
