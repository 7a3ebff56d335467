"""What a user is told of a store that fails: one line, without secrets."""

import re
from typing import Final

from runner.errors import TrackingError, must
from runner.tracking.settings import without_secrets

# How urllib3 names an error within another one: NewConnectionError("…: Connection refused").
_QUOTED: Final = re.compile(r"""\w+\((?P<quote>["'])(?P<text>.+)(?P=quote)""")


def reason(error: Exception) -> str:
    """An error's first line, without secrets and not too long; of the network's nested errors, the innermost's text."""
    text = str(error).strip() or type(error).__name__
    innermost = text.splitlines()[0].rpartition("Caused by ")[2].rstrip(")")
    quoted = _QUOTED.fullmatch(innermost)
    return without_secrets(quoted["text"] if quoted else innermost)[:160]


def failed(uri: str, rule: str, error: Exception) -> TrackingError:
    """The error of a store that does not do what `rule` says, such as "be a store that MLflow can open"."""
    return TrackingError(must("tracking.uri", f"{rule} ({reason(error)})", without_secrets(uri)))


def not_opened(uri: str, error: Exception) -> TrackingError:
    """The error of a store that cannot be opened."""
    return error if isinstance(error, TrackingError) else failed(uri, "be a store that MLflow can open", error)
