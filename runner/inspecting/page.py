"""The page of data: bars, tables, examples of each class, augmentations, and doubtful examples side by side.

>>> from runner.data import Examples
>>> from runner.inspecting import examined
>>> images = Examples(np.zeros((4, 8, 8, 1), np.uint8), np.zeros(4, np.int32))
>>> data = Examined("night", ("dark", "light"), {"train": images})
>>> html(examined(data), data)[:15]     # one file that loads nothing else, in light and dark colours
'<!doctype html>'
"""

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from typing import Any, Final

import numpy as np

from runner.errors import printable
from runner.inspecting.changes import Row
from runner.inspecting.findings import Examined, Findings, Place
from runner.inspecting.pictures import strip
from runner.inspecting.written import WORDS
from runner.layers.base import shape_text

_CLASSES: Final = 40  # of which examples are shown
_EXAMPLES: Final = 8
_GROUPS: Final = 24  # of each sort
_SHOWN: Final = 4  # of each group
_FILES: Final = 200
_TEXT: Final = 160  # characters


def html(
    found: Findings, data: Examined, changes: Sequence[Row] = (), *, before: Any = None, changes_by: str = ""
) -> str:
    """The findings as HTML. `changes` are rows of augmented images, made of those `before` (n, h, w, c).

    Where they are left out, `changes_by` is the command that draws them.
    """
    style = resources.files(__package__).joinpath("page.css").read_text("utf-8")
    shape = f" of {shape_text(found.shape)}" if found.shape else ""
    sections = [
        _classes(found),
        _values(found),
        _kinds(found),
        _examples(found, data),
        _changes(changes, before, changes_by),
        _doubtful(found, data),
        _groups("Equal examples", "Equal value for value; those in two sets come first.", found.copies, data),
        _groups("Examples that look alike", found.not_searched, found.alike, data),
        _files(found),
    ]
    title = escape(printable(found.name))
    within = " in" if found.form == "classes" else " with"
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}: the data</title>\n<style>\n{style}</style>\n</head>\n<body>\n"
        f"<h1>{title}</h1>\n<p>{found.kind}{shape}{within} {len(found.classes):,} {WORDS[found.form][1]}</p>\n"
        f"{_cards(found)}\n{''.join(sections)}</body>\n</html>\n"
    )


def _cards(found: Findings) -> str:
    cards = [(name, f"{split.count:,}", False) for name, split in found.splits.items()]
    counts = {
        "unreadable files": len(found.left_out.bad),
        found.plain: len(found.doubtful),
        "copies of another example": found.repeated,
        "pairs that look alike": len(found.alike),
        f"equal or alike, but of different {WORDS[found.form][1]}": len(found.conflicts),
        "examples in two sets": found.in_two_sets,
    }
    if found.kind != "images":
        del counts["pairs that look alike"]
    if found.kind == "texts":
        del counts[found.plain]
    cards += [(name, f"{count:,}", count > 0) for name, count in counts.items()]
    told = "".join(
        f'<div class="card{" warn" if warns else ""}"><b>{value}</b>{name}</div>' for name, value, warns in cards
    )
    shared = "".join(f"<p>In two sets: {escape(one.text)}.</p>" for one in found.shared)
    return f'<div class="cards">{told}</div>{shared}'


def _classes(found: Findings) -> str:
    largest, (one, several) = max(*found.by_class, 1), WORDS[found.form]
    rows = []
    for index, name in enumerate(found.classes):
        counts = {split: own.by_class[index] for split, own in found.splits.items()}
        bars = "".join(
            f'<i class="{split}" style="width:{100 * count / largest:.2f}%"></i>' for split, count in counts.items()
        )
        cells = "".join(f"<td>{count:,}</td>" for count in counts.values())
        label = escape(printable(name))
        rows.append(
            f'<tr><td title="{label}">{label}</td>{cells}<td class="bar"><div class="bars">{bars}</div></td></tr>'
        )
    key = "".join(f'<i class="{name}"></i>{name}' for name in found.splits)
    heads = "".join(f"<th>{name}</th>" for name in found.splits)
    return _section(several.capitalize(), f'<p class="key">{key}</p>{_table(f"<th>{one}</th>{heads}<th></th>", rows)}')


def _values(found: Findings) -> str:
    if found.kind == "texts":
        words = [(name, *map(str, split.words or ())) for name, split in found.splits.items()]
        return _section("Words", _table(_heads("set", "fewest", "median", "most"), map(_row, words)))
    rows = [
        _row((f"{name}, channel {channel + 1}", *(f"{value:.4g}" for value in values)))
        for name, split in found.splits.items()
        for channel, values in enumerate(zip(split.mean, split.std, split.low, split.high, strict=True))
    ]
    about = "<p>Bytes are in units of 0 … 1.</p>"
    return _section("Channels", about + _table(_heads("set", "mean", "deviation", "least", "largest"), rows))


