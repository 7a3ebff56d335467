"""Charts as plain values: `runner.figures.charts` draws them as PNG, the page of a sweep's report as SVG.

All positions are shares of the length of an axis, from 0 at its start (left, below) to 1 at its end.

    >>> axis, at = scale([4, 8, 16], "filters", each=True)
    >>> Chart("filters", axis, axis, (Mark("dot", ((at(8), at(8)),)),)).x.ticks[1]
    Tick(at=0.3457, text='8')
"""

from dataclasses import dataclass
from typing import Literal

from runner.charts.axes import Axis, Tick, scale

__all__ = ["Axis", "Chart", "Look", "Mark", "Parallel", "Section", "Tick", "scale"]

Look = Literal["plain", "best", "pruned", "failed", "front", "interval"]


@dataclass(frozen=True)
class Mark:
    """A line through points, dots at points, or bars from the start of the x axis to points."""

    shape: Literal["line", "dot", "bar"]
    points: tuple[tuple[float, float], ...]  # (x, y)
    look: Look = "plain"
    member: int | None = None  # the number of the member that it shows
    text: str = ""  # what it says if it shows no member; written beside a bar


@dataclass(frozen=True)
class Chart:
    """Marks over two axes; later marks are drawn over earlier ones."""

    title: str
    x: Axis
    y: Axis
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Parallel:
    """Parallel coordinates: upright axes, in equal distances along x, and a line for each member."""

    axes: tuple[Axis, ...]
    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Section:
    """Charts under one heading; `name` is that of its file."""

    name: str
    title: str
    text: str
    charts: tuple[Chart, ...] | tuple[Parallel, ...]
    wide: bool = False  # a chart takes the whole width
