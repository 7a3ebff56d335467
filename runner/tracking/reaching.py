"""Whether a tracking server can be reached: found within seconds, before MLflow is imported."""

import socket
import urllib.request
from typing import Final
from urllib.parse import SplitResult, urlsplit

_PORTS: Final = {"http": 80, "https": 443}
_SECONDS: Final = 5.0


class UnreachableError(ConnectionError):
    """The server does not answer now, and may answer later."""


def is_server(uri: str) -> bool:
    """Whether a store is an MLflow tracking server."""
    return uri.startswith(("http://", "https://"))


def reach(uri: str) -> None:
    """Connects to a tracking server; does nothing for a database. Raises UnreachableError if it does not answer."""
    parts = urlsplit(uri)
    if not is_server(uri) or not parts.hostname or _has_proxy(parts):
        return
    port = parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection((parts.hostname, port), timeout=_SECONDS).close()
    except OSError as error:
        raise UnreachableError(error.strerror or str(error)) from error


def _has_proxy(parts: SplitResult) -> bool:
    """Whether requests go through a proxy, which may reach a host that this machine does not."""
    proxies = urllib.request.getproxies()
    is_bypassed = bool(urllib.request.proxy_bypass(parts.hostname or ""))
    return not is_bypassed and bool(proxies.get(parts.scheme) or proxies.get("all"))
