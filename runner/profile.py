"""A trace of training: which operation ran when, on which thread. Perfetto (https://ui.perfetto.dev) opens it.

>>> with traced(loop, dispatches=8, path=Path("outputs/now/trace.json.gz")):
...     list(loop.epochs())
"""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import jax

from runner.loop import Loop

TRACE = "trace.json.gz"


@contextmanager
def traced(loop: Loop, dispatches: int | None, path: Path) -> Iterator[None]:
    """Writes a trace of so many dispatches of the loop's training to `path`; of none where that is None.

    The first dispatch, which compiles, comes before. Training that ends sooner is traced as far as it went.
    """
    if dispatches is None:
        yield
        return
    with tempfile.TemporaryDirectory() as folder:
        trace = _Trace(loop, dispatches, folder)
        loop.dispatched = trace.dispatched
        try:
            yield
        finally:
            trace.stop()
            for found in Path(folder).rglob("*.trace.json.gz"):
                shutil.copyfile(found, path)


class _Trace:
    """JAX's profiler, running from after the first dispatch until so many more were seen."""

    def __init__(self, loop: Loop, dispatches: int, folder: str) -> None:
        self._loop, self._left, self._folder = loop, dispatches, folder
        self._running = False

    def dispatched(self) -> None:
        if self._running:
            self._left -= 1
            if not self._left:
                self.stop()
        elif self._left:
            jax.block_until_ready(self._loop.state)
            options = jax.profiler.ProfileOptions()
            options.python_tracer_level = 0  # Python's own calls would bury the operations
            jax.profiler.start_trace(self._folder, profiler_options=options)
            self._running = True

    def stop(self) -> None:
        """Ends the trace, if it runs."""
        if self._running:
            jax.block_until_ready(self._loop.state)  # what was dispatched may not have run yet
            jax.profiler.stop_trace()
            self._running = False
            self._left = 0
