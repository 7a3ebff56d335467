"""Hands outcomes from one process to another: a file in the folder of each member, written once it is recorded."""

import json
import threading
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from runner import atomic
from runner.training.member import Member
from runner.training.outcome import Outcome

OUTCOME: Final = "outcome.json"


def read(member: Member, sweep: str) -> Outcome | None:
    """The outcome of a member of the sweep with this identity; None if there is none, or it is of another sweep."""
    try:
        found: dict[str, Any] = json.loads((member.context.folder / OUTCOME).read_text(encoding="utf-8"))
        own = found["outcome"]
        history, overrides = tuple(own.pop("history")), tuple(own.pop("overrides"))
        outcome = Outcome(overrides=overrides, history=history, **own)
    except (OSError, ValueError, TypeError, KeyError):
        return None
    is_same = found["sweep"] == sweep and (outcome.number, overrides) == (member.number, member.context.overrides)
    return outcome if is_same else None


def forget(member: Member) -> None:
    """Deletes the outcome of a member that is to be trained again."""
    with suppress(OSError):
        (member.context.folder / OUTCOME).unlink(missing_ok=True)


class Handover:
    """Stores outcomes for the process that began the sweep; a tally tells it of them."""

    def __init__(self, sweep: str, ended: Iterable[Outcome]) -> None:
        """`ended` are the outcomes that an earlier process, which was killed, has handed over."""
        self._sweep, self._ended = sweep, list(ended)
        self._lock = threading.Lock()

    def earlier(self) -> list[Outcome]:
        """The outcomes that an earlier process has handed over."""
        return self._ended

    def tell(self, outcome: Outcome) -> None:
        """Hands over the outcome of a member whose run is stored."""
        text = json.dumps({"sweep": self._sweep, "outcome": asdict(outcome)}, ensure_ascii=False)
        folder = Path(outcome.folder)
        with self._lock:
            folder.mkdir(parents=True, exist_ok=True)
            atomic.write(folder / OUTCOME, text.encode())

    def remember(self, name: str, text: str) -> None:
        """Does nothing: the process that began the sweep knows its run."""
