"""The last line of the terminal, which says what is being done now, and disappears. Pipes and files get nothing of it.

>>> with Activity(Console()) as activity:
...     activity.now("drawing figures")
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Self

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn
from rich.table import Column
from rich.text import Text


class Activity:
    """The line is shown from the first `now` to `over`, or to the end of a `with` block."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = ExitStack()
        self._line: Progress | None = None

    def now(self, text: str) -> None:
        """Shows a text in place of the one before it, cut to the width of the terminal."""
        if not self._console.is_interactive:
            return
        if self._line is None:
            column = Column(no_wrap=True, overflow="ellipsis")
            text_column = TextColumn("{task.description}", style="dim", markup=False, table_column=column)
            self._line = Progress(SpinnerColumn(style="dim"), text_column, console=self._console, transient=True)
            self._line.add_task(text, total=None)
            self._shown.enter_context(shown(self._line))
        else:
            self._line.update(self._line.task_ids[0], description=text)

    def over(self) -> None:
        """Removes the line; `now` shows it again."""
        self._shown.close()
        self._line = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.over()


@contextmanager
def shown(progress: Progress) -> Iterator[None]:
    """Shows a progress bar while the block runs. Warnings in the terminal are printed above it."""
    handlers = list(_of_terminal())
    streams = [handler.setStream(_Above(progress.console)) for handler in handlers]
    try:
        with progress:
            yield
    finally:
        for handler, stream in zip(handlers, streams, strict=True):
            handler.setStream(stream)


class _Above:
    """A stream that prints above the bar of a console: written directly, a line would begin within the bar."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def write(self, text: str) -> None:
        self._console.print(Text(text.rstrip("\n")), soft_wrap=True)

    def flush(self) -> None:
        pass


def _of_terminal() -> "Iterator[logging.StreamHandler[Any]]":
    """The handlers that write warnings to the terminal."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and handler.stream is sys.stderr and sys.stderr.isatty():
            yield handler
