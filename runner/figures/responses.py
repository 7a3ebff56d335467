"""An example beside the outputs of the layers that read it: with the filter of each, its size and its values.

A `Seen` is an example with its outputs. `responses` draws maps as pictures, small maps as numbers, signals as curves.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import CenteredNorm
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from runner.figures.style import QUIET, TRAIN, VAL, Array, empty_figure, short_name

Look = Literal["image", "signed", "range"]
"""How values become colours.

image: from 0 (black) to 1 (white); signed: blue below zero, red above; range: from 0, or the smallest value below it.
"""

_CELL: Final = 3.2  # width of a cell in inches
_TITLE: Final = 0.5  # height of the two lines above a map
_GAP: Final = 0.12
_MOST_NUMBERS: Final = 150  # of a map whose values are written into it
_WIDEST: Final = 12.0  # a row of numbered maps, in inches
_MOST_OF_THEM: Final = 99.5  # per cent of the values of a signed map that its colours tell apart
_SMALLEST: Final = 0.2  # maps are drawn to one scale if the smallest is at least this share of the largest


@dataclass(frozen=True, eq=False)
class Response:
    """The output of a layer: `drawn` (h, w, c) or (length, c) as it is drawn, `values` as the layer computes it.

    `window` is its filter (h, w) or (length,); None if it has none, or several. `inside` is the part of the output
    that is computed at pixels of the image, not of its padding: top, left, bottom, right.
    """

    title: str
    drawn: Array
    values: Array
    window: Array | None = None
    look: Look = "image"
    inside: tuple[int, int, int, int] | None = None


@dataclass(frozen=True, eq=False)
class Seen:
    """An example, and the outputs of layers for it."""

    image: Response
    outputs: Sequence[Response]


def responses(seen: Sequence[Seen]) -> Figure:
    """A cell for each example, followed by the cells of its outputs: maps of images, or curves of signals."""
    if seen[0].image.drawn.ndim == 2:
        return _curves(seen)
    if _has_numbers(seen[0].image):
        return _numbered(seen)
    return _pictures([seen[0].image, *seen[0].outputs])


def _pictures(cells: Sequence[Response]) -> Figure:
    """Maps in three columns, each with its filter to the left; to one scale unless some would be too small."""
    columns = min(3, len(cells))
    lines = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    beside = 1.0 if any(one.window is not None for one in cells) else 0.0
    room = _CELL - beside - _GAP
    heights, widths = zip(*(one.drawn.shape[:2] for one in cells), strict=True)
    to_scale = min(*heights, *widths) >= _SMALLEST * max(*heights, *widths)
    scales = [min(room / max(widths) if to_scale else room / width, 1.25 * room / max(heights)) for width in widths]
    tall = [
        max(len(one.drawn) * scale for one, scale in zip(line, scales[number * columns :], strict=False))
        for number, line in enumerate(lines)
    ]
    tall = [max(one, 1.05) if beside else one for one in tall]
    figure = empty_figure(columns * _CELL + _GAP, sum(tall) + len(lines) * (_TITLE + _GAP), layout=None)
    above = figure.get_figheight()
    for number, line in enumerate(lines):
        above -= _TITLE
        for column, one in enumerate(line):
            left = _GAP + column * _CELL
            if one.window is not None:
                _window(figure, one.window, (left, above), (beside - _GAP) / max(one.window.shape))
                left += beside
            _map(figure, one, (left, above), scales[number * columns + column])
        above -= tall[number] + _GAP
    return figure


def _numbered(seen: Sequence[Seen]) -> Figure:
    """A row for each example: small maps and filters to one scale, with their numbers."""
    scale = min(0.42, _WIDEST / sum(max(size, 1.6 / 0.42) for size in _widths(seen)))
    tall = max(one.drawn.shape[0] for row in seen for one in (row.image, *row.outputs)) * scale
    tall = max(tall, *(len(one.window) * scale for row in seen for one in row.outputs if one.window is not None), 0.0)
    high = tall + _TITLE + 2 * _GAP
    gap = 3 * _GAP
    wide = sum(max(size * scale, 1.6) + gap for size in _widths(seen))
    figure = empty_figure(wide, len(seen) * high, layout=None)
    for number, row in enumerate(seen):
        left, above = _GAP, figure.get_figheight() - number * high - _TITLE
        for one in (row.image, *row.outputs):
            if one.window is not None:
                _text(figure, left, above + 0.29, "filter", weight="bold", size=9)
                _text(figure, left, above + 0.11, "×".join(map(str, one.window.shape)), colour=QUIET, size=7.5)
                _window(figure, one.window, (left, above), scale)
                left += max(one.window.shape[1] * scale, 1.6) + gap
            _map(figure, one, (left, above), scale)
            left += max(one.drawn.shape[1] * scale, 1.6) + gap
    return figure


def _widths(seen: Sequence[Seen]) -> list[int]:
    """The widths of an example, its filters and its outputs, in pixels."""
    widths = [seen[0].image.drawn.shape[1]]
    for one in seen[0].outputs:
        widths += [] if one.window is None else [one.window.shape[1]]
        widths.append(one.drawn.shape[1])
    return widths


def _has_numbers(one: Response) -> bool:
    return one.values.shape[-1] == 1 and one.values.size <= _MOST_NUMBERS


def _bare(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_linewidth(0.4)
        spine.set_color(QUIET)


def _axes(figure: Figure, left: float, bottom: float, width: float, height: float) -> Axes:
    wide, high = figure.get_size_inches()
    return figure.add_axes((left / wide, bottom / high, width / wide, height / high))


def _text(
    figure: Figure, left: float, bottom: float, text: str, *, size: float, colour: str = "black", weight: str = "normal"
) -> None:
    wide, high = figure.get_size_inches()
    figure.text(left / wide, bottom / high, short_name(text, 46), fontsize=size, color=colour, fontweight=weight)


def _facts(one: Response) -> str:
    """The size of a map and the range of its values."""
    low, high = float(one.values.min()), float(one.values.max())
    shape = "×".join(map(str, one.values.shape))
    return f"{shape}, {_number(low)} … {_number(high)}" if high > low else f"{shape}, {_number(low)}"


def _number(value: float) -> str:
    """A value in four digits at most; small fractions that rounding leaves are zero."""
    if abs(value) < 5e-4:
        return "0"
    text = f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return text.replace("-", "−")


def _map(figure: Figure, one: Response, corner: tuple[float, float], scale: float) -> None:
    """A map with its title above; `corner` is its top left, `scale` the width of a pixel, in inches."""
    image, (left, top) = one.drawn, corner
    height, width = image.shape[0] * scale, image.shape[1] * scale
    _text(figure, left, top + 0.29, one.title, weight="bold", size=9)
    _text(figure, left, top + 0.11, _facts(one), colour=QUIET, size=7.5)
    axes = _axes(figure, left, top - height, width, height)
    if one.look == "image":
        axes.imshow(np.clip(image if image.shape[-1] == 3 else image[..., 0], 0, 1), cmap="gray", vmin=0, vmax=1)
    elif one.look == "signed":
        mean = image.mean(axis=-1)
        limit = float(np.percentile(np.abs(mean), _MOST_OF_THEM)) or float(np.abs(mean).max()) or 1.0
        axes.imshow(mean, cmap="RdBu_r", vmin=-limit, vmax=limit)
    else:
        low, high = min(float(image.min()), 0.0), float(image.max())
        scaled = (image - low) / ((high - low) or 1.0)
        axes.imshow(scaled if image.shape[-1] == 3 else scaled[..., 0], cmap="gray", vmin=0, vmax=1)
    _bare(axes)
    if one.inside is not None:
        above, before, below, after = one.inside
        axes.add_patch(
            Rectangle(
                (before - 0.5, above - 0.5), after - before, below - above,
                fill=False, edgecolor=VAL, linewidth=1.3, linestyle="--",
            )
        )  # fmt: skip
    if _has_numbers(one):
        _numbers(axes, one.values[..., 0], scale)


def _numbers(axes: Axes, values: Array, inches: float) -> None:
    """Writes each value into its cell, in black or white, whatever the colour below allows."""
    image = axes.images[0]
    colours = np.asarray(image.cmap(image.norm(np.asarray(image.get_array(), float))))  # (h, w, rgba)
    longest = max(len(_number(float(value))) for value in values.flat)
    size = min(12.0, 72 * inches * 0.42, 72 * inches * 1.3 / longest)
    for (row, column), value in np.ndenumerate(values):
        dark = float(np.dot(colours[row, column, :3], (0.299, 0.587, 0.114))) < 0.5
        axes.text(
            column,
            row,
            _number(float(value)),
            ha="center",
            va="center",
            fontsize=size,
            color="white" if dark else "black",
        )


def _window(figure: Figure, window: Array, corner: tuple[float, float], scale: float) -> None:
    """A filter with its numbers, as whole numbers over one divisor where that is possible."""
    divisor = next((one for one in range(1, 1025) if np.abs(window * one - np.rint(window * one)).max() < 1e-3), 1)
    shown, (left, top) = window * divisor, corner
    rows, columns = shown.shape
    axes = _axes(figure, left, top - rows * scale, columns * scale, rows * scale)
    axes.imshow(shown, cmap="RdBu_r", norm=CenteredNorm(0, 2 * float(np.abs(shown).max()) or 1.0))
    _bare(axes)
    if window.size <= _MOST_NUMBERS:
        _numbers(axes, shown, scale)
    if divisor > 1:
        axes.annotate(f"÷ {divisor}", (0.5, 0), (0, -3), xycoords="axes fraction", textcoords="offset points",
                      ha="center", va="top", fontsize=7.5, color=QUIET)  # fmt: skip


def _curves(seen: Sequence[Seen]) -> Figure:
    """A column for each signal, and below it the outputs on the same axis of time."""
    rows = 1 + len(seen[0].outputs)
    figure = empty_figure(max(2.6 * len(seen), 5.0), 1.15 * rows + 0.4)
    panels = figure.subplots(rows, len(seen), sharex=True, sharey="row", squeeze=False)
    for column, one in enumerate(seen):
        signal = one.image.values[:, 0]
        for row, output in enumerate((one.image, *one.outputs)):
            axes = panels[row, column]
            axes.plot(np.arange(len(signal)), signal, color=QUIET, linewidth=0.8, alpha=0.6)
            if row:
                steps = np.linspace(0, len(signal), len(output.values), endpoint=False)
                single = output.values.shape[1] == 1
                axes.plot(steps, output.values, color=TRAIN, linewidth=1.3, alpha=1.0 if single else 0.6)
            if row == 0 or column == 0:
                axes.set_title(short_name(output.title, 40), loc="left", fontsize=8, fontweight="bold")
            axes.axhline(0, color=QUIET, linewidth=0.4)
            axes.tick_params(labelsize=7)
            axes.spines[["top", "right"]].set_visible(False)
    for axes in panels[-1]:
        axes.set_xlabel("time in samples", fontsize=8)
    return figure
