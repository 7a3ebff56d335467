"""What the user says of a sweep: what it looks for, and how its members are run. The record of `conf/sweep`."""

from typing import Annotated, Literal

from annotated_types import Ge
from pydantic import Field

from runner.records import Record

Strategy = Literal["auto", "vmap", "loop", "parallel"]


class Sweep(Record):
    """How a sweep goes; a single run takes no notice of it."""

    strategy: Strategy = Field(
        "auto",
        description="How members of one structure share the device: vmap (one mapped program), loop (in turn), "
        "parallel (side by side on the cores of a CPU); auto takes what is fastest there.",
    )
    max_members: Annotated[int, Ge(1)] | None = Field(
        None, description="Members that are trained at once under vmap; null: as many as the device has memory for."
    )
    log_models: Literal["best", "all", "none"] = Field(
        "best", description="Whose model and figures are logged: the best member's so far, every member's, or none."
    )
