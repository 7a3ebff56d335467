"""Ctrl+C and SIGTERM: one word, and no traceback; while a command works, the second signal ends it at once."""

import subprocess
import sys

import pytest

SIGNALS = pytest.mark.parametrize(
    ("name", "status", "word"), [("SIGINT", 130, "interrupted"), ("SIGTERM", 143, "terminated")]
)


def ran(program: str) -> tuple[int, str, str]:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


@SIGNALS
@pytest.mark.parametrize("moment", ["runner.memory", "runner.cli", "hydra.core.hydra_config"])
def test_a_signal_while_modules_are_imported_is_one_word(moment: str, name: str, status: int, word: str) -> None:
    # The signal comes just as a module is looked for, as it would from a user's hand.
    program = f"""
import importlib.abc, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == {moment!r}:
            os.kill(os.getpid(), signal.{name})
sys.meta_path.insert(0, Interrupting())
from runner.__main__ import main
main()
"""
    assert ran(program) == (status, "", f"{word}\n")


@SIGNALS
def test_the_first_signal_is_an_exception_and_the_second_the_end(name: str, status: int, word: str) -> None:
    program = f"""
import signal
from runner import interrupts
interrupts.end_at_once()
interrupts.raise_again()
try:
    signal.raise_signal(signal.{name})
except KeyboardInterrupt as error:
    print(interrupts.word(error), interrupts.status(error), flush=True)
signal.raise_signal(signal.{name})
"""
    assert ran(program) == (status, f"{word} {status}\n", f"{word}\n")


def test_ignored_interrupts_stay_ignored() -> None:
    program = """
import signal
from runner import interrupts
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, signal.SIG_IGN)
interrupts.end_at_once()
interrupts.raise_again()
for number in (signal.SIGINT, signal.SIGTERM):
    signal.raise_signal(number)
print("goes on")
"""
    assert ran(program) == (0, "goes on\n", "")


@SIGNALS
def test_a_signal_waits_for_the_end_of_what_must_be_whole(name: str, status: int, word: str) -> None:
    program = f"""
import signal, threading
from runner import interrupts
interrupts.end_at_once()
interrupts.raise_again()
def elsewhere():
    with interrupts.postponed():  # concerns the main thread alone
        started.set()
        done.wait()
started, done = threading.Event(), threading.Event()
thread = threading.Thread(target=elsewhere)
thread.start()
started.wait()
try:
    with interrupts.postponed():
        with interrupts.postponed():
            signal.raise_signal(signal.{name})
            print("inner", flush=True)
        print("outer", flush=True)
    print("never")
except KeyboardInterrupt as error:
    print(interrupts.word(error), flush=True)
interrupts.raise_again()
try:
    signal.raise_signal(signal.{name})
except KeyboardInterrupt as error:
    print("at once", flush=True)
done.set()
thread.join()
interrupts.raise_again()
with interrupts.postponed():
    signal.raise_signal(signal.{name})
    signal.raise_signal(signal.{name})
"""
    assert ran(program) == (status, f"inner\nouter\n{word}\nat once\n", f"{word}\n")
