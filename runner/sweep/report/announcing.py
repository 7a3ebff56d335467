"""Prints a line for each member of a sweep when it ends."""

import logging
import threading
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from runner.sweep.report.terminal import measured
from runner.sweep.results import objective
from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome

_log = logging.getLogger(__name__)
_NAME_WIDTH = 40  # longer names do not move the results of the others
_STYLES = {"FAILED": "red", "PRUNED": "dim", "KILLED": "dim"}


class Announcer(Observer):
    """Prints members as they end. `metric` ranks them; `before` of them ended in earlier sessions."""

    def __init__(self, metric: str, before: int = 0) -> None:
        self.metric = metric
        self._total = self._count = before
        self._name_width = self._number_width = 0
        self._console = Console(highlight=False)
        self._lock = threading.Lock()

    def expect(self, members: Sequence[Member]) -> None:
        """Adds members to the total, and aligns the lines with their names."""
        self._total += len(members)
        names = (min(len(member.name), _NAME_WIDTH) for member in members)
        self._name_width = max(self._name_width, *names)
        self._number_width = max(len(str(member.number)) for member in members)

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if outcome.status != "KILLED":
            with self._lock:
                self._count += 1
                self._print(outcome)

    def leaves(self, count: int, seconds: float) -> None:
        """Says that so many members do not begin, as the time is over."""
        members = "1 member does not begin" if count == 1 else f"{count:,} members do not begin"
        line = f"  sweep.seconds={seconds:g} are over: {members}; the same command goes on with the rest"
        _log.info(line.strip())
        self._console.print(Text(line), soft_wrap=True)

    def _print(self, result: Outcome) -> None:
        ended = f"{self._count:>{len(str(self._total))}} of {self._total}"
        number = f"#{result.number}".ljust(self._number_width + 1)  # as in the summary, and the member's folder
        line = f"  {ended}  {number}  {result.name:<{self._name_width}}  {self._result(result)}"
        _log.info(line.strip())
        self._console.print(Text(line, style=_STYLES.get(result.status, "")), soft_wrap=True)

    def _result(self, result: Outcome) -> str:
        if result.status == "FAILED":
            return f"failed: {result.reason}"
        value = measured(self.metric, objective(result, self.metric)) or "unknown"
        epochs = len(result.history)
        ended = f"  {result.reason} after {epochs} epoch{'s' if epochs != 1 else ''}" if result.reason else ""
        return f"{self.metric} {value:>7} {result.seconds:>6,.1f} s{ended}"
