"""Figures drawn from arrays: learning curves, filters, feature maps, … Only this package imports matplotlib.

    >>> run.log_figure("figures/learning_curves.png", lambda: png(learning_curves(history)))

What every run draws is a `Sheet`, and needs no matplotlib; it is imported by the modules whose figures need it.
Each function returns a figure without pyplot's global state, so any thread can draw.
"""

import io
from typing import TYPE_CHECKING

from runner.figures.answers import Answered, class_probabilities
from runner.figures.filters import filters, filters_before_and_after
from runner.figures.maps import LayerMaps, feature_maps
from runner.figures.sheet import DPI, Sheet

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "Answered",
    "LayerMaps",
    "class_probabilities",
    "feature_maps",
    "filters",
    "filters_before_and_after",
    "png",
]


def png(figure: "Figure | Sheet") -> bytes:
    """Renders a figure as a PNG at 150 dots per inch, in fonts that have its characters."""
    if isinstance(figure, Sheet):
        return figure.png()
    from runner.figures.fonts import choose_fonts

    choose_fonts(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()
