"""Writes the report of a sweep while it runs: after the first member, and then so rarely that it costs nothing."""

import threading
import time
from collections.abc import Callable
from typing import Final

from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome

_LEAST_SECONDS: Final = 5.0
_SHARE: Final = 0.01  # of the time of the sweep


class Refresher(Observer):
    """Calls `write` when a member has ended. Comes after the tally, which has the outcome."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write
        self._lock = threading.Lock()
        self._next = 0.0

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        # Members that train in threads do not wait for each other.
        if outcome.status == "KILLED" or not self._lock.acquire(blocking=False):
            return
        try:
            began = time.perf_counter()
            if began < self._next:
                return
            self._write()
            ended = time.perf_counter()
            self._next = ended + max(_LEAST_SECONDS, (ended - began) / _SHARE)
        finally:
            self._lock.release()
