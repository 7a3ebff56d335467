"""The layer table: the shapes and costs of a network, without compiling it.

>>> print(as_text(experiment))
"""

import json
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import jax
import jax.numpy as jnp
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner import placement
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
_COSTS = ("output", "parameters", "multiply-\nadds", "memory")
_FIELDS = ("receptive\nfield", "stride", "padding")
_CAPTION = (
    "One image in float32. Receptive field, effective stride and padding in pixels of "
    "the input; their totals are those of the last feature map."
)
_CAPTION_OF_LOWERINGS = "One image in float32. Lowerings are those of a step of training on this machine."


def bound(experiment: Experiment) -> Network:
    """The network for the declared data. Raises ConfigError if the layers do not fit them."""
    data = experiment.data
    shape, classes = data.shape, data.class_count
    if shape is None or classes is None or data.undeclared:
        text = "must be given, since only the files tell it otherwise, got null"
        raise ConfigError(Fault(f"data.{data.undeclared}", text))
    return experiment.network(shape, classes, data.vocabulary_size)


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


def as_json(experiment: Experiment, *, with_lowerings: bool = False) -> str:
    """One JSON object with `layers`, a row for each, and `totals`."""
    network = bound(experiment)
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


def as_text(experiment: Experiment, width: int = 100, *, with_lowerings: bool = False) -> str:
    """The table as text, `width` characters wide if possible."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table(experiment, width=width, with_lowerings=with_lowerings))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def table(experiment: Experiment, width: int = 100, *, with_lowerings: bool = False) -> Table:
    """The table for a terminal `width` characters wide.

    Numbers are printed in full if they fit, else in three digits; then paths are shortened in the middle.
    """
    network = bound(experiment)
    title = f"{experiment.model.name} on {experiment.data.name}: {shape_text(network.input_shape)} input"
    paths = [_short(row.path) for row in network.rows]
    ways = lowerings(experiment, network) if with_lowerings else None
    full = _table(network, paths, title, _in_full, ways)
    if _width(full) <= width:
        return full
    left = width - _width(_table(network, [""] * len(paths), title, _in_short, ways)) + len(_PATHS)
    return _table(network, [_cut(path, left) for path in paths], title, _in_short, ways)


def _width(table: Table) -> int:
    return Console(width=10_000).measure(table).maximum


def _cut(path: str, longest: int) -> str:
    """A path shortened to `longest` characters: its first index, and the end."""
    longest = max(longest, len(_PATHS))
    if len(path) <= longest:
        return path
    head = path[: path.index("]") + 1] + "…"
    return head + path[len(path) - longest + len(head) :]


def _table(
    network: Network, paths: list[str], title: str, number: Callable[[int], str], ways: list[str] | None
) -> Table:
    sums = network.totals
    found = Table(
        title=escape(title),
        title_justify="left",
        title_style="bold",
        caption=_CAPTION if ways is None else _CAPTION_OF_LOWERINGS,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        show_footer=True,
        pad_edge=False,
        padding=0,
    )
    found.add_column(_PATHS, footer="total", no_wrap=True)
    headings = (*_COSTS, *(_FIELDS if ways is None else ("lowering",)))
    footers = (
        "",
        *_costs(sums.parameters, sums.multiply_adds, sums.activation_bytes, number),
        *(_fields(network.last_fields) if ways is None else ("",)),
    )
    for heading, footer in zip(headings, footers, strict=True):
        found.add_column(heading, footer=footer, justify="right", no_wrap=True)
    for index, (row, path) in enumerate(zip(network.rows, paths, strict=True)):
        fields = row.output.fields
        found.add_row(
            escape(path),
            shape_text(row.output.shape),
            *_costs(row.parameters, row.multiply_adds, row.activation_bytes, number),
            *(_fields(fields) if ways is None else (ways[index],)),
        )
    return found


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


def _per_axis(values: tuple[int | Fraction, ...]) -> str:
    """One number if all axes have the same, else one for each."""
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))
