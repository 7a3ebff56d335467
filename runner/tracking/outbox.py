"""The queue of messages that a store has not accepted yet, and the file that has a copy of it.

Any thread adds messages; only the writer thread removes them.
"""

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path

from runner.tracking import messages
from runner.tracking.faults import reason
from runner.tracking.messages import Message, Opening
from runner.tracking.untracked import Journal

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Item:
    """A message, and the numbers that it has in the file: several if it was joined, none if the file has it not."""

    message: Message
    numbers: tuple[int, ...] = ()
    parts: tuple["_Item", ...] = ()  # of which it was joined
    is_alone: bool = False  # it must not be joined: the store has refused it together with others


class Outbox:
    """The messages of one run. After `begin` they are also in the file, until the store has accepted them."""

    def __init__(self, file: Journal) -> None:
        self.file = file
        self._queue: deque[_Item] = deque()
        self._refused: list[_Item] = []
        self._lock = threading.Lock()
        self._begun = self._closed = False

    def begin(self, opening: Opening) -> None:
        """Makes the file, and puts what an earlier process of this run has left in it first."""
        with self._lock:
            if self._begun:
                return
            self._begun = True
            left = self.file.begin(opening)
            # The run goes on, so that its earlier end is void.
            ends = [number for number, message in left.items() if isinstance(message, messages.End)]
            self.file.sent(ends)
            earlier = [_Item(message, (number,)) for number, message in left.items() if number not in ends]
            self._queue = deque([*earlier, *(self._numbered(item.message) for item in self._queue)])

    def put(self, message: Message) -> None:
        """Adds a message."""
        with self._lock:
            if not self._closed:
                self._queue.append(self._numbered(message) if self._begun else _Item(message))

    def created(self, run_id: str) -> None:
        """The store has created the run."""
        self.file.created(run_id)

    def head(self) -> Message | None:
        """The next message to deliver. It stays in the queue until `delivered` or `refused` is called.

        Consecutive batches are joined, and a figure is drawn first.
        """
        while True:
            item = self._joined_head()
            if item is None or not isinstance(item.message, messages.Figure):
                return None if item is None else item.message
            file = drawn(item.message)
            with self._lock:
                if self._queue and self._queue[0] is item:  # `close` may have emptied it
                    self._queue.popleft()
                    if file is not None:
                        self._queue.appendleft(self._numbered(file))

    def delivered(self) -> None:
        """Removes the message that `head` returned: the store has accepted it."""
        with self._lock:
            if self._queue:
                self.file.sent(self._queue.popleft().numbers)

    def refused(self) -> bool:
        """Sets aside the message that `head` returned: the store has refused it. It stays in the file.

        A batch that was joined is taken apart, as the store may refuse one part only. Returns whether it was set aside.
        """
        with self._lock:
            if not self._queue:
                return False
            item = self._queue.popleft()
            if item.parts:
                self._queue.extendleft(reversed([replace(part, is_alone=True) for part in item.parts]))
                return False
            self._refused.append(item)
            return True

    def close(self, is_kept: Callable[[list[Message]], bool]) -> tuple[int, bool]:
        """Empties the queue, and ends writing to the file, which is deleted if the store has accepted all messages.

        `is_kept` says of the others whether their file is worth keeping. Returns their number, if it is, and whether
        the file has them all.
        """
        with self._lock:
            if self._closed:
                return 0, True
            rest = [*self._refused, *self._queue]
            self._queue.clear()
            self._closed = True
        if not self._begun:
            return 0, True
        if not rest or not is_kept([item.message for item in rest]):
            self.file.close(keep=False)
            return 0, True
        for item in rest:
            if isinstance(item.message, messages.Figure) and (file := drawn(item.message)) is not None:
                self.file.add(file)
        return len(rest), self.file.close(keep=True)

    @property
    def activity(self) -> str:
        """What is done with the next message, as shown in the terminal."""
        with self._lock:
            following = self._queue[0].message if self._queue else None
        match following:
            case messages.Figure(path):
                return f"drawing {path}"
            case messages.File(local):
                return f"sending {Path(local).name} to MLflow"
            case messages.Model():
                return "sending the model to MLflow"
            case _:
                return "sending results to MLflow"

    def _numbered(self, message: Message) -> _Item:
        """A message with its number in the file; a figure comes into the file when it is drawn."""
        return _Item(message) if isinstance(message, messages.Figure) else _Item(message, (self.file.add(message),))

    def _joined_head(self) -> _Item | None:
        with self._lock:
            first = list(takewhile(_can_be_joined, self._queue))
            if len(first) > 1:
                for _ in first:
                    self._queue.popleft()
                self._queue.appendleft(_joined(first))
            return self._queue[0] if self._queue else None


def _can_be_joined(item: _Item) -> bool:
    return isinstance(item.message, messages.Batch) and not item.is_alone


def _joined(items: list[_Item]) -> _Item:
    batches = [item.message for item in items if isinstance(item.message, messages.Batch)]
    parts = tuple(part for item in items for part in item.parts or (item,))
    return _Item(messages.joined(batches), tuple(number for item in items for number in item.numbers), parts)


def drawn(figure: messages.Figure) -> messages.File | None:
    """Draws a figure and returns its file; if drawing fails, warns and returns None, so that the run continues."""
    try:
        return figure.drawn()
    except Exception as error:  # noqa: BLE001 - `make` is the caller's code
        _log.warning("%s could not be drawn: %s", figure.path, reason(error))
        return None
