"""`runner reproduce run=RUN`: trains a run again, and compares all metrics bit by bit."""

from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydantic import Field

from runner.command import Command
from runner.verb import Asked, RunSettings, SettingsVerb

if TYPE_CHECKING:
    from runner.composition import Job
    from runner.repeating import Compared, Record
    from runner.training.outcome import Outcome

# Exit statuses, by verdict; 1 and 2 are those of a failed run and of a mistake in the command.
STATUSES: Final = {"equal to the bit": 0, "equal within rounding": 3, "not equal": 4}


class Reproduce(RunSettings):
    """Which run is trained again.

    It is a single run, or a member of a sweep. What is different here is printed first. The exit status is 0
    if all metrics are equal to the bit, 3 if they are equal within rounding, 4 if not.
    """

    data_root: str | None = Field(None, description="Where the data of the run are here; null: where they were there.")


def reproduce(settings: Reproduce, asked: Asked) -> int:
    """Trains the run again as a run of its own, tagged with the name of the first."""
    with asked.folder(settings.run) as folder:
        return _trained_again(folder, settings, asked)


def _trained_again(folder: Path, settings: Reproduce, asked: Asked) -> int:
    from runner import composition, repeating

    there = repeating.read(folder)
    ended: list[Outcome] = []

    def one(job: "Job") -> None:
        from runner.observers.differences import Differences
        from runner.run import run

        ended.append(run(job.configuration.experiment, job.context, [Differences(there)]))

    status = composition.train(_command(folder, settings, asked), one)
    if status or not ended:
        return status or 1
    metrics = repeating.compared(there, repeating.read(Path(ended[0].folder)))
    verdict = repeating.verdict(metrics)
    _show(metrics, verdict, there)
    return STATUSES[verdict]


def _command(folder: Path, settings: Reproduce, asked: Asked) -> Command:
    """The command that trains the configuration of a folder, recorded in the store in use here."""
    tracking = asked.tracking()
    own = {
        "tracking.uri": tracking.uri,
        "tracking.run_name": f"reproduction of {settings.run}",
        "tracking.tags.reproduces": settings.run,
    }
    if settings.data_root is not None:
        own["data.root"] = settings.data_root
    overrides = [f"{path}={_quoted(text)}" for path, text in own.items()]
    overrides.append("++distributed.coordinator=null")
    overrides += [f"++distributed.{name}=null" for name in ("processes", "index")]
    overrides.append(f"tracking.enabled={str(tracking.enabled).lower()}")
    return Command(
        verb="train",
        arguments=("--config-dir", str(folder.absolute()), "--config-name", "config", *overrides),
        text=f"runner reproduce run={settings.run}",
        records=asked.command.records,
    )


def _quoted(text: str) -> str:
    """A text in Hydra's quotes."""
    return "'" + text.replace("'", "\\'") + "'"


def _show(metrics: list["Compared"], verdict: str, there: "Record") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in ("metric", "epochs", "result", "largest difference"):
        table.add_column(heading, justify="right" if heading == "epochs" else "left", overflow="fold")
    for one in metrics:
        table.add_row(*_row(one))
    console = Console(highlight=False, markup=False)
    console.print()
    console.print(table)
    if there.status != "FINISHED":
        console.print(
            f"the run {there.status.lower() or 'was killed'}, so only its {len(there.history)} epochs are compared"
        )
    console.print(f"reproduced: {verdict}")


def _row(one: "Compared") -> list[str]:
    share = "" if one.difference in (0, float("inf")) else f"{one.difference:.2g}"
    epoch = f"in epoch {one.epoch}" if one.epoch else ""
    return [
        one.name,
        "" if one.detail else str(one.count),
        one.verdict,
        ", ".join(filter(None, [share, epoch, one.detail])),
    ]


VERB = SettingsVerb(Reproduce, reproduce, examples=("run=outputs/first",))
