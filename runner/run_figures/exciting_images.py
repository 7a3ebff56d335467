"""The parts of validation images that excite the filters of a layer most."""

import numpy as np

from runner.explaining.excitation import lively
from runner.explaining.fields import theoretical
from runner.explaining.layers import feature_map
from runner.run_figures.subject import ALL, RunFigure, Subject, has_maps

_FILTERS, _PARTS = 8, 9


def draw(subject: Subject) -> bytes:
    """A row for each of some filters with the images that it responds to most, cut to the unit's receptive field."""
    from runner.figures import png
    from runner.figures.excitation import exciting_images
    from runner.figures.style import short_place

    sight, path, inputs = subject.sight, subject.path, subject.dataset.val.inputs
    indices, values, positions = subject.excitement
    at = feature_map(subject.network, path)
    rows = []
    for channel in lively(values, _FILTERS):
        best = np.argsort(-values[:, channel], kind="stable")[:_PARTS]
        seen = sight.seen(inputs[indices[best]])
        parts = []
        for image, (row, column) in zip(seen, positions[best, channel], strict=True):
            top, left, bottom, right = theoretical(at, (int(row), int(column))).within(*image.shape[:2])
            parts.append(image[top:bottom, left:right])
        rows.append((channel, float(values[best[0], channel]), parts))
    note = f"the {_FILTERS} filters whose responses differ most between images; each part is what one unit can see"
    of = short_place(subject.place(path), 40)
    title = f"What excites the filters of {of} most, of {len(indices):,} validation images"
    return png(exciting_images(rows, title=title, note=note))


FIGURE = RunFigure(
    draw, "the parts of validation images that excite filters most", suits=has_maps, of_layer=True, tasks=ALL
)