def _kinds(found: Findings) -> str:
    if found.kinds is None:
        return ""
    rows = [
        _row((f"{what}: {value}", f"{count:,}"))
        for what, counts in (("format", found.kinds.formats), ("mode", found.kinds.modes), ("size", found.kinds.sizes))
        for value, count in list(counts.items())[:_FILES]
    ]
    return _section("Files", _table(_heads("", "files"), rows))


def _examples(found: Findings, data: Examined) -> str:
    part = data.parts["train"]
    figures = []
    for label, name in list(enumerate(found.classes))[:_CLASSES]:
        indices = np.flatnonzero(part.labels == label if part.labels.ndim == 1 else part.labels[:, label])
        chosen = indices[np.linspace(0, len(indices) - 1, min(_EXAMPLES, len(indices))).round().astype(int)]
        figures.append(_figure(f"<b>{escape(printable(name))}</b>", [part.inputs[index] for index in chosen]))
    more = len(found.classes) - _CLASSES
    one, several = WORDS[found.form]
    about = f"<p>The first {_CLASSES} {several}; {more:,} more are not shown.</p>" if more > 0 else ""
    return _section(f"Examples of each {one}", f'{about}<div class="rows wide">{"".join(figures)}</div>')


def _changes(changes: Sequence[Row], before: Any, changes_by: str) -> str:
    if not changes:
        told = f"<p><code>{escape(changes_by)}</code> shows training images before and after each augmentation.</p>"
        return _section("Augmentation", told) if changes_by else ""
    rows = [_figure("<b>before</b>", before)]
    rows += [_figure(f"<b>{escape(row.name)}</b> {escape(row.strengths)}".rstrip(), row.images) for row in changes]
    about = "<p>Training images in the size of the network's input, before and after each augmentation alone.</p>"
    return _section("Augmentation", f'{about}<div class="rows wide">{"".join(rows)}</div>')


def _doubtful(found: Findings, data: Examined) -> str:
    if not found.doubtful:
        return ""
    figures = [
        _figure(f"{_name(doubt.place)}<br>{escape(doubt.why)}", [_input(data, doubt.place)])
        for doubt in found.doubtful[:_GROUPS]
    ]
    return _section(found.plain.capitalize(), _shown(figures, len(found.doubtful)))


def _groups(title: str, about: str, groups: Sequence[Sequence[Place]], data: Examined) -> str:
    if not groups:
        return ""
    figures = [
        _figure("<br>".join(_names(group)), [_input(data, place) for place in group[:_SHOWN]])
        for group in groups[:_GROUPS]
    ]
    told = f"<p>{escape(about)}</p>" if about else ""
    return _section(title, told + _shown(figures, len(groups)))


def _files(found: Findings) -> str:
    bad = found.left_out.bad
    if not bad:
        return ""
    rows = [
        f'<tr><td class="word">{escape(printable(path))}</td><td class="word">{escape(printable(fault))}</td></tr>'
        for path, fault in bad[:_FILES]
    ]
    more = f"<p>The first {_FILES} of {len(bad):,}.</p>" if len(bad) > _FILES else ""
    return _section("Unreadable files", more + _table('<th>file</th><th class="word">fault</th>', rows))


def _shown(figures: Sequence[str], count: int) -> str:
    more = f"<p>{len(figures)} of {count:,} are shown.</p>" if count > len(figures) else ""
    return f'{more}<div class="rows two">{"".join(figures)}</div>'


def _input(data: Examined, place: Place) -> Any:
    return data.parts[place.split].inputs[place.number]


def _name(place: Place) -> str:
    return f"{escape(printable(place.name))} ({escape(place.split)}, {escape(printable(place.label))})"


def _names(group: Sequence[Place]) -> list[str]:
    names = [_name(place) for place in group[:_SHOWN]]
    return [*names, f"{len(group) - _SHOWN:,} more"] if len(group) > _SHOWN else names


def _figure(caption: str, inputs: Any) -> str:
    if not len(inputs):  # a class that `data.limit` leaves without one
        shown = "<p>no training examples</p>"
    elif isinstance(inputs[0], str):
        shown = "".join(
            f"<p>{escape(printable(text[:_TEXT]))}{'…' if len(text) > _TEXT else ''}</p>" for text in inputs
        )
    else:
        shown = f'<img alt="" src="{strip(inputs)}">'
    return f"<figure><figcaption>{caption}</figcaption>{shown}</figure>"


def _section(title: str, content: str) -> str:
    return f"<section><h2>{title}</h2>{content}</section>\n"


def _table(heads: str, rows: Iterable[str]) -> str:
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _heads(*names: str) -> str:
    return "".join(f"<th>{name}</th>" for name in names)


def _row(cells: Sequence[str]) -> str:
    return "<tr>" + "".join(f"<td>{escape(printable(cell))}</td>" for cell in cells) + "</tr>"
