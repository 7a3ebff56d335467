"""An example beside the outputs of the layers that read it, with their filters, sizes and values.

The layers are those with a sliding window whose input is the network's: the first one, or the first of each branch.
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import jax.numpy as jnp
import numpy as np

from runner import train
from runner.data.targets import strata
from runner.errors import shown
from runner.geometry import Window
from runner.layers import places, sequence
from runner.layers.base import Array, Layer, Shape
from runner.layers.composite import Composite, below
from runner.layers.conv import Conv
from runner.layers.initializers import InitializerRecord
from runner.layers.merging import Auxiliary
from runner.layers.passes import TOP, Located
from runner.network import Network
from runner.run_figures.subject import ALL, RunFigure, Subject, has_numbers

if TYPE_CHECKING:
    from runner.figures.responses import Look, Response, Seen

_SIZES: Final = ("filters", "kernel_size", "size", "kernel_init")
_FEW: Final = 20  # characters
_ACTIVATIONS: Final = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "gelu", "silu", "hard_swish", "mish"),
    *("tanh", "scaled_tanh", "sigmoid"),
)
_SIGNALS: Final = 4
_SMALL: Final = 150  # pixels of an example of which several are drawn


def draw(subject: Subject) -> bytes:
    """A cell for each example and each output, or for a signal a row."""
    from runner.figures import png
    from runner.figures.responses import responses

    return png(responses(seen(subject)))


def seen(subject: Subject) -> "list[Seen]":
    """The examples with the outputs of the layers that read them."""
    from runner.figures.responses import Seen

    few = _of_first_examples(subject)
    inputs = _inputs(few)
    layers = list(reading(subject.network.layers, subject.network.input_shape))
    titles = _titles([layer for layer, _ in layers])
    after = {here.path: _activation(subject.network, here) for _, here in layers}
    # Layers with the same filter differ in other things.
    about_filters = len({getattr(layer, "kernel_init", None) for layer, _ in layers}) == len(layers)
    found = []
    for number, (example, read) in enumerate(zip(few.examples, inputs, strict=True)):
        ends = (float(read.min()), float(read.max())) if _is_small(inputs) else _black_and_white(subject)
        name = "" if example.label is None else f": {subject.trained.classes[example.label]}"
        image = _response(read, "image", ends, title=f"{'signal' if read.ndim == 2 else 'image'}{name}")
        outputs = []
        for (layer, here), title in zip(layers, titles, strict=True):
            own = replace(_output(few, layer, here, number, ends), title=title)
            if not about_filters:
                own = replace(own, window=None)
            outputs.append(own)
            if next_one := after[here.path]:
                values = few.activations[next_one.path][number]
                name = next_one.path.rpartition(".")[2].partition("_")[2]
                outputs.append(
                    _response(values, own.look if own.look == "signed" else "range", ends, title=f"then {name}")
                )
        found.append(Seen(image, outputs))
    return found


def reading(layers: sequence.Layers, shape: Shape, where: Located = TOP) -> Iterator[tuple[Layer, Located]]:
    """The first layer with a window of each path, with its location; `shape` is that of the network's input."""
    for layer, here in sequence.entries(layers, where):
        if isinstance(layer, Auxiliary):  # is not computed in evaluation
            continue
        if isinstance(layer, Composite):
            found = [one for place, inner in layer.routes() for one in reading(inner, shape, below(here, place))]
        else:
            is_map = len(layer.output_shape(shape)) == len(shape)  # not flatten, whose window is the whole image
            found = [(layer, here)] if is_map and layer.windows(shape) else []
        if found:
            yield from found
            return
        if layer.output_shape(shape) != shape:
            return


def _activation(network: Network, here: Located) -> Located | None:
    """The activation function directly after a layer, if there is one."""
    located = network.located()
    row = next((place for place, one in enumerate(located) if one.path == here.path), -1)
    if row + 1 == len(located):
        return None
    above, _, own = located[row + 1].path.rpartition(".")
    is_next = above == here.path.rpartition(".")[0] and own.partition("_")[2] in _ACTIVATIONS
    return located[row + 1] if is_next else None


def _of_first_examples(subject: Subject) -> Subject:
    """The subject with the chosen examples, else with the first of the validation examples.

    It is one image, up to three if they are small, or up to four signals of different classes.
    """
    if subject.chosen:
        return subject
    val = subject.dataset.val
    if val.inputs.ndim == 3:
        _, firsts = np.unique(strata(val.labels), return_index=True)
        places = [int(place) for place in firsts[:_SIGNALS]]
    else:
        places = list(range(min(3 if _is_small(val.inputs) else 1, len(val))))
    return replace(subject, chosen=tuple(map(subject.validation_example, places)))


def _is_small(inputs: Array) -> bool:
    return inputs.ndim == 4 and math.prod(inputs.shape[1:]) <= _SMALL


def _inputs(subject: Subject) -> Array:
    """The examples as the first layer is given them, float32 (n, h, w, c) or (n, length, c)."""
    program = subject.trained.program
    images = jnp.asarray(np.stack([example.input for example in subject.examples]))
    fitted = program.network.fitted(images, train.value_range_of(program)[0])
    return np.asarray(train.normalised(program, fitted), np.float32)


