"""`runner diff A B`: what differs between two runs, folders or YAML files."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from runner.records import Record
from runner.verb import Asked, SettingsVerb, Words

if TYPE_CHECKING:
    from runner.comparing.differences import Row


class Diff(Record):
    """How differences are printed.

    The configuration, the code, the data, the versions and the results are compared. A run is an id or its beginning,
    an output folder, or models:/NAME@ALIAS.
    """

    format: Literal["table", "json"] = Field("table", description="A table for people, or a JSON object.")
    everything: bool = Field(False, description="Also names, seconds, and the folders and stores of output.")


def diff(settings: Diff, asked: Asked) -> int:
    """Prints the differences."""
    from rich.console import Console

    from runner.comparing.differences import layer_rows, rows, worth_showing
    from runner.comparing.sides import read
    from runner.tracking.store import opened

    store = cache(lambda: opened(asked.tracking()))
    first, second = (read(name, store) for name in asked.words)
    numbers = [{name: f"{value:.6g}" for name, value in side.metrics.items()} for side in (first, second)]
    parts = {"configuration": [*rows(first.settings, second.settings), *layer_rows(first.layers, second.layers)]}
    if first.facts and second.facts:  # a YAML file has none, nor results
        parts["code, data and versions"] = rows(first.facts, second.facts)
    if first.metrics and second.metrics:
        parts["results"] = rows(*numbers)
    if not settings.everything:
        parts = {part: worth_showing(found) for part, found in parts.items()}
    if settings.format == "json":
        print(json.dumps({part: [asdict(row) for row in found] for part, found in parts.items()}, indent=1))
        return 0
    console = Console(highlight=False, markup=False)
    for part, found in parts.items():
        console.print(_table(part, asked.words, found) if found else f"{part}: no difference")
    return 0


def _table(part: str, names: Sequence[str], found: Iterable["Row"]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in (part, *names):
        table.add_column(heading, overflow="fold", justify="left")
    for row in found:
        table.add_row(row.path, "–" if row.first is None else row.first, "–" if row.second is None else row.second)
    return table


VERB = SettingsVerb(
    Diff,
    diff,
    Words("RUN RUN", "name 2 runs, folders or YAML files", fewest=2, most=2),
    examples=("3f2a outputs/first", "3f2a 77c0 everything=true"),
)
