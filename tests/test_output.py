"""What is printed arrives, whatever reads it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("encoding", ["ascii", "cp437", "cp1251", "koi8-r"])
def test_text_is_printed_in_the_encoding_of_the_terminal(encoding: str) -> None:
    program = """
import sys
from runner import output
output.settle()
for stream in (sys.stdout, sys.stderr):
    print("28×28 − 猫 …", file=stream)
"""
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, capture_output=True, env={"PYTHONIOENCODING": encoding, "PYTHONPATH": sys.path[0]})
    assert done.returncode == 0, done.stderr
    for shown in (done.stdout, done.stderr):
        assert re.fullmatch(r"28[x×]28 [-−] \? (\.\.\.|…)\s*", shown.decode(encoding))


def test_a_closed_pipe_is_no_error() -> None:
    program = """
import sys
from runner import output
output.settle()
sys.stdin.readline()
for _ in range(100_000):
    print("a line of some length", flush=True)
print("to the end", file=sys.stderr)
"""
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe) as started:
        assert started.stdin is not None
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.close()
        started.stdin.write(b"go\n")
        started.stdin.close()
        assert started.stderr.read() == b"to the end\n"
        assert started.wait(60) == 0


def test_closed_pipes_of_both_outputs_are_no_error(tmp_path: Path) -> None:
    program = """
import logging, sys
from pathlib import Path
from runner import output
output.settle()
for _ in range(10_000):
    print("a line of some length", flush=True)
    logging.warning("a warning")
    print("an error", file=sys.stderr, flush=True)
Path("end").touch()
"""
    shell = '"$0" -c "$1" 2>&1 | head -1; exit "${PIPESTATUS[0]}"'
    environment = {"PYTHONPATH": sys.path[0], "PATH": os.environ["PATH"]}
    done = subprocess.run(["bash", "-c", shell, sys.executable, program], cwd=tmp_path, env=environment, timeout=60)
    assert done.returncode == 0
    assert (tmp_path / "end").exists()
