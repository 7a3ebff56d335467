"""Sliding windows as nodes of an ONNX graph: padding, convolutions, and means under a window."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from runner.geometry import Window
from runner.graph import Graph
from runner.layers.window import PaddingMode

_MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def padded(
    graph: Graph, x: str, windows: Sequence[Window], mode: PaddingMode = "zeros", value: float = 0.0
) -> tuple[str, tuple[Window, ...]]:
    """Pads `x` for the windows. Returns it with the windows that remain to be applied, which pad nothing."""
    unpadded = tuple(Window(window.size, window.stride, window.dilation) for window in windows)
    if unpadded == tuple(windows):
        return x, unpadded
    pads = graph.constant([0, 0, *(window.low for window in windows), 0, 0, *(window.high for window in windows)])
    given = (graph.constant(value),) if mode == "zeros" else ()
    return graph.node("Pad", x, pads, *given, mode=_MODES[mode]), unpadded


def slid(windows: Sequence[Window]) -> dict[str, Any]:
    """The attributes of a node that slides these windows."""
    return {
        "kernel_shape": [window.size for window in windows],
        "strides": [window.stride for window in windows],
        "dilations": [window.dilation for window in windows],
        "pads": [*(window.low for window in windows), *(window.high for window in windows)],
    }


def convolved(
    graph: Graph,
    x: str,
    windows: Sequence[Window],
    kernel: ArrayLike,
    bias: ArrayLike | None,
    *,
    mode: PaddingMode = "zeros",
    groups: int = 1,
) -> str:
    """A convolution of `x` with a kernel (*spatial, in, out)."""
    if mode != "zeros":
        x, windows = padded(graph, x, windows, mode)
    weights = np.moveaxis(np.asarray(kernel), (-1, -2), (0, 1))  # (out, in, *spatial)
    biases = () if bias is None else (graph.constant(bias, "bias"),)
    return graph.node("Conv", x, graph.constant(weights, "kernel"), *biases, group=groups, **slid(windows))


def summed(graph: Graph, x: str, windows: Sequence[Window], mode: PaddingMode, factor: ArrayLike = 1.0) -> str:
    """The sums under the windows, times a factor that broadcasts to (n, c, *spatial)."""
    x, unpadded = padded(graph, x, windows, mode)
    means = graph.node("AveragePool", x, **slid(unpadded))
    factors = np.asarray(factor, np.float64) * math.prod(window.size for window in windows)
    return means if (factors == 1).all() else graph.node("Mul", means, graph.constant(factors))
