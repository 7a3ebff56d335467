"""Ctrl+C before a command has begun its work: one word, and no traceback."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("moment", ["runner.memory", "runner.cli", "hydra.core.hydra_config"])
def test_an_interrupt_while_modules_are_imported_is_one_word(moment: str) -> None:
    # The signal comes just as a module is looked for, as it would from a user's hand.
    program = f"""
import importlib.abc, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {moment!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupting())
from runner.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_ignored_interrupts_stay_ignored() -> None:
    program = """
import signal
from runner import interrupts
signal.signal(signal.SIGINT, signal.SIG_IGN)
interrupts.end_at_once()
interrupts.raise_again()
signal.raise_signal(signal.SIGINT)
print("goes on")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "goes on\n")
