"""Prints a line for each member of a sweep when it ends."""

import logging
import threading

from rich.console import Console
from rich.text import Text

from runner.sweep.report.terminal import measured
from runner.sweep.results import objective
from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome

_log = logging.getLogger(__name__)
_STYLES = {"FAILED": "red", "PRUNED": "dim", "KILLED": "dim"}


class Announcer(Observer):
    """Prints members as they end. `metric` ranks them; `before` of them ended in earlier sessions."""

    def __init__(self, metric: str, before: int = 0) -> None:
        self.metric = metric
        self.total = self._count = before
        self._console = Console(highlight=False)
        self._lock = threading.Lock()

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if outcome.status != "KILLED":
            with self._lock:
                self._count += 1
                self._print(outcome)

    def _print(self, result: Outcome) -> None:
        width = len(str(self.total))
        line = f"  {self._count:>{width}}/{self.total}  {result.name}  {self._result(result)}"
        _log.info(line.strip())
        self._console.print(Text(line, style=_STYLES.get(result.status, "")), soft_wrap=True)

    def _result(self, result: Outcome) -> str:
        if result.status == "FAILED":
            return f"failed: {result.reason}"
        value = objective(result, self.metric)
        epochs = len(result.history)
        ended = f"{result.reason} after {epochs} epochs, " if result.reason else ""
        return f"{ended}{self.metric} {measured(self.metric, value) or 'unknown'}, {result.seconds:.1f} s"
