"""How many cores a process may use, also where the system does not say which."""

import os
import subprocess
import sys

import pytest

from runner import cores


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="the system binds no process to cores")
def test_a_process_bound_to_one_core_has_one() -> None:
    program = """
import os
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
from runner import cores
print(cores.available())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


def test_without_core_binding_all_cores_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 6)
    assert cores.available() == 6
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.available() == 1
