"""`runner describe`: the layer table of a network, or what data have."""

import os
import sys
from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from runner.errors import ConfigError, must
from runner.records import Record
from runner.verb import ComposingVerb

if TYPE_CHECKING:
    from runner.composition import Job

_COMPARED: Final = (64, 64)


class Describe(Record):
    """What `describe` describes, and how it prints.

    The data: images of each class and set, sizes and formats of files, statistics of channels, files that cannot be
    read, empty images, equal images and images that look alike, and those that stand in two sets.
    """

    what: Literal["network", "data"] = Field("network", description="The network, or its data.")
    format: Literal["table", "json", "html"] = Field(
        "table", description="A table for people, one JSON object, or for data one page of HTML: > data.html"
    )
    lowerings: bool = Field(
        False, description="Whether to show how each convolution is computed in training on this machine."
    )


def show(job: "Job", settings: Describe) -> int:
    """Prints what one configuration describes; without `data`, files are read only if they alone tell a size."""
    return _data(job, settings) if settings.what == "data" else _network(job, settings)


def _network(job: "Job", settings: Describe) -> int:
    from rich.console import Console

    from runner import describe
    from runner.observers.activity import Activity

    experiment = job.configuration.experiment
    if settings.format == "html":
        raise ConfigError(must("describe.format", "be table or json for a network", "html"))
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


def _data(job: "Job", settings: Describe) -> int:
    from rich.console import Console

    from runner import inspecting
    from runner.inspecting import written
    from runner.observers.activity import Activity

    if settings.format == "html" and sys.stdout.isatty():
        raise ConfigError(must("describe.format", "be written to a file where it is html: > data.html", "a terminal"))
    experiment = job.configuration.experiment
    # Images of several sizes are compared in one size, also by those who have no model yet.
    source = experiment.source if experiment.model.input else experiment.source.for_input(*_COMPARED)
    with Activity(Console(stderr=True)) as activity:
        data = inspecting.read(source, report=activity.now)
        activity.now("comparing all examples")
        found = inspecting.examined(data)
        if settings.format == "html":
            activity.now("drawing the page")
            text = inspecting.page_of(found, data, experiment)
        else:
            text = written.as_json(found) if settings.format == "json" else written.as_text(found, Console().width)
    print(text)
    return 0


VERB = ComposingVerb(
    Describe,
    show,
    examples=("model=lenet5 model.layers.0.conv.filters=12", "data data=folder data.root=photos"),
    words={"network": "describe.what=network", "data": "describe.what=data"},
)
