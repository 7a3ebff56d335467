"""Figures of a run: learning curves, confusion matrix, worst images, filters. Only this package imports matplotlib.

    >>> run.log_figure("figures/learning_curves.png", lambda: png(learning_curves(history)))

Each function returns a `Figure` without pyplot's global state, so any thread can draw. The colours are those of
Okabe & Ito, which colour-blind readers can distinguish (https://jfly.uni-koeln.de/color/).
"""

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import CenteredNorm, PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

Array = np.ndarray[Any, Any]

TRAIN, VAL, WRONG, RIGHT, QUIET = "#0072B2", "#D55E00", "#D55E00", "#0072B2", "#666666"
_DPI = 150
_NUMBERED_CLASSES = 25
_SHEET = 24
_FILTERS = 64
_FEW_EPOCHS = 12
# Heights in a sheet of images, in inches: its heading, and the text above and below each image.
_HEADING, _ABOVE, _BELOW = 0.42, 0.16, 0.36

# Characters that the font lacks are drawn as boxes; hides one warning for each.
warnings.filterwarnings("ignore", message="Glyph .* missing from font")


def png(figure: Figure) -> bytes:
    """Renders a figure as a PNG at 150 dots per inch."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()


def learning_curves(
    history: Sequence[Mapping[str, float]], *, best_epoch: int | None = None, monitor: str = "val/accuracy"
) -> Figure:
    """Loss and accuracy on training and validation images over the epochs, with the learning rate below.

    `history` contains one mapping per epoch, with the tracked names (`train/loss`, `val/accuracy`, …). A missing name
    is a gap. `best_epoch`, counted from 1, is the best by the metric `monitor` and is marked.
    """
    figure = _figure(9.5, 4.6)
    grid = figure.add_gridspec(2, 2, height_ratios=(4, 1))
    loss, accuracy = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[0, 1])
    rate = figure.add_subplot(grid[1, :])
    for axes, name in ((loss, "loss"), (accuracy, "accuracy")):
        _curve(axes, history, f"train/{name}", TRAIN, "training")
        _curve(axes, history, f"val/{name}", VAL, "validation")
        _title(axes, name.capitalize())
    _curve(rate, history, "learning_rate", QUIET, "learning rate")
    _title(rate, "Learning rate")
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    drawn = [value for name in ("train/loss", "val/loss") for value in _values(history, name) if value > 0]
    if drawn and max(drawn) > 50 * min(drawn):
        loss.set_yscale("log")
    if best_epoch is not None and 1 <= best_epoch <= len(history):
        _mark_best({"val/loss": loss, "val/accuracy": accuracy}, history[best_epoch - 1], best_epoch, monitor)
    loss.legend(frameon=False, fontsize=9, loc="upper right")
    rate.set_xlabel("epoch", fontsize=9)
    for axes in (loss, accuracy, rate):
        _epochs(axes, len(history))
    highest = max(_values(history, "learning_rate"), default=0.0)
    rate.set_ylim(0, 1.15 * highest or 1.0)
    rate.set_yticks([0, highest or 1.0], ["0", f"{highest:.3g}"])
    return figure


def confusion_matrix(counts: Array, classes: Sequence[str]) -> Figure:
    """Counts (k, k) of true classes (rows) and predicted classes (columns).

    The colour shows the share of the row, on a square-root scale, so that rare mistakes are visible. Up to 25 classes,
    the cells show counts, and each row its share of correct predictions. The most frequent mistakes are listed below.
    """
    counts = np.asarray(counts)
    k = len(classes)
    numbered = k <= _NUMBERED_CLASSES
    longest = max(len(_name(name)) for name in classes)
    names_size = 9 if k <= 12 else 8 if numbered else max(5.0, 8.5 - 0.03 * k)
    side = max(2.6, 0.42 * k) if numbered else min(10.5, 0.26 * k)
    margin = 0.6 + longest * names_size * 0.0085
    figure = _figure(side + margin + 1.0, side + margin + 0.9)
    axes = figure.add_subplot()
    rows = counts.sum(axis=1, keepdims=True)
    shares = np.divide(counts, rows, out=np.zeros(counts.shape, float), where=rows > 0)
    axes.imshow(shares, cmap="Blues", norm=PowerNorm(0.5, 0, 1))
    labels = [_name(name) for name in classes]
    upright = longest * names_size * 0.0085 <= side / k * 0.95
    axes.set_xticks(range(k), labels, fontsize=names_size, rotation=0 if upright else 90)
    axes.set_yticks(range(k), labels, fontsize=names_size)
    axes.set_xlabel("predicted", fontsize=10)
    axes.set_ylabel("true", fontsize=10)
    axes.tick_params(which="both", length=0)
    axes.set_xticks(np.arange(k + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(k + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1.0 if numbered else 0.3)
    for spine in axes.spines.values():
        spine.set_visible(False)
    if numbered:
        _write_counts(axes, counts, shares)
    total, right = int(counts.sum()), int(np.trace(counts))
    share = f", {_percent(right / total)} right" if total else ""
    figure.suptitle(f"Confusion matrix: {total:,} images{share}", fontsize=11, fontweight="bold")
    figure.supxlabel(_mistakes(counts, labels, width=int((side + margin) * 15)), fontsize=8, color=QUIET)
    return figure


def worst_images(
    images: Array, labels: Array, probabilities: Array, classes: Sequence[str], *, count: int = _SHEET
) -> Figure:
    """A sheet of the images whose true class has the lowest probability, the worst first.

    Images are (n, h, w, c) or (n, length, c), labels (n,), probabilities (n, k). Each image has its index above, and
    its true class and the predicted class with its probability below.
    """
    labels, probabilities = np.asarray(labels), np.asarray(probabilities)
    given = probabilities[np.arange(len(labels)), labels]
    worst = np.argsort(given, kind="stable")[:count]
    columns = max(1, min(8, len(worst)))
    rows = max(1, math.ceil(len(worst) / columns))
    figure = _figure(max(1.36 * columns, 5.5), 1.72 * rows + _HEADING, layout=None)
    predictions = probabilities.argmax(axis=1)
    wrong = int((predictions != labels).sum())
    figure.suptitle(
        f"The worst of {len(labels):,} images: {wrong:,} classified wrongly" if wrong else
        f"The least certain of {len(labels):,} images: all classified correctly",
        fontsize=11, fontweight="bold", y=1 - 0.5 * _HEADING / figure.get_figheight(), va="center",
    )  # fmt: skip
    for place, index in enumerate(worst):
        axes = _tile(figure, rows, columns, place)
        _draw_image(axes, np.asarray(images[index]))
        axes.set_title(f"#{index}", fontsize=6.5, color=QUIET, pad=2)
        predicted = int(predictions[index])
        colour = RIGHT if predicted == labels[index] else WRONG
        answer = f"as {_name(classes[predicted], 11)}, {probabilities[index, predicted]:.0%}"
        _line_under(axes, 0, f"true: {_name(classes[labels[index]], 13)}", color="black")
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
    figure = _figure(max(0.8 * columns, 4.5), 0.78 * rows + 0.5)
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


def _figure(width: float, height: float, layout: Literal["constrained"] | None = "constrained") -> Figure:
    """An empty figure; sizes are in inches."""
    figure = Figure(figsize=(width, height), layout=layout, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def _title(axes: Axes, text: str) -> None:
    axes.set_title(text, loc="left", fontsize=10, fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, color=QUIET)
    axes.grid(alpha=0.25, linewidth=0.6)
    axes.set_axisbelow(True)


def _epochs(axes: Axes, count: int) -> None:
    """Sets up an axis of epochs. A few epochs have one tick each and space for their markers."""
    if count <= _FEW_EPOCHS:
        axes.set_xlim(0.5, max(count, 1) + 0.5)
        axes.set_xticks(range(1, max(count, 1) + 1))
    else:
        axes.set_xlim(1, count)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=10))


def _values(history: Sequence[Mapping[str, float]], name: str) -> list[float]:
    return [value for row in history if math.isfinite(value := row.get(name, math.nan))]


def _curve(axes: Axes, history: Sequence[Mapping[str, float]], name: str, colour: str, label: str) -> None:
    epochs = [index + 1 for index, row in enumerate(history) if name in row]
    # Markers for a few epochs, because a curve of one epoch would be invisible.
    marker = "o" if len(history) <= _FEW_EPOCHS else ""
    values = [history[epoch - 1][name] for epoch in epochs]
    axes.plot(epochs, values, color=colour, label=label, linewidth=1.8, marker=marker, markersize=3.5)


def _mark_best(where: Mapping[str, Axes], row: Mapping[str, float], epoch: int, monitor: str) -> None:
    for name, axes in where.items():
        if name not in row:
            continue
        axes.axvline(epoch, color=QUIET, linewidth=0.9, linestyle=":", zorder=1)
        axes.plot(
            [epoch], [row[name]], marker="o", markersize=7, markerfacecolor="white", markeredgecolor=VAL, zorder=5
        )
        value = _percent(row[name]) if name.endswith("accuracy") else f"{row[name]:.4g}"
        what = "best: epoch" if name == monitor else "epoch"
        axes.set_title(f"{what} {epoch}, {value} in validation", loc="right", fontsize=8, color=QUIET)


def _write_counts(axes: Axes, counts: Array, shares: Array) -> None:
    k = len(counts)
    size = 9 if k <= 12 else 6.5
    for row in range(k):
        for column in range(k):
            if counts[row, column]:
                dark = shares[row, column] > 0.3
                axes.text(
                    column,
                    row,
                    _short(int(counts[row, column])),
                    ha="center",
                    va="center",
                    fontsize=size,
                    color="white" if dark else "black",
                    fontweight="bold" if row == column else "normal",
                )
        if counts[row].sum():
            axes.text(k - 0.3, row, _percent(shares[row, row]), va="center", fontsize=size - 0.5, color=QUIET)


def _short(count: int) -> str:
    """A count short enough for a cell."""
    return str(count) if count < 10_000 else f"{count / 1000:.0f}k"


def _mistakes(counts: Array, labels: Sequence[str], *, width: int) -> str:
    """The most frequent mistakes in one line of at most `width` characters; empty if there are none."""
    wrong = np.array(counts)
    np.fill_diagonal(wrong, 0)
    line = ""
    for flat in np.argsort(-wrong, axis=None, kind="stable")[:6]:
        row, column = np.unravel_index(flat, wrong.shape)
        if not wrong[row, column]:
            break
        item = f"{labels[row]} → {labels[column]} ({wrong[row, column]})"
        longer = f"{line}, {item}" if line else f"most frequent mistakes: {item}"
        if len(longer) > width:
            break
        line = longer
    return line


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


def _name(name: str, longest: int = 24) -> str:
    """A shortened class name; dollar signs are escaped, because they would start a formula."""
    short = name if len(name) <= longest else name[: longest - 1] + "…"
    return short.replace("$", r"\$")


def _percent(share: float) -> str:
    """A share in per cent; a share below 1 is never rounded to 100%."""
    return "100%" if share == 1 else f"{min(share * 100, 99.9):.1f}%"
