"""The MLflow UI, started for real."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tracked import begin
from tracking_server import answer, free_port

from runner.errors import ConfigError, TrackingError
from runner.tracking import Tracking, serve_ui


def test_the_ui_of_a_server_is_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert serve_ui(Tracking(uri="http://me:secret@host:5000")) == 0
    assert capsys.readouterr().out == "The tracking server has its own UI: http://host:5000\n"


def test_the_ui_needs_a_store_and_a_port(uri: str, client: Any, tmp_path: Path) -> None:
    with pytest.raises(TrackingError) as nothing:
        serve_ui(Tracking())
    rule = "tracking.uri: must be a store that a run has been recorded in, got sqlite:///outputs/mlflow.db"
    assert str(nothing.value) == rule
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as fault:
            serve_ui(Tracking(uri=uri), port=port)
        assert str(fault.value) == f"ui.port: must be free, and something listens there already, got {port}"
    for host in ("256.1.1.1", "192.0.2.1", "a..b"):  # no address, one kept for examples, no name
        with pytest.raises(ConfigError) as fault:
            serve_ui(Tracking(uri=uri), host=host)
        assert re.fullmatch(rf"ui\.host: must be an address of this machine \(.+\), got {host}", str(fault.value))


@pytest.mark.slow
@pytest.mark.parametrize("request_to_end", [signal.SIGINT, signal.SIGTERM])
def test_the_ui_opens_and_prints_its_links(uri: str, tmp_path: Path, request_to_end: signal.Signals) -> None:
    begin(uri, tmp_path / "run", "my experiment").finish("FINISHED")
    port = free_port()
    program = f"from runner.tracking import *; serve_ui(Tracking(uri={uri!r}), port={port})"
    root = str(Path(__file__).resolve().parent.parent)
    process = subprocess.Popen(
        [sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": root}, stdout=subprocess.PIPE, text=True
    )
    try:
        assert b"MLflow" in answer(f"http://127.0.0.1:{port}/")
        lines = [process.stdout.readline() for _ in range(5)] if process.stdout else []
        assert lines[1] == f"MLflow UI: http://127.0.0.1:{port}   (Ctrl+C stops it)\n"
        assert lines[2] == "my experiment\n"
        assert re.fullmatch(rf"  runs    http://127\.0\.0\.1:{port}/runs/\d+\n", lines[3])
        assert re.fullmatch(rf"  curves  http://127\.0\.0\.1:{port}/curves/\d+\n", lines[4])
        assert max(map(len, lines)) <= 60  # a terminal would break a longer address
        for line in lines[3:]:
            assert b"viewStateShareKey=runner" in answer(line.split()[1])
    finally:
        process.send_signal(request_to_end)
        assert process.wait(timeout=30) == 0
        process.communicate()
    with pytest.raises(OSError, match="refused"):
        answer(f"http://127.0.0.1:{port}/", seconds=0)
