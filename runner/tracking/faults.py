"""One-line errors about a store that fails, without secrets."""

import re
from typing import Final

from runner.errors import TrackingError, must
from runner.tracking.settings import without_secrets

# The text of a nested error in urllib3: NewConnectionError("…: Connection refused").
_QUOTED: Final = re.compile(r"""\w+\((?P<quote>["'])(?P<text>.+)(?P=quote)""")

_REFUSED_LOGIN: Final = re.compile(r"error code 40[13]\b|UNAUTHENTICATED|PERMISSION_DENIED")
_LOGIN: Final = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
_OTHER_SERVER: Final = re.compile(r"error code 40[045]\b")
_NO_TLS: Final = re.compile(r"SSLError.*\[SSL: \w+\] (.+?) \(_ssl")


def reason(error: Exception) -> str:
    """The first line of an error, without secrets, at most 160 characters; for nested network errors, the innermost."""
    text = str(error).strip() or type(error).__name__
    innermost = text.splitlines()[0].rpartition("Caused by ")[2].rstrip(")")
    quoted = _QUOTED.fullmatch(innermost)
    return without_secrets(quoted["text"] if quoted else innermost)[:160]


def failed(uri: str, rule: str, error: Exception) -> TrackingError:
    """The error for a store that breaks `rule`, such as "be a store that MLflow can open"."""
    return TrackingError(must("tracking.uri", f"{rule} ({reason(error)})", without_secrets(uri)))


def not_recorded(uri: str) -> TrackingError:
    """The error of a database file that no run has made."""
    return TrackingError(must("tracking.uri", "be a store that a run has been recorded in", without_secrets(uri)))


def not_opened(uri: str, error: Exception) -> TrackingError:
    """The error for a store that cannot be opened."""
    if isinstance(error, TrackingError):
        return error
    text = str(error)
    if refused := _REFUSED_LOGIN.search(text):
        rule = f"be a server that lets you in ({refused[0]}; MLflow reads {_LOGIN})"
    elif other := _OTHER_SERVER.search(text):
        rule = f"be the address of an MLflow server ({other[0]})"
    elif insecure := _NO_TLS.search(text):
        rule = f"be a server that answers to https ({insecure[1]})"
    else:
        rule = f"be a store that MLflow can open ({reason(error)})"
    return TrackingError(must("tracking.uri", rule, without_secrets(uri)))
