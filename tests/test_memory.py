"""Memory that is kept costs no page faults."""

import subprocess
import sys

import pytest

PROGRAM = """
import ctypes, resource, sys
from runner import memory
if sys.argv[1] == "keep":
    assert memory.keep()
library = ctypes.CDLL(None)
library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, [ctypes.c_size_t]
library.free.argtypes = [ctypes.c_void_p]
def step():
    block = library.malloc(64 << 20)
    ctypes.memset(block, 1, 64 << 20)
    library.free(block)
step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(4): step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(how: str) -> int:
    done = subprocess.run([sys.executable, "-c", PROGRAM, how], capture_output=True, text=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the settings are those of glibc")
def test_a_block_that_was_given_back_is_there_the_next_time() -> None:
    # Four times 64 MB are 65,536 pages, or fewer where the system has larger ones.
    assert faults("keep") < 0.2 * faults("leave")


def test_garbage_is_looked_for_seldom_and_not_at_the_end() -> None:
    program = """
import gc
from runner import memory
with memory.collected_seldom():
    looked = []
    gc.callbacks.append(lambda phase, _: looked.append(phase))
    kept = [[] for _ in range(50_000)]
assert not looked, "50,000 objects are few"
assert gc.get_freeze_count() > 50_000
garbage = [[] for _ in range(300_000)]
assert looked, "it is still looked for"
"""
    subprocess.run([sys.executable, "-c", program], check=True)
