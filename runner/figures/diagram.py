"""A diagram of a network as an SVG: boxes from top to bottom, with sizes; parallel paths beside each other."""

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol
from xml.sax.saxutils import escape


class Part(Protocol):
    """A layer, or layers inside a layer; see `runner.explaining.outline`."""

    @property
    def title(self) -> str: ...
    @property
    def shape(self) -> str: ...


# Tints of the colours of Okabe & Ito, by what a layer does.
_FILLS: Final = {"conv": "#CFE3F2", "pool": "#FBE3C3", "dense": "#CDEBDF", "norm": "#EDEDED", "activation": "#F7F4CF"}
_LINES: Final = {"conv": "#0072B2", "pool": "#B07800", "dense": "#00785A", "norm": "#8A8A8A", "activation": "#9A9200"}
_FILL, _LINE, _QUIET = "#F1E4EC", "#A05080", "#5A5A5A"
_BOX, _HEIGHT, _SMALL, _GAP, _BETWEEN, _PAD, _HEAD = 196, 40, 26, 26, 26, 14, 22
_FONT: Final = "font-family='DejaVu Sans, Verdana, Arial, sans-serif'"


class _Drawn(NamedTuple):
    """A part that is drawn: its size, the place of its axis from the left, and its marks relative to its top left."""

    width: float
    height: float
    axis: float
    marks: list[str]


