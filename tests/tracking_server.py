"""A real MLflow server on this machine, which tests start and kill."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answer(url: str, body: Any = None, seconds: float = 90) -> bytes:
    """What a server answers, waiting until it is up."""
    data = None if body is None else json.dumps(body).encode()
    end = time.monotonic() + seconds
    while True:
        try:
            request = urllib.request.Request(url, data=data, headers={"Content-Type": "application/json"})
            with urllib.request.urlopen(request, timeout=10) as reply:
                content: bytes = reply.read()
                return content
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.3)


def mlflow_process(*arguments: str, **environment: str) -> "subprocess.Popen[bytes]":
    """MLflow's command line, in a process group of its own so that its workers end with it."""
    root = Path(__file__).resolve().parent.parent
    return subprocess.Popen(
        [sys.executable, "-m", "mlflow", *arguments],
        env={
            **os.environ,
            # `mlflow models serve` looks for uvicorn as an activated environment has it.
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "PYTHONPATH": str(root),
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            **environment,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def kill(process: "subprocess.Popen[bytes]") -> None:
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


class Server:
    """A real MLflow server over one database, that can be killed and started again on its port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.uri = f"http://127.0.0.1:{self.port}"
        self.database = f"sqlite:///{folder}/server.db"
        self.artifacts = folder / "server-artifacts"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        stores = ["--backend-store-uri", self.database, "--artifacts-destination", str(self.artifacts)]
        self.process = mlflow_process("server", *arguments, *stores)
        answer(f"{self.uri}/health")

    def kill(self) -> None:
        if self.process is not None:
            kill(self.process)
