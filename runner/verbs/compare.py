"""`runner compare A B ...`: the results of runs and sweeps side by side, and their curves."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any, Final, Literal

from pydantic import Field

from runner.errors import ConfigError, Fault
from runner.records import Record
from runner.verb import Asked, SettingsVerb, Words

if TYPE_CHECKING:
    from runner.comparing.sides import Side

_SHOWN_EPOCHS: Final = 10
_MOST_SETTINGS: Final = 12
_OF_NO_RUN: Final = ("val/accuracy", "val/loss")


class Compare(Record):
    """What is compared of runs and sweeps.

    A run is an id or its beginning, an output folder, or models:/NAME@ALIAS.
    """

    metrics: tuple[str, ...] | None = Field(
        None,
        min_length=1,
        description="The metrics whose curves are shown; null: val/accuracy, or that of another task, and val/loss.",
    )
    file: str | None = Field(None, min_length=1, description="A PNG or SVG file for the curves, drawn over each other.")
    format: Literal["table", "json"] = Field("table", description="A table for people, or a JSON list.")


def compare(settings: Compare, asked: Asked) -> int:
    """Prints what differs in the settings, the results, and the curves; draws the curves."""
    from rich.console import Console

    from runner.comparing.sides import read
    from runner.tracking.store import opened

    if settings.file and Path(settings.file).suffix not in (".png", ".svg"):
        raise ConfigError(Fault("file", f"must end in .png or .svg, got {settings.file}"))
    store = cache(lambda: opened(asked.tracking()))
    sides = [read(name, store, settings.metrics or ()) for name in asked.words]
    known = (metric for side in sides for row in side.history.values() for metric in row)
    metrics = settings.metrics or tuple(dict.fromkeys(known)) or _OF_NO_RUN
    titles = [f"{number} {side.name}" for number, side in enumerate(sides, start=1)]
    if settings.format == "json":
        _print_json(sides)
    else:
        console = Console(highlight=False, markup=False)
        for heading, rows in (
            ("settings that differ", _settings(sides)),
            ("results", _results(sides, metrics)),
            *((f"{metric} by epoch", _curve(sides, metric)) for metric in metrics),
        ):
            for columns in _blocks(heading, rows, console.width):
                numbers = [str(column) for column in columns]
                console.print(
                    _table(heading, numbers, [(row[0], *(row[column] for column in columns)) for row in rows])
                )
                console.print()
        console.print("\n".join(titles))
    if settings.file:
        _draw(titles, sides, settings.file, metrics)
    return 0


def _settings(sides: Sequence["Side"]) -> list[tuple[str, ...]]:
    from runner.comparing.differences import Row, worth_showing

    paths = dict.fromkeys(path for side in sides for path in side.settings)
    wanted = {row.path for row in worth_showing([Row(path, None, None) for path in paths])}
    rows = [(path, *(side.settings.get(path, "–") for side in sides)) for path in paths if path in wanted]
    layers = ("model.layers", *(f"{len(side.layers)} layers" for side in sides))
    found = [row for row in rows if len(set(row[1:])) > 1]
    if len({side.layers for side in sides}) > 1:
        found.append(layers)
    more = len(found) - _MOST_SETTINGS
    return found[:_MOST_SETTINGS] + ([(f"and {more} more: see diff", *[""] * len(sides))] if more > 0 else [])


def _results(sides: Sequence["Side"], metrics: Sequence[str]) -> list[tuple[str, ...]]:
    rows = []
    if any(side.members for side in sides):
        rows.append(("members", *(str(len(side.members) or "") for side in sides)))
        rows.append(("best member", *(side.best for side in sides)))
    names = dict.fromkeys(name for side in sides for name in side.metrics)
    for name in sorted(names, key=lambda name: (not name.startswith(("test/", "best/")), name)):
        if name.startswith(("train/", "members/")) or name == "learning_rate":
            continue
        rows.append((name, *(_number(name, side.metrics.get(name)) for side in sides)))
        is_result = name in ("test/accuracy", *(f"test/{metric.removeprefix('val/')}" for metric in metrics))
        if is_result and name != "test/loss" and any(len(side.members) > 1 for side in sides):
            rows.append((f"{name} of all", *(_spread(side, name) for side in sides)))
    return rows


def _spread(side: "Side", name: str) -> str:
    """The mean and the standard deviation over the members of a sweep."""
    from runner.metrics import is_share

    values = [member.metrics[name] for member in side.members if name in member.metrics]
    if len(values) < 2:
        return ""
    if is_share(name):
        return f"{fmean(values):.2%} ± {stdev(values) * 100:.2f}"
    return f"{fmean(values):.4g} ± {stdev(values):.2g}"


def _curve(sides: Sequence["Side"], metric: str) -> list[tuple[str, ...]]:
    epochs = sorted({epoch for side in sides for epoch, row in side.history.items() if metric in row})
    step = max(-(-len(epochs) // _SHOWN_EPOCHS), 1)
    shown = epochs[::-1][::step][::-1]  # the last one is always among them
    return [
        (str(epoch), *(_number(metric, side.history.get(epoch, {}).get(metric)) for side in sides)) for epoch in shown
    ]


def _number(name: str, value: float | None) -> str:
    from runner import metrics, verdicts  # NumPy takes its time

    if value is None:
        return "–"
    if (told := verdicts.shown(name, value)) is not None:
        return told
    return f"{value:.2%}" if metrics.is_share(name) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _blocks(heading: str, rows: Sequence[tuple[str, ...]], width: int) -> Iterator[list[int]]:
    """The numbers of the sides that stand beside each other, so that no value is broken: at least one in each table."""
    if not rows:
        return
    first = min(max(len(heading), *(len(row[0]) for row in rows)), width // 2)
    block: list[int] = []
    left = width - first
    for column in range(1, len(rows[0])):
        needed = 2 + max(len(str(column)), *(len(row[column]) for row in rows))
        if block and needed > left:
            yield block
            block, left = [], width - first
        block.append(column)
        left -= needed
    yield block


def _table(heading: str, columns: Sequence[str], rows: Sequence[tuple[str, ...]]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    table.add_column(heading, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _print_json(sides: Sequence["Side"]) -> None:
    import json

    keys = ("name", "best", "settings", "metrics", "history")
    found = [{key: getattr(side, key) for key in keys} | {"members": len(side.members)} for side in sides]
    print(json.dumps(found, indent=1, ensure_ascii=False))


def _draw(titles: Sequence[str], sides: Sequence["Side"], file: str, metrics: Sequence[str]) -> None:
    from runner.figures.comparison import compared_curves

    histories = [(title, side.history) for title, side in zip(titles, sides, strict=True)]
    try:
        compared_curves(histories, metrics).savefig(file)
    except OSError as error:
        raise ConfigError(Fault("file", f"must be a file that can be written, got {file} ({error})")) from error


VERB = SettingsVerb(
    Compare,
    compare,
    Words("RUN RUN ...", "name 2 or more runs, folders or YAML files", fewest=2, most=None),
    examples=("3f2a 77c0 file=curves.png",),
)
