"""`runner describe`: the layer table of a network, before anything is compiled."""

import os
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
    """Prints the layer table of one configuration; reads the files of data that declare no size."""
    from rich.console import Console

    from runner import describe
    from runner.observers.activity import Activity

    experiment = job.configuration.experiment
    if settings.format == "json":
        with Activity(Console(stderr=True)) as activity:
            found = describe.as_json(experiment, with_lowerings=settings.lowerings, report=activity.now)
        print(found)
    else:
        console = Console(highlight=False)
        # In a pipe the table is as wide as it is, unless COLUMNS says how wide the lines may be.
        width = console.width if console.is_terminal or "COLUMNS" in os.environ else None
        with Activity(Console(stderr=True)) as activity:
            table = describe.table(experiment, width, with_lowerings=settings.lowerings, report=activity.now)
        console.width = max(console.width, describe.width_of(table))
        console.print(table)
    return 0


VERB = ComposingVerb(Describe, show, examples=("model=lenet5 model.layers.0.conv.filters=12", "describe.format=json"))