def _black_and_white(subject: Subject) -> tuple[Array, Array]:
    """What the first layer is given for black and for white pixels, one number for each channel."""
    program = subject.trained.program
    mean, std = np.asarray(program.mean, np.float32), np.asarray(program.std, np.float32)
    black, white = (np.asarray(one, np.float32) for one in subject.trained.value_range)
    return (black - mean) / std, (white - mean) / std


def _output(subject: Subject, layer: Layer, here: Located, number: int, ends: tuple[Any, Any]) -> "Response":
    values = subject.activations[here.path][number]
    window = _window(subject, here) if isinstance(layer, Conv) else None
    look: Look = "signed" if values.min() < 0 < values.max() else "range"
    if window is not None:
        total, size = float(window.sum()), float(np.abs(window).sum())
        look = "signed" if abs(total) < 1e-3 * size else "image" if abs(total - 1) < 1e-3 else look
    elif layer.kind in ("max_pool", "avg_pool"):
        look = "image"
    shape = subject.network.input_shape
    inside = _inside(layer.windows(shape), shape) if values.ndim == 3 else None
    return replace(_response(values, look, ends, window), inside=inside)


def _window(subject: Subject, here: Located) -> Array | None:
    """What every filter of a convolution computes of an image of equal channels, if it is the same for all filters."""
    kernel = np.asarray(places.dotted(subject.trained.params)[f"{here.path}.kernel"])
    windows = kernel.sum(axis=-2)  # (*spatial, filters)
    return windows[..., 0] if np.ptp(windows, axis=-1).max() < 1e-6 else None


def _response(
    values: Array, look: "Look", ends: tuple[Any, Any], window: Array | None = None, title: str = ""
) -> "Response":
    """Values as they are drawn: of an image, in shares of the way from black to white, `ends`."""
    from runner.figures.responses import Response

    if values.ndim == 3 and values.shape[-1] not in (1, 3):
        values = values[..., :1]
    drawn = values
    if look == "image" and values.ndim == 3:
        black, white = (_per_channel(end, values.shape[-1]) for end in ends)
        drawn = (values - black) / np.where(white > black, white - black, 1)
    return Response(title, drawn, values, window if window is not None and window.ndim == 2 else None, look)


def _per_channel(numbers: Any, channels: int) -> Array:
    """One number for each of so many channels; their mean if the channels are not those of the image."""
    given = np.atleast_1d(np.asarray(numbers, np.float32))
    return given if len(given) in (1, channels) else given.mean(keepdims=True)


def _inside(windows: tuple[Window, ...], shape: Shape) -> tuple[int, int, int, int] | None:
    """The part of an output whose windows have their middle on the image: top, left, bottom, right; None for all."""
    parts = []
    for window, length in zip(windows, shape, strict=False):
        start = (window.size - 1) // 2 * window.dilation - window.low
        first = max(0, math.ceil(-start / window.stride))
        last = min(window.output_size(length) - 1, (length - 1 - start) // window.stride)
        parts.append((first, last + 1, window.output_size(length)))
    if all(first == 0 and end == size for first, end, size in parts):
        return None
    (top, bottom, _), (left, right, _) = parts
    return top, left, bottom, right


def _titles(layers: list[Layer]) -> list[str]:
    """What the YAML says of each layer, without defaults and what it says of all; a single one without its sizes."""
    said = [
        {name: _shown(getattr(layer, name)) for name in type(layer).model_fields if name in layer.model_fields_set}
        for layer in layers
    ]
    if "kernel_init" in said[0] and len({own.get("kernel_init", "") for own in said}) == len(said) > 1:
        return [(own["kernel_init"] or "its numbers") if "kernel_init" in own else "learnt filters" for own in said]
    several = len({layer.kind for layer in layers}) > 1
    titles = []
    for layer, own in zip(layers, said, strict=True):
        parts = [
            f"{name}: {value}"
            for name, value in own.items()
            if value and getattr(layer, name) != type(layer).model_fields[name].default
            and (name not in _SIZES if len(layers) == 1 else any(other.get(name) != value for other in said))
        ]  # fmt: skip
        if not parts and len(layers) > 1 and not several:  # has the defaults, from which the others differ
            parts = [
                f"{name}: {value}" for name, value in own.items() if any(other.get(name) != value for other in said)
            ]
            parts = parts[:2]
        titles.append(", ".join([layer.kind, *parts] if several or len(layers) == 1 or not parts else parts))
    return titles


def _shown(value: Any) -> str:
    """A value as in YAML; nothing for many numbers of a filter, which are drawn."""
    if isinstance(value, InitializerRecord):
        text = str(value).replace(".0", "")
        return "" if value.known is not None and not isinstance(value.known, str) and len(text) > _FEW else text
    return shown(value)


def suits(network: Network) -> bool:
    """Suits networks that begin with a window over an image or a signal."""
    return has_numbers(network) and bool(list(reading(network.layers, network.input_shape)))


FIGURE = RunFigure(draw, "an example beside the outputs of the layers that read it", suits=suits, tasks=ALL)
