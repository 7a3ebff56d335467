"""Images of a run: those that it classified worst, and the filters of its convolutions."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure

from runner.figures.style import QUIET, RIGHT, WRONG, Array, empty_figure, short_name

_SHEET = 24
_FILTERS = 64
# Heights in a sheet of images, in inches: its heading, and the text above and below each image.
_HEADING, _ABOVE, _BELOW = 0.42, 0.16, 0.36


def worst_images(
    images: Array,
    labels: Array,
    probabilities: Array,
    classes: Sequence[str],
    *,
    files: Sequence[str] = (),
    of: str = "images",
    count: int = _SHEET,
) -> Figure:
    """A sheet of the images whose true class has the lowest probability, the worst first; `of` says what they are.

    Images are (n, h, w, c) or (n, length, c), labels (n,), probabilities (n, k). Each image has the name of its file
    above, or its index if there are no `files`, and its true class and the predicted class with its probability below.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    given = probabilities[np.arange(len(labels)), labels]
    worst = np.argsort(given, kind="stable")[:count]
    columns = max(1, min(8, len(worst)))
    rows = max(1, math.ceil(len(worst) / columns))
    figure = empty_figure(max(1.36 * columns, 5.5), 1.72 * rows + _HEADING, layout=None)
    predictions = probabilities.argmax(axis=1)
    wrong = int((predictions != labels).sum())
    figure.suptitle(
        f"The worst of {len(labels):,} {of}: {wrong:,} classified wrongly" if wrong else
        f"The least certain of {len(labels):,} {of}: all classified correctly",
        fontsize=11, fontweight="bold", y=1 - 0.5 * _HEADING / figure.get_figheight(), va="center",
    )  # fmt: skip
    for place, index in enumerate(worst):
        axes = _tile(figure, rows, columns, place)
        _draw_image(axes, np.asarray(images[index]))
        above = short_name(files[index].rpartition("/")[2], 22) if files else f"#{index}"
        axes.set_title(above, fontsize=6.5, color=QUIET, pad=2)
        predicted = int(predictions[index])
        colour = RIGHT if predicted == labels[index] else WRONG
        answer = f"as {short_name(classes[predicted], 11)}, {probabilities[index, predicted]:.0%}"
        _line_under(axes, 0, f"true: {short_name(classes[labels[index]], 13)}", color="black")
        _line_under(axes, 1, answer, color=colour, fontweight="bold")
    return figure


def _tile(figure: Figure, rows: int, columns: int, place: int) -> Axes:
    """Axes for an image with one line of text above and two below.

    Computed here, because matplotlib's layout solver takes as long as the rest of the drawing.
    """
    width, height = figure.get_size_inches()
    wide, high = width / columns, (height - _HEADING) / rows
    side = min(wide - 0.14, high - _ABOVE - _BELOW)
    row, column = divmod(place, columns)
    left = wide * (column + 0.5) - side / 2
    bottom = height - _HEADING - high * row - _ABOVE - side
    return figure.add_axes((left / width, bottom / height, side / width, side / height))


def filters(kernel: Array) -> Figure:
    """At most 64 filters of a convolution as tiles; kernels are (h, w, c_in, c_out) or (w, c_in, c_out).

    Three input channels are shown as colours around mid-grey. Otherwise the mean over the input channels is shown,
    blue below zero and red above.
    """
    kernel = np.asarray(kernel, np.float32)
    kernel = kernel[None] if kernel.ndim == 3 else kernel
    height, width, channels, count = kernel.shape
    tiles = kernel if channels == 3 else kernel.mean(axis=2, keepdims=True)
    shown = min(count, _FILTERS)
    columns = min(shown, 8 if shown <= 32 else 16)
    rows = math.ceil(shown / columns)
    figure = empty_figure(max(0.8 * columns, 4.5), 0.78 * rows + 0.5)
    more = f" of {count}" if count > shown else ""
    figure.suptitle(f"{shown}{more} filters, {height}×{width}×{channels}", fontsize=11, fontweight="bold")
    limit = float(np.abs(tiles).max()) or 1.0
    for index in range(shown):
        axes = figure.add_subplot(rows, columns, index + 1)
        if channels == 3:
            axes.imshow(tiles[..., index] / (2 * limit) + 0.5)
        else:
            axes.imshow(tiles[..., 0, index], cmap="RdBu_r", norm=CenteredNorm(0, limit))
        _bare(axes)
    return figure


def _draw_image(axes: Axes, image: Array) -> None:
    if image.ndim == 2:
        axes.plot(image, linewidth=0.8)
    elif image.shape[-1] == 3:
        # Floats may have any unit: if there are values below 0, the image is scaled to its own range.
        low = 0.0 if image.dtype == np.uint8 else min(float(image.min()), 0.0)
        width = 255 if image.dtype == np.uint8 else max(float(image.max()) - low, 1e-6)
        axes.imshow(np.clip((image - low) / width, 0, 1), interpolation="nearest")
    else:
        axes.imshow(image.mean(axis=-1), cmap="gray", interpolation="nearest")
    _bare(axes)


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
        spine.set_color(QUIET)


def _line_under(axes: Axes, line: int, text: str, **style: Any) -> None:
    offset = (0, -3 - 10.5 * line)
    axes.annotate(
        text,
        (0.5, 0),
        xytext=offset,
        xycoords="axes fraction",
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=7.2,
        **style,
    )
