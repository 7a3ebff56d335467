"""The report of a sweep as one self-contained HTML page, in light and dark colours."""

import base64
import json
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import Any

from runner.charts import Axis, Chart, Mark, Parallel, Section
from runner.sweep.report.choosing import leaders
from runner.sweep.report.table import metric_names
from runner.sweep.report.terminal import best_command, optimism_text
from runner.sweep.results import SweepResult
from runner.training.outcome import Outcome

# Significant digits: a page with a thousand members stays small enough for browsers.
_DIGITS = 6
_UNITS = 10_000  # of the length of an axis, as page.js has it


def html(result: SweepResult, charts: Sequence[Section], filters: bytes | None = None) -> str:
    """The report as HTML, with these charts, and a PNG of the best member's first filters if there is one."""
    style, script = (resources.files(__package__).joinpath(name).read_text("utf-8") for name in ("page.css", "page.js"))
    data = _data(result, charts) | {"filters": _address(filters)}
    space = ", ".join(f"{path} ∈ {text}" for path, text in result.space.items())
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(result.name)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<h1>{escape(result.name)}</h1>\n<p><code>{escape(result.command)}</code></p>\n<p>{escape(space)}</p>\n"
        f"<script>\nconst sweep = {_inline(data)};\n{script}</script>\n</body>\n</html>\n"
    )


def _address(png: bytes | None) -> str:
    """An image as an address that holds all of it; empty if there is none."""
    return "" if png is None else f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _inline(data: Any) -> str:
    """Data as JavaScript. Escapes texts that could end the script; rounds numbers, and writes NaN as null."""
    text = json.dumps(_rounded(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{_DIGITS}g}") if abs(value) < float("inf") else None
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value


def _data(result: SweepResult, charts: Sequence[Section]) -> dict[str, Any]:
    return {
        "objectives": result.objectives,
        "names": result.names,
        "members": [_member(member) for member in result.members],
        "leaders": [leader.number for leader in leaders(result.members, result.objectives)],
        "again": best_command(result),
        "metrics": metric_names(result.members),
        "sections": [_section(section) for section in charts],
        "seconds": result.seconds,
        "groups": result.groups,
        "compiles": result.compiles,
        "seconds_saved": result.seconds_saved,
        "optimism": optimism_text(result),
    }


def _section(section: Section) -> dict[str, Any]:
    charts = [_parallel(chart) if isinstance(chart, Parallel) else _chart(chart) for chart in section.charts]
    return {"title": section.title, "text": section.text, "wide": section.wide, "charts": charts}


def _chart(chart: Chart) -> dict[str, Any]:
    marks = [_mark(mark) for mark in chart.marks]
    return {"title": chart.title, "x": _axis(chart.x), "y": _axis(chart.y), "marks": marks}


def _parallel(chart: Parallel) -> dict[str, Any]:
    return {"axes": [_axis(axis) for axis in chart.axes], "marks": [_mark(mark) for mark in chart.marks]}


def _axis(axis: Axis) -> dict[str, Any]:
    ticks = [(_position(tick.at), tick.text) for tick in axis.ticks]
    return {"title": axis.title, "ticks": ticks, "words": axis.words, "log": axis.log}


def _mark(mark: Mark) -> list[Any]:
    points = [_position(place) for point in mark.points for place in point]
    return [mark.shape, mark.look, mark.member, mark.text, points]


def _position(place: float) -> int:
    """A position in whole units, which are shorter than fractions."""
    return round(place * _UNITS)


def _member(member: Outcome) -> dict[str, Any]:
    return {
        "number": member.number,
        "name": member.name,
        "varied": member.varied,
        "status": member.status,
        "reason": member.reason,
        "metrics": {name: value for name, value in member.metrics.items() if not name.startswith("seconds")},
        "costs": {"parameters": member.parameters, "multiply_adds": member.multiply_adds, "seconds": member.seconds},
        "epochs": len(member.history),
    }