def diagram(input_shape: str, parts: Sequence[Part], title: str, detail: str) -> str:
    """The diagram of a network, as the text of an SVG file."""
    body = _chain(parts, input_shape)
    top, margin = 64, 24
    width = max(body.width + 2 * margin, 24 + 8.2 * max(len(title) * 1.15, len(detail) * 0.85))
    height = top + body.height + margin
    left = (width - body.width) / 2
    lines = [
        f"<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0f}' height='{height:.0f}' "
        f"viewBox='0 0 {width:.0f} {height:.0f}' {_FONT}>",
        "<defs><marker id='tip' viewBox='0 0 8 8' refX='7' refY='4' markerWidth='7' markerHeight='7' orient='auto'>"
        f"<path d='M0,0.5 L7.5,4 L0,7.5 z' fill='{_QUIET}'/></marker></defs>",
        f"<rect width='{width:.0f}' height='{height:.0f}' fill='white'/>",
        _text(24, 28, title, 15, bold=True, anchor="start"),
        _text(24, 47, detail, 11.5, colour=_QUIET, anchor="start"),
        _moved(body.marks, left, top),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _chain(parts: Sequence[Part], first_shape: str) -> _Drawn:
    """Parts one below another, with arrows between them that carry the shapes."""
    drawn = [_drawn(part) for part in parts]
    axis = max([0.0, *(one.axis for one in drawn)])
    right = max([0.0, *(one.width - one.axis for one in drawn)])
    label = 8 * max([len(first_shape), *(len(part.shape) for part in parts)]) + 8
    marks, y, shape = list[str](), 0.0, first_shape
    if first_shape:
        marks.append(_text(axis + 7, 10, shape, 11, colour=_QUIET, anchor="start"))
    for part, one in zip(parts, drawn, strict=True):
        marks.append(_arrow(axis, y, axis, y + _GAP))
        y += _GAP
        marks.append(_moved(one.marks, axis - one.axis, y))
        y += one.height
        marks.append(_text(axis + 7, y + 15, part.shape, 11, colour=_QUIET, anchor="start"))
    marks.append(_line(axis, y, axis, y + 20))
    return _Drawn(max(axis + right, axis + label), y + 20, axis, marks)


def _drawn(part: Part) -> _Drawn:
    paths = getattr(part, "paths", None)
    return _box(part) if paths is None else _group(part, paths)


def _box(part: Part) -> _Drawn:
    detail, count, family = (getattr(part, name) for name in ("detail", "parameters", "family"))
    width = max(_BOX, 6.3 * len(detail) + 20)
    height = _HEIGHT if detail else _SMALL
    fill, line = _FILLS.get(family, _FILL), _LINES.get(family, _LINE)
    marks = [f"<rect width='{width:.0f}' height='{height}' rx='5' fill='{fill}' stroke='{line}'/>"]
    marks.append(_text(10, 17, part.title, 12.5, bold=True, anchor="start"))
    if count:
        marks.append(_text(width - 10, 17, f"{count:,}", 10.5, colour=_QUIET, anchor="end"))
    if detail:
        marks.append(_text(10, 32, detail, 10.5, colour="#333333", anchor="start"))
    return _Drawn(width, height, width / 2, marks)


def _group(part: Part, paths: Sequence[Sequence[Part]]) -> _Drawn:
    """Parallel paths in a frame: they fork at its top, and join at its bottom."""
    joint, side = getattr(part, "joint", ""), getattr(part, "side", False)
    drawn = [_chain(path, "") if path else _Drawn(56, 0, 28, []) for path in paths]
    high = max(one.height for one in drawn)
    width = sum(one.width for one in drawn) + _BETWEEN * (len(drawn) - 1) + 2 * _PAD
    width = max(width, 7.6 * len(part.title) + 2 * _PAD + 40)
    single = len(drawn) == 1
    fork = _HEAD + (4 if single else 14)
    height = fork + high + (8 if single else 40)
    lefts, left = list[float](), float(_PAD)
    for one in drawn:
        lefts.append(left)
        left += one.width + _BETWEEN
    axes = [own + one.axis for own, one in zip(lefts, drawn, strict=True)]
    axis = axes[0] if single or side else width / 2
    marks = [
        f"<rect width='{width:.0f}' height='{height:.0f}' rx='7' fill='none' stroke='#9A9A9A' stroke-dasharray='4 3'/>",
        _text(
            10 if axis > 60 else width - 10,
            15,
            part.title,
            11.5,
            bold=True,
            colour=_QUIET,
            anchor="start" if axis > 60 else "end",
        ),
        _line(axis, 0, axis, fork),
    ]
    bottom = fork + high + 8
    for number, (one, own, at) in enumerate(zip(drawn, lefts, axes, strict=True)):
        marks.append(_moved(one.marks, own, fork))
        marks.append(_line(at, fork + one.height, at, bottom))
        if not one.marks and not single and not side:
            marks.append(_text(at + 6, fork + high / 2, "input", 10.5, colour=_QUIET, anchor="start"))
        if not single:
            marks.append(_line(axis, fork, at, fork))
            if not side or number == 0:
                marks.append(_line(at, bottom, axis, bottom))
    if single or side:
        marks.append(_line(axis, bottom, axis, height))
        return _Drawn(width, height, axis, marks)
    wide = 22 if len(joint) == 1 else 8 * len(joint) + 14
    place = f"x='{axis - wide / 2:.1f}' y='{bottom + 2:.1f}' width='{wide}' height='22' rx='11'"
    marks.append(f"<rect {place} fill='white' stroke='{_QUIET}'/>")
    marks.append(_text(axis, bottom + 17.5, joint, 12.5, bold=True))
    marks.append(_line(axis, bottom + 24, axis, height))
    return _Drawn(width, height, axis, marks)


def _moved(marks: Sequence[str], x: float, y: float) -> str:
    return f"<g transform='translate({x:.1f},{y:.1f})'>{''.join(marks)}</g>"


def _text(
    x: float, y: float, text: str, size: float, *, bold: bool = False, colour: str = "black", anchor: str = "middle"
) -> str:
    weight = " font-weight='bold'" if bold else ""
    look = f"font-size='{size}'{weight} fill='{colour}' text-anchor='{anchor}'"
    return f"<text x='{x:.1f}' y='{y:.1f}' {look}>{escape(text)}</text>"


def _line(x: float, y: float, to_x: float, to_y: float) -> str:
    return f"<path d='M{x:.1f},{y:.1f} L{to_x:.1f},{to_y:.1f}' stroke='{_QUIET}' fill='none'/>"


def _arrow(x: float, y: float, to_x: float, to_y: float) -> str:
    return (
        f"<path d='M{x:.1f},{y:.1f} L{to_x:.1f},{to_y - 1:.1f}' stroke='{_QUIET}' fill='none' marker-end='url(#tip)'/>"
    )
