"""The memory of this process: kept between training steps instead of returned to the system, and how much it was.

glibc returns large blocks as soon as they are freed, and the system clears each new block page by page. On a CPU this
costs some 50,000 page faults in every step of a VGG-like network at batch 128, a fifth of its time.
"""

import ctypes
import gc
import math
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# mallopt(3): no separate blocks by mmap, no trimming, growth in large steps, and one arena for all threads, because
# further arenas use mmap as well.
_SETTINGS: Final = (
    (-4, 0),  # M_MMAP_MAX
    (-1, 2**31 - 1),  # M_TRIM_THRESHOLD, bytes
    (-2, 256 * 2**20),  # M_TOP_PAD, bytes
    (-8, 1),  # M_ARENA_MAX
)


def keep() -> bool:
    """Makes this process keep its memory from now on. Returns whether the C library supports it."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has no such settings
        return False
    return all(library.mallopt(setting, value) == 1 for setting, value in _SETTINGS)


def peak_bytes() -> float | None:
    """The most resident memory that this process had so far, in bytes; None on systems that do not count it."""
    if sys.platform == "darwin":
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    try:  # on Linux getrusage would include the program that started this one
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeError):
        return None
    peak = next((line.split()[1] for line in lines if line.startswith("VmHWM:")), None)
    return None if peak is None else float(peak) * 1024


def available_bytes() -> float:
    """The memory that processes may still take, in bytes, also within a container; infinite where it is not known."""
    found = math.inf
    with suppress(OSError, ValueError, IndexError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = 1024 * float(next(line.split()[1] for line in lines if line.startswith("MemAvailable:")))
    with suppress(OSError, ValueError):  # "max" where a container has no limit
        group = Path("/sys/fs/cgroup")
        most, now = (float((group / name).read_text()) for name in ("memory.max", "memory.current"))
        found = min(found, max(most - now, 0.0))
    return found


@contextmanager
def rare_collections() -> Iterator[None]:
    """Makes Python's garbage collections rare, and skips the last one at exit.

    JAX, MLflow and matplotlib create a million permanent objects, which Python would scan repeatedly during import:
    the default run takes 4.8 s instead of 6.3 s.
    """
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.freeze()
