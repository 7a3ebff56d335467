"""`runner runs [KEY=VALUE ...]`: the recorded runs and sweeps, the latest first."""

import re
import time
from collections.abc import Collection, Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from annotated_types import Ge
from pydantic import AfterValidator, Field

from runner import folders
from runner.errors import must
from runner.records import Record
from runner.verb import Asked, SettingsVerb

if TYPE_CHECKING:
    from runner.tracking.listing import Listed

_HEADINGS: Final = ("run", "name", "status", "epochs", "best", "age", "size", "folder")
_UNITS = {"minute": 60, "hour": 3600, "day": 86400, "week": 604800}


def _since(value: str | None) -> str | None:
    if value is not None and _seconds(value) is None:
        raise ValueError(must("", "be a date such as 2026-11-20, or a time such as 3 days or 2 hours", value).text)
    return value


def _seconds(value: str) -> float | None:
    """Seconds since 1970 of a date, or of so long ago."""
    if ago := re.fullmatch(r"(\d+) ?(minute|hour|day|week)s?", value):
        return time.time() - int(ago[1]) * _UNITS[ago[2]]
    try:
        return datetime.fromisoformat(value).timestamp()
    except ValueError:
        return None


class Runs(Record):
    """Which runs are listed, and how.

    Runs whose process is gone are ended.
    """

    status: Literal["running", "finished", "failed", "killed", "pruned"] | None = Field(
        None, description="Only runs with this status."
    )
    model: str | None = Field(None, min_length=1, description="Only runs of this model, by its name.")
    since: Annotated[str | None, AfterValidator(_since)] = Field(
        None, description="Only runs that began since this date, or so long ago: 2026-11-20, '3 days', '2 hours'."
    )
    sweep: str | None = Field(None, min_length=4, description="The id of a sweep, or its beginning: lists its members.")
    limit: Annotated[int, Ge(1)] = Field(20, description="The largest number of runs that are listed.")
    format: Literal["table", "json"] = Field("table", description="A table for people, or a JSON list.")


def show(settings: Runs, asked: Asked) -> int:
    """Prints the runs."""
    from rich.console import Console

    from runner.tracking.listing import Wanted, as_json, listed

    wanted = Wanted(
        status=settings.status.upper() if settings.status else None,
        model=settings.model,
        since=_seconds(settings.since) if settings.since else None,
        sweep=settings.sweep,
        limit=settings.limit,
    )
    runs = listed(asked.tracking(), wanted)
    if settings.format == "json":
        print(as_json(runs))
        return 0
    console = Console(highlight=False, markup=False)
    console.print(_fitted(runs, console) if runs else "no such run")
    for line in _advice(runs):
        console.print(line, soft_wrap=True)
    if len(runs) == settings.limit:
        console.print(f"limit={settings.limit}: there may be more")
    return 0


def _advice(runs: list["Listed"]) -> Iterator[str]:
    """How to go on with runs that were killed, and what checkpoints take."""
    from rich.filesize import decimal

    if killed := [run.run_id[:8] for run in runs if run.goes_on]:
        what = "the killed run goes" if len(killed) == 1 else f"each of the {len(killed)} killed runs goes"
        yield f"{what} on with: python -m runner resume run={killed[0]}"
    if size := sum(run.checkpoint_bytes or 0 for run in runs):
        yield f"{decimal(size)} are checkpoints, which python -m runner delete only=checkpoints run=… removes"


def _fitted(runs: list["Listed"], console: Any) -> Any:
    """The table with a line for each run; a terminal that is too narrow is shown fewer columns."""
    from rich.measure import Measurement

    wide = console.options.update_width(10_000)  # else what is measured is cut to the terminal
    for left_out in ((), ("folder",), ("folder", "size"), ("folder", "size", "age")):
        table = _table(runs, left_out)
        if not console.is_terminal or Measurement.get(console, wide, table).maximum <= console.width:
            break
    return table


def _table(runs: list["Listed"], left_out: Collection[str]) -> Any:
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    headings = [heading for heading in _HEADINGS if heading not in left_out]
    for heading in headings:
        right = heading in ("epochs", "best", "age", "size")
        wraps = heading in ("name", "folder")
        table.add_column(heading, justify="right" if right else "left", no_wrap=not wraps, overflow="fold")
    for run in runs:
        cells = zip(_HEADINGS, _row(run), strict=True)
        table.add_row(*(cell for heading, cell in cells if heading not in left_out))
    return table


def _row(run: "Listed") -> list[str]:
    from rich.filesize import decimal

    from runner.metrics import is_share
    from runner.tracking.listing import age_text

    reason = f" ({run.reason})" if run.reason and run.status in ("KILLED", "FAILED") else ""
    if run.members is not None:
        epochs = f"{run.members} member{'s' * (run.members != 1)}"
    else:
        epochs = f"{run.epochs}" + (f" of {run.of_epochs}" if run.of_epochs else "")
    value = "" if run.value is None else f"{run.value:.2%}" if is_share(run.metric) else f"{run.value:.4g}"
    return [
        run.run_id[:8],
        run.name + reason,
        run.status.lower(),
        epochs,
        value,
        age_text(time.time() - run.began),
        "" if run.bytes is None else decimal(run.bytes),
        str(folders.short(Path(run.folder))) if run.folder else "",
    ]


VERB = SettingsVerb(Runs, show, examples=("status=finished model=lenet5", "since='2 hours' format=json"))
