"""The layer table: what a network is and costs, before anything is compiled.

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
from runner.layers.base import Row, Shape, by_product
from runner.model import as_number, last_fields, totals
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


def surveyed(experiment: Experiment) -> tuple[list[Row], Shape]:
    """A row for every layer, and the shape of the input. Raises ConfigError where the layers do not fit."""
    data = experiment.data
    shape, classes = data.shape, data.class_count
    if shape is None or classes is None or data.undeclared:
        text = "must be given, since only the files tell it otherwise, got null"
        raise ConfigError(Fault(f"data.{data.undeclared}", text))
    if faults := experiment.faults(shape, classes, data.vocabulary_size):
        raise ConfigError(*faults)
    bound = experiment.model.bind(classes, data.vocabulary_size)
    rows = bound.survey(shape, classes, vocabulary=data.vocabulary_size).rows
    return rows, experiment.model.input_shape(shape)


def lowerings(experiment: Experiment, rows: list[Row], input_shape: Shape) -> list[str]:
    """How the convolution of each row is computed in training on this machine; empty where there is none."""
    data, settings = experiment.data, experiment.train
    assert data.class_count is not None, "whoever asks has surveyed the layers"
    model = experiment.model.bind(data.class_count, data.vocabulary_size, settings.precision)
    images = jax.ShapeDtypeStruct(
        (settings.batch_size // settings.accumulate, *input_shape), jnp.dtype(settings.precision)
    )
    images = images if data.vocabulary_size is None else jax.ShapeDtypeStruct(images.shape, jnp.int32)
    key = jax.random.key(0)

    def outputs(x: jax.Array) -> Any:
        return model.apply(*model.init(key, input_shape), x, training=True, key=key)

    here = placement.choose(settings.device)
    with lowered(here.lowering(settings.lowering)), recorded() as names:
        jax.eval_shape(outputs, images)
    each = iter(names)
    found = [next(each) if KINDS[row.kind].convolves else "" for row in rows]
    assert next(each, None) is None, "every convolution is of one row"
    return found


def as_json(experiment: Experiment, *, with_lowerings: bool = False) -> str:
    """One JSON object: `layers`, a row for each, and `totals`."""
    rows, input_shape = surveyed(experiment)
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
        for row in rows
    ]
    if with_lowerings:
        for layer, lowering in zip(layers, lowerings(experiment, rows, input_shape), strict=True):
            layer |= {"lowering": lowering} if lowering else {}
    return json.dumps({"layers": layers, "totals": totals(rows).model_dump()}, indent=2)


def as_text(experiment: Experiment, width: int = 100, *, with_lowerings: bool = False) -> str:
    """The same as a table for people, in `width` characters where they suffice."""
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table(experiment, width=width, with_lowerings=with_lowerings))
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def table(experiment: Experiment, width: int = 100, *, with_lowerings: bool = False) -> Table:
    """The table for a terminal `width` characters wide.

    Numbers stand in full if they fit, else in three digits; then paths lose their middle.
    """
    rows, input_shape = surveyed(experiment)
    title = f"{experiment.model.name} on {experiment.data.name}: {by_product(input_shape)} input"
    paths = [_short(row.path) for row in rows]
    ways = lowerings(experiment, rows, input_shape) if with_lowerings else None
    full = _table(rows, paths, title, _in_full, ways)
    if _width(full) <= width:
        return full
    left = width - _width(_table(rows, [""] * len(rows), title, _in_short, ways)) + len(_PATHS)
    return _table(rows, [_cut(path, left) for path in paths], title, _in_short, ways)


def _width(table: Table) -> int:
    return Console(width=10_000).measure(table).maximum


def _cut(path: str, longest: int) -> str:
    """A path in so many characters: its first index, and as much of its end as there is room for."""
    longest = max(longest, len(_PATHS))
    if len(path) <= longest:
        return path
    head = path[: path.index("]") + 1] + "…"
    return head + path[len(path) - longest + len(head) :]


def _table(
    rows: list[Row], paths: list[str], title: str, number: Callable[[int], str], ways: list[str] | None
) -> Table:
    sums = totals(rows)
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
        *(_fields(last_fields(rows)) if ways is None else ("",)),
    )
    for heading, footer in zip(headings, footers, strict=True):
        found.add_column(heading, footer=footer, justify="right", no_wrap=True)
    for index, (row, path) in enumerate(zip(rows, paths, strict=True)):
        fields = row.output.fields
        found.add_row(
            escape(path),
            by_product(row.output.shape),
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
    """A path without what every path has: `[3].repeat[0].conv` of `model.layers[3].repeat.layers[0].conv`."""
    return path.removeprefix(_PATHS).replace(".layers[", "[")


def _per_axis(values: tuple[int | Fraction, ...]) -> str:
    """One number where all axes agree, else one for each."""
    return str(values[0]) if len(set(values)) == 1 else "×".join(map(str, values))
