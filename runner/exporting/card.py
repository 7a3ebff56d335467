"""The model card of an exported file: the network, its data, its numbers, and how to load the file, in Markdown.

Source: Mitchell et al. 2019, arXiv:1810.03993.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from runner.exporting.onnx_file import ANSWERS
from runner.layers.base import shape_text
from runner.trained import Trained

_MOST_CLASSES: Final = 100
_LOADING: Final[Mapping[str, str]] = {
    "onnx": """import onnxruntime
session = onnxruntime.InferenceSession("{file}")
[{answers}] = session.run(["{answers}"], {{"{source}": {source}}})""",
    "stablehlo": """from pathlib import Path
from jax import export
network = export.deserialize(bytearray(Path("{file}").read_bytes()))
{answers}, outputs = network.call({source})""",
    "safetensors": """from safetensors.numpy import load_file
weights = load_file("{file}")     # a dict of arrays""",
}


def text(trained: Trained, form: str, file: str, compared: str) -> str:
    """The card of a file of this format; `compared` says how far its outputs are from ours."""
    return "\n".join([*_lines(trained, form, file, compared), ""])


def _lines(trained: Trained, form: str, file: str, compared: str) -> Iterator[str]:
    network, name = trained.program.network, trained.experiment.model.name
    totals, facts = network.totals, trained.facts
    source, what = "tokens" if trained.vocabulary else "images", trained.program.task.form
    answers = ANSWERS[what]
    yield from (f"# {name}", "", f"`{file}` is a network that was trained by convrunner {facts.version}.", "")
    yield from (
        "## Load it",
        "",
        "```python",
        _LOADING[form].format(file=file, source=source, answers=answers),
        "```",
        "",
    )
    if form == "safetensors":
        yield "The file has the learnt values alone, float32, under the paths of their layers (see *Weights*)."
    else:
        shape = ", ".join(map(str, network.data_shape))
        yield f"`{source}` is {trained.input_dtype} (n, {shape}) for any n: {_unit(trained)}."
        yield f"`{answers}` is float32 (n, {network.classes}), in the order of the {what} below; `outputs` has the"
        yield "values of the last layer, of which they are made."
        yield "The preprocessing of the training, such as the normalisation, is inside."
        yield from ("", f"Outputs: {compared}.")
    yield from ("", "## Network", "")
    yield f"- input of the first layer: {shape_text(network.input_shape)}"
    yield f"- parameters: {totals.parameters:,}"
    yield f"- multiply-adds for one input: {totals.multiply_adds:,}"
    yield from ("", "| layer | output | parameters |", "|---|---|---:|")
    for row in network.rows:
        yield f"| `{row.path.removeprefix('model.')}` | {shape_text(row.output.shape)} | {row.parameters:,} |"
    yield from ("", "## Data", "", f"- data set: {trained.experiment.data.name}, digest `{facts.digest}`")
    yield f"- mean {_numbers(trained.program.mean)} and standard deviation {_numbers(trained.program.std)} of a channel"
    yield f"- {network.classes:,} {what}: {_classes(trained.classes)}"
    yield from ("", "## Numbers", "")
    if facts.metrics:
        yield from ("| metric | value |", "|---|---:|")
        yield from (f"| {metric} | {value:.6g} |" for metric, value in sorted(facts.metrics.items()))
    else:
        yield "None are recorded."
    if form == "safetensors":
        yield from ("", "## Weights", "", "Kernels are (*spatial, in, out).", "", "| name | shape |", "|---|---|")
        shapes = {path: shape for own in network.shapes() for path, shape in own.items()}
        yield from (f"| `{path}` | {shape_text(shape)} |" for path, shape in shapes.items())


def _unit(trained: Trained) -> str:
    if trained.vocabulary:
        return "the numbers of words in the vocabulary, padded with 0"
    if trained.input_dtype == "uint8":
        return "bytes, 0 is black and 255 is white"
    black, white = trained.value_range
    return f"{_numbers(black)} is black and {_numbers(white)} is white"


def _numbers(values: tuple[float, ...]) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _classes(classes: tuple[str, ...]) -> str:
    shown = ", ".join(name.replace("|", "\\|") for name in classes[:_MOST_CLASSES])
    return shown if len(classes) <= _MOST_CLASSES else f"{shown}, …"
