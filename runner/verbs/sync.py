"""`runner sync [folder=FOLDER]`: sends what tracking stores did not accept during the runs."""

from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import Field

from runner.records import Record
from runner.verb import Asked, SettingsVerb

if TYPE_CHECKING:
    from runner.tracking.sending import Delivery


class Sync(Record):
    """What is sent.

    Each run goes to the store that it was recorded for, or to tracking.uri if the command has it.
    """

    folder: str = Field("outputs", min_length=1, description="The folder of a run or a sweep, or one above them.")


def sync(settings: Sync, asked: Asked) -> int:
    """Sends what is left in the folders of runs, and prints a line for each run. Returns 1 if there is a rest."""
    from runner import composition
    from runner.tracking.sending import send

    uri = asked.tracking().uri if asked.store else None
    faults, busy, count, points, files = dict[str, int](), 0, 0, 0, 0
    for sent in send(Path(settings.folder), uri, lambda: composition.tracking().uri):
        if (sent.run_id and not sent.fault) or sent.points or sent.files:
            print(_line(sent), flush=True)
            count, points, files = count + 1, points + sent.points, files + sent.files
        elif sent.is_busy:
            print(f"{_short(sent)}: its process records it and sends the rest", flush=True)
            busy += 1
        if sent.fault:
            faults[sent.fault] = faults.get(sent.fault, 0) + 1
    for fault, runs in faults.items():
        print(f"{_runs(runs)} not sent: {fault}")
    if count:
        print(f"{_runs(count)}, {points} metric points, {files} files")
    elif not faults and not busy:
        print(f"nothing to send in {settings.folder}")
    return 1 if faults else 0


def _line(sent: "Delivery") -> str:
    return f"{sent.run_id[:8]} {sent.name}: {sent.points} metric points, {sent.files} files ({_short(sent)})"


def _short(sent: "Delivery") -> Path:
    from runner import folders

    return folders.short(sent.folder)


def _runs(count: int) -> str:
    return f"{count} run{'s' * (count != 1)}"


VERB = SettingsVerb(Sync, sync, examples=("folder=outputs",))
