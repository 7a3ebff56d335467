"""Compiled programs that are damaged in the cache: compiled once more, and replaced."""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from runner import programs

_PROGRAM = """
import logging, sys
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
from runner import placement
placement.choose("cpu")
import jax
total = jax.jit(lambda x: (x * 2).sum())
print(total(jax.numpy.arange(10.0)))
"""


def run(cache: Path) -> list[str]:
    names = ("PATH", "HOME", "PYTHONPATH", "JAX_PLATFORMS")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    environment |= {"CONVRUNNER_CACHE": str(cache)}
    command = [sys.executable, "-c", _PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    assert "Error reading" not in done.stderr
    return done.stdout.splitlines()


def test_a_damaged_program_is_replaced(tmp_path: Path) -> None:
    assert run(tmp_path)[-1] == "90.0"
    [entry] = (tmp_path / "programs").glob("jit__lambda*")
    whole = entry.read_bytes()
    entry.write_bytes(whole[: len(whole) // 2])
    line = "replacing a damaged entry in the cache of compiled programs: jit__lambda"
    assert [line for line in run(tmp_path) if "damaged" in line or line == "90.0"] == [line, "90.0"]
    assert len(entry.read_bytes()) > len(whole) // 2
    assert not [line for line in run(tmp_path) if "damaged" in line]


def test_other_warnings_are_shown_and_other_entries_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[str] = []
    monkeypatch.setattr(warnings, "showwarning", lambda message, *rest: shown.append(str(message)))
    for name in ("jit_a-1-cache", "jit_a-2-cache", "jit_ab-1-cache"):
        (tmp_path / name).write_bytes(b"")
    programs.replace_damaged(tmp_path)
    programs.replace_damaged(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(warnings, "filters", [])
        warnings.warn("Error reading persistent compilation cache entry for 'jit_a': zlib.error", stacklevel=1)
        warnings.warn("something else", stacklevel=1)
    assert shown == ["something else"]
    assert [path.name for path in tmp_path.iterdir()] == ["jit_ab-1-cache"]
