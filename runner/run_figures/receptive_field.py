"""The receptive fields of units from the first layers to the chosen one, drawn on an image."""

from typing import Final

import numpy as np

from runner.explaining.fields import effective, theoretical
from runner.explaining.layers import is_spatial, rows_by_path
from runner.layers.base import shape_text
from runner.run_figures.subject import ALL, RunFigure, Subject, has_maps

_LAYERS: Final = 5


def draw(subject: Subject) -> bytes:
    """A column for each of some layers: the pixels that a unit can see, and those that it looks at."""
    from runner.figures import png
    from runner.figures.fields import Field, receptive_fields

    sight, image = subject.sight, subject.seen[0]
    rows = rows_by_path(subject.network)
    fields = []
    for path in layers_to(subject):
        maps = sight.outputs(image[None], path)[0]
        strongest = np.maximum(maps, 0).sum(axis=-1)
        row, column = np.unravel_index(int(strongest.argmax()), strongest.shape)
        position = int(row), int(column)
        weights = effective(sight, image[None], path, position)
        pixels = theoretical(rows[path].output, position)
        fields.append(Field(subject.place(path), shape_text(rows[path].output.shape), position, pixels, weights))
    return png(receptive_fields(image, fields, name=subject.examples[0].name))


def layers_to(subject: Subject) -> list[str]:
    """The paths of layers whose fields grow, up to the chosen layer; at most five of them, evenly apart."""
    rows = subject.network.rows
    growing: list[str] = []
    size: tuple[int, ...] = ()
    for row in rows:
        now = tuple(field.size for field in row.output.fields)
        if is_spatial(row) and (now != size or row.located.path == subject.path):
            growing.append(row.located.path)
            size = now
        if row.located.path == subject.path:
            break
    kept = np.unique(np.linspace(0, len(growing) - 1, min(_LAYERS, len(growing))).round().astype(int))
    return [growing[index] for index in kept]


FIGURE = RunFigure(
    draw,
    "the part of the image that a unit can see, and the part that it looks at",
    suits=has_maps,
    of_layer=True,
    tasks=ALL,
)
