"""The charts of the report, and the filters of the best member, as PNG files."""

import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from runner.charts import Section
from runner.layers import places
from runner.trained import Trained


def figures(charts: Iterable[Section]) -> Mapping[str, Callable[[], bytes]]:
    """A figure for each section, by name; calling one draws it as a PNG."""
    return {section.name: functools.partial(_drawn, section) for section in charts}


def _drawn(section: Section) -> bytes:
    from runner.figures import png  # matplotlib takes its time, and the thread that draws has it
    from runner.figures.charts import drawn

    return png(drawn(section))


def first_filters(network: Trained) -> bytes | None:
    """The filters of a network's first convolution; None if it has none, or if it reads texts."""
    kernels = network.program.network.kernels()
    if not kernels or network.vocabulary:
        return None
    from runner.figures import filters, png

    path = next(iter(kernels))
    place = places.place_of(path.rpartition(".")[0], network.program.network.located())
    return png(filters(np.asarray(places.dotted(network.params)[path]), place))
