"""Starts the MLflow UI for the store in use: `runner ui`."""

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

from runner.errors import ConfigError, must
from runner.tracking import site
from runner.tracking.faults import not_recorded
from runner.tracking.settings import Tracking, absolute_uri, artifact_root, database_file, without_secrets
from runner.tracking.store import ENVIRONMENT
from runner.tracking.view import VIEW_TAG

_READY_SECONDS = 120.0
_LINKS = 5


def serve_ui(tracking: Tracking, *, host: str = "127.0.0.1", port: int = 5000) -> int:
    """Serves MLflow's UI on the store until interrupted, and prints its links. Returns an exit status.

    If the store is a server, only its address is printed, because it has a UI already.
    Raises TrackingError for a database file that does not exist, ConfigError for a port in use.
    """
    uri = absolute_uri(tracking.uri)
    if uri.startswith("http"):
        print(f"The tracking server has its own UI: {without_secrets(uri).replace('***@', '')}")
        return 0
    file = database_file(uri)
    if file is not None and not file.is_file():
        raise not_recorded(tracking.uri)
    _check_listens(host, port)
    options = ("--host", host, "--port", str(port), "--workers", "1", "--app-name", site.APP)
    command = [sys.executable, "-m", "mlflow", "server", *options]
    with _interruptible(), tempfile.TemporaryFile() as log, site.announced() as path:
        # In a new session, so that it can be stopped here together with its workers.
        server = subprocess.Popen(
            command,
            env=_environment(uri) | {"PYTHONPATH": path},
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
        try:
            return _serve(server, f"http://{_in_address(host)}:{port}", log)
        except KeyboardInterrupt:
            return 0
        finally:
            _stop(server)


def _serve(server: "subprocess.Popen[bytes]", address: str, log: IO[bytes]) -> int:
    print("Opening the MLflow UI, which takes some seconds ...", flush=True)
    if not _is_ready(server, address):
        log.seek(0)
        print(without_secrets(log.read().decode(errors="replace")), file=sys.stderr)
        return 1
    for line in _links(address):
        print(line, flush=True)
    return server.wait()


@contextmanager
def _interruptible() -> Iterator[None]:
    """Makes SIGINT and SIGTERM raise KeyboardInterrupt, so that `finally` stops the server."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    # Shells start background programs with SIGINT ignored, and SIGTERM would end Python without `finally`.
    before = {name: signal.signal(name, interrupt) for name in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)


def _environment(uri: str) -> dict[str, str]:
    """The server's environment. It contains the store's URI, because a list of processes would show a password."""
    quiet = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    root = artifact_root(uri)
    artifacts = {"MLFLOW_DEFAULT_ARTIFACT_ROOT": root} if root else {}
    return {**quiet, **ENVIRONMENT, **os.environ, **artifacts, "MLFLOW_BACKEND_STORE_URI": uri}


def _check_listens(host: str, port: int) -> None:
    """Listens on the address for a moment. Raises ConfigError if that is impossible."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise ConfigError(must("ui.host", f"be an address of this machine ({_why(error)})", host)) from None
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a server that ended just now holds no port
        try:
            probe.bind(address)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                fault = must("ui.port", "be free, and something listens there already", port)
            elif error.errno == errno.EACCES:
                fault = must("ui.port", "be a port that you may listen on, such as 5000", port)
            else:
                fault = must("ui.host", f"be an address of this machine ({_why(error)})", host)
            raise ConfigError(fault) from None


def _in_address(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)


def _is_ready(server: "subprocess.Popen[bytes]", address: str) -> bool:
    end = time.monotonic() + _READY_SECONDS
    while server.poll() is None and time.monotonic() < end:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5):
                return True
        except OSError:
            time.sleep(0.2)
    return False


def _links(address: str) -> list[str]:
    """The address of the UI, and links to the runs and the curves of each experiment, the latest first."""
    try:
        found = _ask(address, "experiments/search", {"max_results": _LINKS, "order_by": ["last_update_time DESC"]})
        experiments = [entry for entry in found.get("experiments", []) if entry["name"] != "Default"]
    except (OSError, ValueError, KeyError):
        experiments = []
    lines = [f"MLflow UI: {address}   (Ctrl+C stops it)"]
    for entry in experiments:
        tags = {tag["key"]: tag["value"] for tag in entry.get("tags", [])}
        lines.append(entry["name"])
        if VIEW_TAG in tags:
            lines += [f"  {page:<6}  {address}/{page}/{entry['experiment_id']}" for page in site.PAGES]
        else:  # another program made it
            lines.append(f"  runs    {address}/#/experiments/{entry['experiment_id']}/runs")
    return lines


def _ask(address: str, call: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{address}/api/2.0/mlflow/{call}",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def _stop(server: "subprocess.Popen[bytes]") -> None:
    """Stops the server and its workers, which form one process group."""
    for request, seconds in ((signal.SIGTERM, 10.0), (signal.SIGKILL, 10.0)):
        with suppress(ProcessLookupError):
            os.killpg(server.pid, request)
        with suppress(subprocess.TimeoutExpired):
            server.wait(timeout=seconds)
            return
