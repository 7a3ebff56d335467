"""The queue of messages that a store has not accepted yet.

Any thread adds messages; only the writer thread removes them.
"""

import logging
import threading
from collections import deque
from itertools import takewhile
from pathlib import Path

from runner.tracking import messages
from runner.tracking.faults import reason
from runner.tracking.messages import Message

_log = logging.getLogger(__name__)


class Outbox:
    """The messages of one run."""

    def __init__(self) -> None:
        self._queue: deque[Message] = deque()
        self._refused: list[Message] = []
        self._lock = threading.Lock()

    def put(self, message: Message) -> None:
        """Adds a message."""
        with self._lock:
            self._queue.append(message)

    def head(self) -> Message | None:
        """The next message to deliver. It stays in the queue until `delivered` or `refused` is called.

        Consecutive batches are joined, and a figure is drawn first.
        """
        while isinstance(message := self._joined_head(), messages.Figure):
            self._replace_head(drawn(message))
        return message

    def delivered(self) -> None:
        """Removes the message that `head` returned: the store has accepted it."""
        self._replace_head(None)

    def refused(self, message: Message) -> None:
        """Sets aside the message that `head` returned: the store has refused it. `drain` returns it."""
        self._refused.append(message)
        self._replace_head(None)

    def drain(self) -> list[Message]:
        """Removes and returns all messages, refused ones first; figures are drawn."""
        with self._lock:
            rest = [*self._refused, *self._queue]
            self._refused.clear()
            self._queue.clear()
        files = (drawn(message) if isinstance(message, messages.Figure) else message for message in rest)
        return [message for message in files if message is not None]

    @property
    def activity(self) -> str:
        """What is done with the next message, as shown in the terminal."""
        with self._lock:
            following = self._queue[0] if self._queue else None
        match following:
            case messages.Figure(path):
                return f"drawing {path}"
            case messages.File(local):
                return f"sending {Path(local).name} to MLflow"
            case messages.Model():
                return "sending the model to MLflow"
            case _:
                return "sending results to MLflow"

    def _joined_head(self) -> Message | None:
        with self._lock:
            first = takewhile(lambda item: isinstance(item, messages.Batch), self._queue)
            batches = [item for item in first if isinstance(item, messages.Batch)]
            if len(batches) > 1:
                for _ in batches:
                    self._queue.popleft()
                self._queue.appendleft(messages.joined(batches))
            return self._queue[0] if self._queue else None

    def _replace_head(self, message: Message | None) -> None:
        with self._lock:
            if self._queue:  # `drain` may have emptied it
                self._queue.popleft()
                if message is not None:
                    self._queue.appendleft(message)


def drawn(figure: messages.Figure) -> messages.File | None:
    """Draws a figure and returns its file; if drawing fails, warns and returns None, so that the run continues."""
    try:
        return figure.drawn()
    except Exception as error:  # noqa: BLE001 - `make` is the caller's code
        _log.warning("%s could not be drawn: %s", figure.path, reason(error))
        return None
