"""`runner describe`: the layer table, before anything is compiled; describe.format=json for programs."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from runner.records import Record
from runner.verb import ComposingVerb

if TYPE_CHECKING:
    from runner.composition import Job


class Describe(Record):
    """How `describe` prints."""

    format: Literal["table", "json"] = Field("table", description="A table for people, or one JSON object.")
    lowerings: bool = Field(
        False, description="Whether to show how each convolution is computed in training on this machine."
    )


def show(job: "Job", settings: Describe) -> int:
    """Prints the layer table of one configuration."""
    from rich.console import Console

    from runner import describe

    experiment = job.configuration.experiment
    if settings.format == "json":
        print(describe.as_json(experiment, with_lowerings=settings.lowerings))
    else:
        console = Console(highlight=False)
        console.print(describe.table(experiment, width=console.width, with_lowerings=settings.lowerings))
    return 0


VERB = ComposingVerb(Describe, show)
