"""What the terminal shows of a sweep while it goes on: a line for every member that ended."""

import logging

from rich.console import Console
from rich.text import Text

from runner.sweep.results import MemberResult, objective

_log = logging.getLogger(__name__)
_STYLES = {"FAILED": "red", "PRUNED": "dim", "KILLED": "dim"}


class Announcer:
    """Prints members as they end; `metric` is what they are compared by."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.total = 0
        self._console = Console(highlight=False)
        self._count = 0

    def expect(self, count: int) -> None:
        """So many members more are to come."""
        self.total += count

    def goes_on_from(self, count: int) -> None:
        """So many members ended before."""
        self.total += count
        self._count += count

    def ended(self, result: MemberResult) -> None:
        """Prints a member's line."""
        self._count += 1
        width = len(str(self.total))
        line = f"  {self._count:>{width}}/{self.total}  {result.name}  {self._came_to(result)}"
        _log.info(line.strip())
        self._console.print(Text(line, style=_STYLES.get(result.status, "")), soft_wrap=True)

    def _came_to(self, result: MemberResult) -> str:
        if result.status == "FAILED":
            return f"failed: {result.reason}"
        value = objective(result, self.metric)
        number = ".2%" if self.metric.endswith("accuracy") else ".5g"
        shown = "unknown" if value is None else f"{value:{number}}"
        epochs = len(result.history)
        ended = f"{result.reason} after {epochs} epochs, " if result.reason else ""
        return f"{ended}{self.metric} {shown}, {result.seconds:.1f} s"
