"""What the terminal shows of a sweep while it goes on: a line for every member that ended."""

import logging
import threading

from rich.console import Console
from rich.text import Text

from runner.sweep.results import objective
from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome

_log = logging.getLogger(__name__)
_STYLES = {"FAILED": "red", "PRUNED": "dim", "KILLED": "dim"}


class Announcer(Observer):
    """Prints members as they end; `metric` is what they are compared by. So many ended before."""

    def __init__(self, metric: str, before: int = 0) -> None:
        self.metric = metric
        self.total = self._count = before
        self._console = Console(highlight=False)
        self._lock = threading.Lock()

    def expect(self, count: int) -> None:
        """So many members more are to come."""
        self.total += count

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if outcome.status != "KILLED":
            with self._lock:
                self._count += 1
                self._print(outcome)

    def _print(self, result: Outcome) -> None:
        width = len(str(self.total))
        line = f"  {self._count:>{width}}/{self.total}  {result.name}  {self._came_to(result)}"
        _log.info(line.strip())
        self._console.print(Text(line, style=_STYLES.get(result.status, "")), soft_wrap=True)

    def _came_to(self, result: Outcome) -> str:
        if result.status == "FAILED":
            return f"failed: {result.reason}"
        value = objective(result, self.metric)
        number = ".2%" if self.metric.endswith("accuracy") else ".5g"
        shown = "unknown" if value is None else f"{value:{number}}"
        epochs = len(result.history)
        ended = f"{result.reason} after {epochs} epochs, " if result.reason else ""
        return f"{ended}{self.metric} {shown}, {result.seconds:.1f} s"
