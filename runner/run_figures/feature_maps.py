"""The feature maps after every layer for each image."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from runner.layers.passes import Located
from runner.run_figures.subject import ALL, RunFigure, Subject, has_numbers

_MOST: Final = 24


def draw(subject: Subject) -> bytes:
    """A row of maps for each layer, with a column for each example."""
    from runner.figures import LayerMaps, feature_maps, png

    located, outputs = subject.network.located(), subject.activations
    layers = [LayerMaps(subject.place(path), outputs[path]) for path in shown_layers(located, outputs)]
    return png(feature_maps(subject.answered, subject.trained.classes, layers))


def shown_layers(located: Sequence[Located], outputs: Mapping[str, np.ndarray], most: int = _MOST) -> list[str]:
    """The paths of at most `most` layers, in the order of their outputs, as deep inside other layers as so many reach.

    Layers that only pass on or reshape their input, such as dropout in evaluation, are left out.
    """
    paths = [path for path in in_order_of_outputs(located) if path in outputs]
    shown: list[str] = []
    for depth in range(1, max(map(_depth, paths), default=0) + 1):
        deeper = _changing([path for path in paths if _depth(path) <= depth], outputs)
        if shown and len(deeper) > most:
            break
        shown = deeper
    kept = np.unique(np.linspace(0, len(shown) - 1, min(most, len(shown))).round().astype(int))
    return [shown[place] for place in kept]


def in_order_of_outputs(located: Sequence[Located]) -> list[str]:
    """The paths of layers in the order in which they are computed: a layer comes after the layers inside it."""
    found: list[str] = []
    around: list[str] = []
    for _, path in located:
        while around and not path.startswith(f"{around[-1]}."):
            found.append(around.pop())
        around.append(path)
    return found + around[::-1]


def _changing(paths: Sequence[str], outputs: Mapping[str, np.ndarray]) -> list[str]:
    """The paths of layers whose values differ from those of the layer before."""
    kept: list[str] = []
    for path in paths:
        if not kept or not np.array_equal(outputs[path].ravel(), outputs[kept[-1]].ravel()):
            kept.append(path)
    return kept


def _depth(path: str) -> int:
    """The number of layers that a layer is in, with itself."""
    return sum(re.match(r"\d+_", part) is not None for part in path.split("."))


FIGURE = RunFigure(draw, "the feature maps after every layer for each image", suits=has_numbers, tasks=ALL)
