"""The layer table: the shapes and costs of a network, without compiling it.

>>> print(as_text(experiment))
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner import placement
from runner.data.examples import Report
from runner.data.loading import form_of
from runner.errors import ConfigError, Fault
from runner.experiment import Experiment
from runner.geometry import ReceptiveField
from runner.layers import KINDS
from runner.layers.base import shape_text
from runner.layers.passes import Pass
from runner.network import Network, as_number
from runner.ops.conv import recorded
from runner.ops.lowering import lowered

_PATHS = "model.layers"
_COSTS = ("output", "parameters", "multiply-adds", "memory")
_FIELDS = ("receptive field", "stride", "padding")
_HEADINGS = {name: name for name in (*_COSTS, *_FIELDS, "lowering")} | {
    "multiply-adds": "multiply-\nadds",
    "receptive field": "receptive\nfield",
}
_NARROW_HEADINGS = _HEADINGS | {
    "parameters": "param-\neters",
    "multiply-adds": "multi-\nply-adds",
    "receptive field": "recep-\ntive\nfield",
}
# Columns that narrow terminals do without, the first one first.
_LEFT_OUT = ("padding", "stride", "memory", "receptive field")
# By the number of columns about receptive fields.
_CAPTIONS = {
    3: "Receptive field, effective stride and padding in pixels of the input; their totals are those of the last "
    "feature map.",
    2: "Receptive field and effective stride in pixels of the input; their totals are those of the last feature map.",
    0: "",
    1: "Receptive field in pixels of the input; its total is that of the last feature map.",
}


def bound(experiment: Experiment, *, report: Report | None = None) -> Network:
    """The network for the declared data; what is not declared is read from the files, and `report` gets the progress.

    Raises ConfigError if the layers do not fit the data, and DataError if the files cannot be read.
    """
    data = experiment.source
    if data.shape is not None and data.output_count is not None and not data.undeclared:
        return experiment.network(data.shape, data.output_count, data.vocabulary_size)
    if data.folder is None:
        text = "must be given, since only the files tell it otherwise, got null"
        raise ConfigError(Fault(f"data.{data.undeclared}", text))
    return experiment.network(*form_of(data, report=report))


def lowerings(experiment: Experiment, network: Network) -> list[str]:
    """The lowering of each row's convolution in training on this machine; empty if it has none."""
    settings = experiment.train
    dtype = jnp.dtype(settings.precision if network.vocabulary is None else jnp.int32)
    images = jax.ShapeDtypeStruct((settings.batch_size // settings.accumulate, *network.input_shape), dtype)
    key = jax.random.key(0)

    def outputs(x: jax.Array) -> Any:
        return network.apply(*network.init(key), x, Pass(training=True, key=key))

    here = placement.choose(settings.device)
    with lowered(here.lowering(settings.lowering)), recorded() as names:
        jax.eval_shape(outputs, images)
    each = iter(names)
    found = [next(each) if KINDS[row.kind].convolves else "" for row in network.rows]
    assert next(each, None) is None, "every convolution is of one row"
    return found


def as_json(experiment: Experiment, *, with_lowerings: bool = False, report: Report | None = None) -> str:
    """One JSON object with `layers`, a row for each, and `totals`. For `report` see `bound`."""
    network = bound(experiment, report=report)
    layers: list[dict[str, Any]] = [
        {
            "path": row.path,
            "kind": row.kind,
            "output_shape": row.output.shape,
            "parameters": row.parameters,
            "multiply_adds": row.multiply_adds,
            "activation_bytes": row.activation_bytes,
            "receptive_field": [field.size for field in row.output.fields],
            "effective_stride": [as_number(field.stride) for field in row.output.fields],
            "effective_padding": [field.padding for field in row.output.fields],
        }
        for row in network.rows
    ]
    if with_lowerings:
        for layer, lowering in zip(layers, lowerings(experiment, network), strict=True):
            layer |= {"lowering": lowering} if lowering else {}
    return json.dumps({"layers": layers, "totals": network.totals.model_dump()}, indent=2)


def as_text(
    experiment: Experiment,
    width: int | None = 100,
    *,
    with_lowerings: bool = False,
    network: Network | None = None,
) -> str:
    """The table as text, `width` characters wide if possible; None: as wide as it is. For `network` see `table`."""
    return text_of(table(experiment, width=width, with_lowerings=with_lowerings, network=network))


def text_of(table: Table) -> str:
    """A table as lines of text, all of it, however wide it is."""
    console = Console(width=width_of(table), color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def table(
    experiment: Experiment,
    width: int | None = 100,
    *,
    with_lowerings: bool = False,
    report: Report | None = None,
    network: Network | None = None,
) -> Table:
    """The table for a terminal `width` characters wide; None: as wide as it is.

    If it does not fit, numbers are printed in three digits, then paths by their indices alone, then columns are left
    out. What distinguishes two rows stays: in a still narrower terminal the lines are longer than its width. For
    `report` see `bound`, which makes the network if none is given.
    """
    network = network or bound(experiment, report=report)
    title = f"{experiment.model.name} on {experiment.data.name}: {shape_text(network.input_shape)} input"
    ways = lowerings(experiment, network) if with_lowerings else None
    full = _numbered([_short(row.path) for row in network.rows])
    indexed = _numbered([_indexed(row.path) for row in network.rows])
    forms = [
        _Form(full, _in_full, _HEADINGS),
        _Form(full, _in_short, _HEADINGS),
        *(_Form(indexed, _in_short, _NARROW_HEADINGS, _LEFT_OUT[:count]) for count in range(len(_LEFT_OUT) + 1)),
    ]
    for form in forms:
        found = _table(network, title, form, ways)
        if width is None or width_of(found) <= width:
            break
    return found


class _Form(NamedTuple):
    """How a table is written: the paths of its rows, its numbers, its headings by column, and what it leaves out."""

    paths: list[str]
    number: Callable[[int], str]
    headings: Mapping[str, str]
    without: Sequence[str] = ()


def width_of(table: Table) -> int:
    """The width of a table that is not shortened."""
    return Console(width=10_000).measure(table).maximum


def _table(network: Network, title: str, form: _Form, ways: list[str] | None) -> Table:
    sums = network.totals
    names = [*_COSTS, *(_FIELDS if ways is None else ("lowering",))]
    form = form._replace(without=[name for name in form.without if name in names])
    found = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        caption=" ".join(_captions(network, form, ways)),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        show_footer=True,
        pad_edge=False,
        padding=0,
    )
    kept = [index for index, name in enumerate(names) if name not in form.without]
    footers = [
        "",
        *_costs(sums.parameters, sums.multiply_adds, sums.activation_bytes, form.number),
        *(_fields(network.last_fields) if ways is None else ("",)),
    ]
    found.add_column(_PATHS, footer="total", no_wrap=True)
    for index in kept:
        found.add_column(form.headings[names[index]], footer=footers[index], justify="right", no_wrap=True)
    for number, (row, path) in enumerate(zip(network.rows, form.paths, strict=True)):
        cells = [
            shape_text(row.output.shape),
            *_costs(row.parameters, row.multiply_adds, row.activation_bytes, form.number),
            *(_fields(row.output.fields) if ways is None else (ways[number],)),
        ]
        found.add_row(escape(path), *(cells[index] for index in kept))
    return found


def _captions(network: Network, form: _Form, ways: list[str] | None) -> Iterator[str]:
    """The sentences below the table."""
    sizes = [field.size for row in network.rows for field in row.output.fields]
    if ways is None:
        shown = [name for name in _FIELDS if name not in form.without]
        yield f"One image in float32. {_CAPTIONS[len(shown)]}".strip()
        if shown and max(sizes, default=0) > max(network.input_shape[:-1]):
            image = shape_text(network.input_shape[:-1])
            yield f"A receptive field larger than the {image} input reaches into the padding around it."
    else:
        yield "One image in float32. Lowerings are those of a step of training on this machine."
    if any(path.endswith(")") for path in form.paths):
        yield "(2) is the second copy of a repeated layer."
    if any("." in path[: path.find("]")] for path in form.paths):
        yield escape("[5.0.2] is layer 2 within layer 0 of model.layers[5].")
    if form.without:
        left_out = " and ".join([", ".join(form.without[:-1])] * (len(form.without) > 1) + [form.without[-1]])
        yield f"Wider terminals show {left_out}."


def _fields(fields: tuple[ReceptiveField, ...]) -> list[str]:
    each = zip(*((field.size, field.stride, field.padding) for field in fields), strict=True)
    return [_per_axis(tuple(values)) for values in each] or [""] * len(_FIELDS)


def _costs(parameters: int, multiply_adds: int, activation_bytes: int, number: Callable[[int], str]) -> list[str]:
    counts = [number(count) if count else "" for count in (parameters, multiply_adds)]
    return [*counts, f"{_in_short(activation_bytes)}B"]


def _in_full(count: int) -> str:
    return f"{count:,}"


def _in_short(count: int) -> str:
    """A count in three digits: 999, 18.8 k, 61.1 M."""
    if count < 1000:
        return f"{count} "
    size = float(count)
    for unit in "kMGT":
        size /= 1000
        if size < 999.5 or unit == "T":
            break
    return f"{size:.3g} {unit}" if size >= 100 else f"{size:.1f} {unit}"


def _short(path: str) -> str:
    """A path without the parts that all paths have: `[3].repeat[0].conv` of `model.layers[3].repeat.layers[0].conv`."""
    return path.removeprefix(_PATHS).replace(".layers[", "[")


def _indexed(path: str) -> str:
    """A path without the kinds above the layer: `[3.0].conv`; lists that have a name of their own keep it."""
    *above, kind = re.findall(r"[\w$]+|\[\d+\]", path.removeprefix(_PATHS))
    names = [
        part.strip("[]")
        for part, following in zip(above, [*above[1:], kind], strict=True)
        if part[0] == "[" or (following[0] == "[" and part not in ("layers", "paths"))
    ]
    return f"[{'.'.join(names)}].{kind}"


def _numbered(paths: Sequence[str]) -> list[str]:
    """The paths, with the number of each copy of a layer that is repeated."""
    counts, copies, found = Counter(paths), Counter[str](), []
    for path in paths:
        copies[path] += 1
        found.append(f"{path} ({copies[path]})" if counts[path] > 1 else path)
    return found


def _per_axis(values: tuple[int | Fraction, ...]) -> str:
    """One number if all axes have the same, else one for each."""
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))
