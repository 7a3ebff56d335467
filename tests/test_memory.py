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
def test_a_freed_block_is_reused() -> None:
    # Four times 64 MB are 65,536 pages, or fewer where the system has larger ones.
    assert faults("keep") < 0.2 * faults("leave")


def test_garbage_collections_are_rare_and_skipped_at_exit() -> None:
    program = """
import gc
from runner import memory
with memory.rare_collections():
    looked = []
    gc.callbacks.append(lambda phase, _: looked.append(phase))
    kept = [[] for _ in range(50_000)]
assert not looked, "50,000 objects are few"
assert gc.get_freeze_count() > 50_000
garbage = [[] for _ in range(300_000)]
assert looked, "it is still looked for"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_peak_of_a_process_contains_what_it_gave_back() -> None:
    program = "from runner import memory; before = memory.peak_bytes(); block = b'1' * 2**26; del block; "
    program += "print(memory.peak_bytes() - before)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert 2**25 < float(done.stdout) < 2**28
