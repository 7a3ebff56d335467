"""What a run says in the terminal: a line for each epoch, a bar within it, and what it all came to."""

import logging
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from runner.loop import Epoch
from runner.loop import Progress as Reading

_log = logging.getLogger(__name__)
_HEADINGS = "   epoch   train loss  accuracy     val loss  accuracy    images/s"


class Display:
    """Shows training as it goes on where output is a terminal; the log file has it everywhere."""

    def __init__(self, *, epochs: int, steps: int) -> None:
        self.console = Console(highlight=False)
        self._live = self.console.is_terminal
        self._epochs, self._headed = epochs, False
        self._bar = Progress(
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[reading]}"),
            TimeRemainingColumn(compact=True),
            console=self.console,
            transient=True,
            disable=not self._live,
        )
        self._task = self._bar.add_task("train", total=steps, reading="compiling")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def reading(self, now: Reading) -> None:
        """Moves the bar."""
        text = f"loss {now.loss:.4f}  accuracy {now.accuracy:.1%}  {now.images_per_second:,.0f} images/s"
        self._bar.update(self._task, completed=now.step, reading=text)

    def epoch(self, epoch: Epoch) -> None:
        """Prints an epoch's line above the bar."""
        found = epoch.metrics
        line = (
            f"{epoch.number:>4}/{self._epochs:<4}{found['train/loss']:>11.4f}{found['train/accuracy']:>10.2%}"
            f"{found['val/loss']:>13.4f}{found['val/accuracy']:>10.2%}{found['images_per_second']:>12,.0f}"
        )
        _log.info("epoch %s", line.strip())
        if self._live:
            if not self._headed:
                self._bar.print(_HEADINGS, style="dim")
                self._headed = True
            self._bar.print(line)
        self._bar.update(self._task, completed=epoch.step)

    def say(self, lines: list[str]) -> None:
        """Prints lines, and keeps them in the log file."""
        for line in lines:
            _log.info(line.strip())
            self.console.print(line, soft_wrap=True)
