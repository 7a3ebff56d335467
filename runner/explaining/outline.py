"""The outline of a network for a diagram: boxes one after another, and groups with parallel paths that join.

>>> [box] = outline(network).parts[:1]
>>> box.title, box.detail, box.shape
('conv', 'filters 4, kernel_size 3', '6×6×4')
"""

from dataclasses import dataclass
from typing import Any, Final

from runner.errors import shown
from runner.layers.base import Layer, Shape, shape_text
from runner.layers.composite import Composite
from runner.layers.listed import Block, Repeat, When
from runner.network import Network

_LONGEST: Final = 44
_HIDDEN: Final = ("use_bias", "name", "declared")


@dataclass(frozen=True)
class Box:
    """A layer: its kind, the settings that are not the defaults, the shape of its output, and its learnt values."""

    title: str
    detail: str
    shape: str
    parameters: int
    family: str  # conv, pool, dense, activation, norm or other: how it is coloured


@dataclass(frozen=True)
class Group:
    """Layers inside a layer, as parallel paths from one input, each with the parts on it; an empty path is the input.

    `joint` is the sign where the paths join; empty if there is one path, or if only the first goes on (`goes_on`).
    """

    title: str
    paths: tuple[tuple["Box | Group", ...], ...]
    joint: str
    shape: str
    side: bool = False  # the later paths end here: a side head


@dataclass(frozen=True)
class Outline:
    """A whole network: the shape of its input, and its parts from input to output."""

    input: str
    parts: tuple["Box | Group", ...]


def outline(network: Network) -> Outline:
    """The outline of a network. A repeated list of layers is drawn once."""
    return Outline(shape_text(network.input_shape), _parts(network.layers, network.input_shape))


def _parts(layers: tuple[Layer, ...], shape: Shape) -> tuple[Box | Group, ...]:
    found: list[Box | Group] = []
    for layer in layers:
        after = layer.output_shape(shape)
        if isinstance(layer, When):
            [(_, inner)] = layer.routes()
            found += _parts(inner, shape)
        elif isinstance(layer, Repeat) and layer.times != 1:
            if layer.times:
                found.append(Group(f"{layer.times} ×", (_parts(layer.layers, shape),), "", shape_text(after)))
        elif isinstance(layer, Composite):
            found.append(_group(layer, shape))
        else:
            count = layer.parameter_count(shape)
            found.append(Box(layer.kind, _detail(layer), shape_text(after), count, _family(layer, shape)))
        shape = after
    return tuple(found)


def _group(layer: Composite, shape: Shape) -> Group:
    paths = [_parts(layers, shape) for _, layers in layer.routes()]
    if layer.takes_input:
        paths.insert(0, ())
    title = layer.name if isinstance(layer, Block) else layer.kind
    return Group(
        title,
        tuple(paths),
        layer.joint,
        shape_text(layer.output_shape(shape)),
        side=layer.takes_input and not layer.joint,
    )


def _detail(layer: Layer) -> str:
    """The settings of a layer that are needed, or that are not the defaults."""
    said: list[str] = []
    for name, field in type(layer).model_fields.items():
        value: Any = getattr(layer, name)
        if name in _HIDDEN or name.endswith("_init") or value == field.default:
            continue
        said.append(f"{name} {shown(value)}")
    text = ", ".join(said)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def _family(layer: Layer, shape: Shape) -> str:
    """What a layer does, by what it declares of itself."""
    if any(parameter.kernel and len(parameter.shape) > 2 for parameter in layer.parameters(shape).values()):
        return "conv"
    if layer.multiply_adds(shape):
        return "dense"
    if layer.statistics(shape) or layer.kind.endswith("norm") or "normalization" in layer.kind:
        return "norm"
    if (layer.windows(shape) or layer.kind.endswith("_pool")) and len(layer.output_shape(shape)) == len(shape):
        return "pool"
    return "activation" if layer.output_shape(shape) == shape else "other"
