"""The filters of every convolution."""

from typing import Final

import numpy as np

from runner.layers import places
from runner.run_figures.subject import ALL, RunFigure, Subject, has_numbers

_MOST: Final = 60


def draw(subject: Subject) -> bytes:
    """A row of filters for each convolution; of very deep networks for some of them."""
    from runner.figures import png
    from runner.figures.filters import every_filter

    params = places.dotted(subject.trained.params)
    paths = list(subject.network.kernels())
    kept = np.unique(np.linspace(0, len(paths) - 1, min(_MOST, len(paths))).round().astype(int))
    rows = [(subject.place(paths[index].rpartition(".")[0]), np.asarray(params[paths[index]])) for index in kept]
    return png(every_filter(rows))


FIGURE = RunFigure(
    draw,
    "the filters of every convolution",
    suits=lambda network: bool(network.kernels()) and has_numbers(network),
    tasks=ALL,
)
