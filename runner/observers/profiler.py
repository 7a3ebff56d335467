"""A trace of training: which operation ran when, on which thread. Perfetto (https://ui.perfetto.dev) opens it."""

import shutil
import tempfile
from pathlib import Path
from typing import Final

import jax

from runner.trained import Trained
from runner.training.alone import Chunk
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan

TRACE: Final = "trace.json.gz"


class Profiler(Observer):
    """Writes a trace of as many dispatches as `train.profile` says to the member's folder. Needs sequential training.

    The first dispatch, which compiles, comes before the trace. A training that ends sooner is traced to its end.
    """

    def __init__(self) -> None:
        self._left = 0
        self._traces: tempfile.TemporaryDirectory[str] | None = None  # while JAX's profiler runs

    def begins(self, member: Member, plan: Plan) -> None:
        self._left = member.experiment.train.profile or 0

    def chunk(self, member: Member, chunk: Chunk) -> None:
        if self._traces is not None:
            self._left -= 1
            if not self._left:
                chunk.wait()  # what was dispatched may not have run yet
                self._stop(member)
        elif self._left:
            chunk.wait()
            self._traces = tempfile.TemporaryDirectory()
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Python's own calls would hide the operations
            jax.profiler.start_trace(self._traces.name, profiler_options=options)

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        self._left = 0
        if self._traces is not None:
            self._stop(member)

    def _stop(self, member: Member) -> None:
        """Ends the trace, and keeps it."""
        assert self._traces is not None
        traces, self._traces = self._traces, None
        with traces as folder:
            jax.profiler.stop_trace()
            for found in Path(folder).rglob("*.trace.json.gz"):
                shutil.copyfile(found, member.context.folder / TRACE)
