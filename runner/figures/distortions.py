"""Accuracy of networks against how far their images are distorted, with the distorted images below."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from runner.figures.style import QUIET, TRAIN, VAL, Array, empty_figure, short_name

_COLOURS: Final = (TRAIN, VAL, "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_MARKS: Final = ("o", "s", "^", "D", "v", "P")
_TILES: Final = 5


@dataclass(frozen=True, eq=False)
class Distortion:
    """One kind of distortion: its amounts, an image (h, w, c) in 0 … 1 for each, and accuracies by network."""

    title: str
    unit: str
    amounts: Sequence[float]
    images: Sequence[Array]
    accuracies: Sequence[Sequence[float]]  # a row for each network


def distortions(kinds: Sequence[Distortion], networks: Sequence[str], *, of: str) -> Figure:
    """A panel for each kind, a line for each network; `of` says what is classified."""
    figure = empty_figure(3.3 * len(kinds), 4.1, layout=None)
    width = 1 / len(kinds)
    left, wide = 0.055, width - 0.045
    for place, kind in enumerate(kinds):
        start = left + place * (width - 0.005)
        axes = figure.add_axes((start, 0.36, wide, 0.42))
        for number, (name, row) in enumerate(zip(networks, kind.accuracies, strict=True)):
            axes.plot(
                kind.amounts,
                row,
                color=_COLOURS[number % 6],
                marker=_MARKS[number % 6],
                markersize=4,
                label=short_name(name, 60),
            )
        axes.set_ylim(0, 1.02)
        axes.set_title(kind.title, fontsize=10)
        axes.set_xlabel(kind.unit, fontsize=8.5)
        axes.tick_params(labelsize=8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
        if place:
            axes.set_yticklabels([])
        else:
            axes.set_ylabel("accuracy", fontsize=8.5)
        shown = np.unique(np.linspace(0, len(kind.amounts) - 1, min(_TILES, len(kind.amounts))).round().astype(int))
        for tile, index in enumerate(shown):
            side = wide / len(shown)
            own = figure.add_axes((start + tile * side, 0.03, side * 0.92, 0.17))
            image = kind.images[index]
            own.imshow(np.clip(image if image.shape[-1] == 3 else image[..., 0], 0, 1), cmap="gray", vmin=0, vmax=1)
            own.set_title(f"{kind.amounts[index]:g}", fontsize=7.5, color=QUIET, pad=2)
            own.set_xticks([])
            own.set_yticks([])
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper center", ncols=len(labels), fontsize=9, frameon=False, bbox_to_anchor=(0.5, 0.93)
    )
    figure.suptitle(f"Accuracy on distorted {of}", fontsize=11, fontweight="bold", y=0.985)
    return figure
