"""An input of a network in the axes of a figure."""

from matplotlib.axes import Axes

from runner.figures.canvas import pictured
from runner.figures.style import QUIET, Array


def draw_input(axes: Axes, image: Array) -> None:
    """An image, or the curves of a signal (length, c), without ticks."""
    if image.ndim == 2:
        axes.plot(image, linewidth=0.8)
    else:
        axes.imshow(pictured(image), interpolation="nearest")
        axes.set_anchor("NW")
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
        spine.set_color(QUIET)
