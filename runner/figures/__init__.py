"""Figures drawn from arrays: learning curves, filters, feature maps, … Only this package imports matplotlib.

    >>> run.log_figure("figures/learning_curves.png", lambda: png(learning_curves(history)))

Each function returns a `Figure` without pyplot's global state, so any thread can draw.
"""

import io

from matplotlib.figure import Figure

from runner.figures.answers import Answered, class_probabilities
from runner.figures.confusion import confusion_matrix
from runner.figures.curves import learning_curves
from runner.figures.filters import filters, filters_before_and_after
from runner.figures.fonts import choose_fonts
from runner.figures.images import worst_images
from runner.figures.maps import LayerMaps, feature_maps

__all__ = [
    "Answered",
    "LayerMaps",
    "class_probabilities",
    "confusion_matrix",
    "feature_maps",
    "filters",
    "filters_before_and_after",
    "learning_curves",
    "png",
    "worst_images",
]

_DPI = 150


def png(figure: Figure) -> bytes:
    """Renders a figure as a PNG at 150 dots per inch, in fonts that have its characters."""
    choose_fonts(figure)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
