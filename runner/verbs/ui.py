"""`runner ui`: the MLflow UI on the store in use, until Ctrl+C."""

from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le
from pydantic import Field

from runner.records import Record
from runner.verb import ComposingVerb

if TYPE_CHECKING:
    from runner.composition import Job


class Ui(Record):
    """Where the MLflow UI is served."""

    host: str = Field(
        "127.0.0.1", description="The address that the UI listens on; 127.0.0.1: reached from this machine only."
    )
    port: Annotated[int, Ge(1), Le(65535)] = Field(5000, description="The port that the UI listens on.")


def serve(job: "Job", settings: Ui) -> int:
    """Serves until interrupted."""
    from runner.tracking import serve_ui

    return serve_ui(job.configuration.tracking, host=settings.host, port=settings.port)


VERB = ComposingVerb(Ui, serve, examples=("ui.port=5001",))
