"""What was found in data, as text for a terminal and as JSON."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from rich import box
from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from runner.errors import printable
from runner.inspecting.findings import Findings, Place
from runner.layers.base import shape_text

_LISTED: Final = 5
_CLASSES: Final = 24  # of more, the largest and the smallest are shown
_BAR: Final = 24  # columns
_LONGEST: Final = 28
WORDS: Final = {"classes": ("class", "classes"), "labels": ("label", "labels"), "numbers": ("range", "ranges")}
"""The words for what examples have, one and several, by the form of their labels."""


def as_json(found: Findings) -> str:
    """One JSON object with all findings, every example of them by name."""
    splits = {
        name: {
            "count": split.count,
            "classes": dict(zip(found.classes, split.by_class, strict=True)),
            **({"words": split.words} if split.words else {}),
            **({"mean": split.mean, "std": split.std, "min": split.low, "max": split.high} if split.mean else {}),
        }
        for name, split in found.splits.items()
    }
    told: dict[str, Any] = {
        "name": found.name,
        "kind": found.kind,
        "shape": found.shape,
        "form": found.form,
        "classes": found.classes,
        "splits": splits,
        "files": found.kinds._asdict() if found.kinds else None,
        "unreadable": [{"file": path, "fault": fault} for path, fault in found.left_out.bad],
        "other_files": found.left_out.other,
        "doubtful": [{**_place(doubt.place), "why": doubt.why} for doubt in found.doubtful],
        "copies": [[_place(place) for place in group] for group in found.copies],
        "alike": [[_place(place) for place in pair] for pair in found.alike],
        "alike_not_searched": found.not_searched,
        "different_classes": len(found.conflicts),
        "leakage": [shared._asdict() for shared in found.shared],
    }
    return json.dumps(told, indent=2, ensure_ascii=False)


def _place(place: Place) -> dict[str, Any]:
    return {"example": place.name, "split": place.split, "class": place.label}


def as_text(found: Findings, width: int = 80) -> str:
    """The findings in lines of at most `width` characters, but for names of files, which are whole."""
    shape = f" of {shape_text(found.shape)}" if found.shape else ""
    return "\n".join(
        [f"{printable(found.name)}: {found.kind}{shape}", "", _classes(found, width), "", *_lines(found, width)]
    )


def _classes(found: Findings, width: int) -> str:
    """The classes with their number of examples in each set, and bars."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1), show_footer=True)
    table.add_column(WORDS[found.form][0], footer="all", no_wrap=True)
    for name, split in found.splits.items():
        table.add_column(name, footer=f"{split.count:,}", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    totals = found.by_class
    order = list(range(len(totals)))
    left_out = 0
    if len(order) > _CLASSES and found.form != "numbers":  # ranges are few, and stand in their order
        by_size = sorted(order, key=lambda index: -totals[index])
        left_out = len(order) - _CLASSES
        order = [*by_size[: _CLASSES // 2], *by_size[-_CLASSES // 2 :]]
    for row, index in enumerate(order):
        if left_out and row == _CLASSES // 2:
            table.add_row(f"… {left_out:,} of sizes between", *[""] * (len(found.splits) + 1))
        counts = [f"{split.by_class[index]:,}" for split in found.splits.values()]
        bar = "█" * (max(1, round(_BAR * totals[index] / max(totals))) if totals[index] else 0)
        table.add_row(escape(shortened(printable(found.classes[index]))), *counts, bar)
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def shortened(name: str, longest: int = _LONGEST) -> str:
    """A name that takes at most so many columns of a terminal."""
    return name if cell_len(name) <= longest else set_cell_size(name, longest - 1).rstrip() + "…"


def _lines(found: Findings, width: int) -> Iterator[str]:
    for name, split in found.splits.items():
        if split.words:
            least, median, most = split.words
            yield f"{name}: {least:,} to {most:,} words, the median {median:,}"
        else:
            values = f"values {_numbers(split.low)} to {_numbers(split.high)}"
            told = [f"mean {_numbers(split.mean)}", f"deviation {_numbers(split.std)}", values]
            yield from _filled(name, told, width)
    if found.kinds:
        for what, counts in found.kinds._asdict().items():
            yield from _filled(what, _counted(counts), width)
    if others := found.left_out.other:
        yield f"files of other kinds: {len(others):,}"
    yield ""
    bad = [f"{path}: {fault}" for path, fault in found.left_out.bad]
    yield from _listed("unreadable files", bad)
    yield from _listed(found.plain, [f"{doubt.place.name}: {doubt.why}" for doubt in found.doubtful])
    copies = [" = ".join(_named(group)) for group in found.copies]
    yield from _listed("equal examples", copies, _count(found.repeated, "copy", "copies"))
    pairs = [" ~ ".join(_named(pair)) for pair in found.alike]
    if found.not_searched:
        yield from _filled("examples that look alike", [found.not_searched], width)
    if pairs or not found.not_searched:
        yield from _listed("examples that look alike", pairs, _count(len(pairs), "pair", "pairs"))
    conflicts = [", ".join(_labelled(group)) for group in found.conflicts]
    yield from _listed(f"equal or alike, but of different {WORDS[found.form][1]}", conflicts)
    yield from _listed("examples in two sets", [shared.text for shared in found.shared], f"{found.in_two_sets:,}")


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _filled(title: str, parts: Sequence[str], width: int) -> Iterator[str]:
    """A title and what it has, in lines of at most so many columns if each part fits; later lines are indented."""
    line = f"{title}:"
    for part in (*(f"{part}," for part in parts[:-1]), *parts[-1:]):
        if cell_len(f"{line} {part}") > width:
            yield line
            line = " "
        line += f" {part}"
    yield line


def _listed(title: str, lines: Sequence[str], told: str = "") -> Iterator[str]:
    """A title with the number of findings, and the first of them below it."""
    yield f"{title}: {(told or f'{len(lines):,}') if lines else 'none'}"
    for line in lines[:_LISTED]:
        yield f"  {printable(line)}"
    if len(lines) > _LISTED:
        yield f"  … {len(lines) - _LISTED:,} more; describe.format=json has all"


def _named(group: Sequence[Place]) -> list[str]:
    names = [place.name for place in group[:4]]
    return [*names, f"{len(group) - 4:,} more"] if len(group) > 4 else names


def _labelled(group: Sequence[Place]) -> list[str]:
    """The first example of each class, of the first four."""
    firsts: dict[str, Place] = {}
    for place in group:
        firsts.setdefault(place.label, place)
    return [f"{place.name} ({place.label})" for place in list(firsts.values())[:4]]


def _counted(counts: Mapping[str, int]) -> list[str]:
    """The most frequent values with their counts."""
    told = [f"{value} {count:,}" for value, count in list(counts.items())[:_LISTED]]
    return [*told, f"and {len(counts) - _LISTED:,} others"] if len(counts) > _LISTED else told


def _numbers(values: Sequence[float]) -> str:
    """One number if all channels have the same, else one for each; of many channels the first four."""
    told = [f"{value:.4g}" for value in values]
    if len(set(told)) == 1:
        return told[0]
    return ", ".join(told if len(told) <= 4 else [*told[:4], "…"])
