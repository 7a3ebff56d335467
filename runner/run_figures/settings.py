"""The record of `conf/figures`: which figures are drawn of a run.

>>> Figures(draw=("filters",)).draw
('filters',)
"""

import pkgutil
import sys
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from runner.errors import unknown
from runner.records import Record

_OTHERS: Final = ("settings", "subject", "relevance")  # the modules of the room that are no figure


def names() -> list[str]:
    """The figures that exist; no module is imported to list them."""
    folders = sys.modules[__package__].__path__
    return sorted(module.name for module in pkgutil.iter_modules(folders) if module.name not in _OTHERS)


def _known(name: str) -> str:
    if name not in names():
        raise ValueError(unknown("", "figure", name, names()).text)
    return name


Name = Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": names()})]


class Figures(Record):
    """Which figures are drawn of each run, in the background."""

    draw: tuple[Name, ...] = Field(
        (
            *("first_filters", "feature_maps", "class_probabilities", "label_probabilities", "estimates"),
            *("worst_texts", "page", "data"),
        ),
        description="The figures; those that do not suit the network or its task are left out, and the page of a large "
        "one. []: none, also of sweeps.",
    )
