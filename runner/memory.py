"""Memory that is kept from step to step, in place of being given back to the system and asked for again.

glibc hands large blocks back as soon as they are free, and the system then fills each new one with zeros, page by
page: on a CPU some 50,000 faults in every step of a VGG-like network at batch 128, and a fifth of its time.
"""

import ctypes
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

# mallopt(3): no blocks of their own by mmap, no trimming, growth by so much at once, and one arena for all threads,
# since the others are made of mmap as well.
_SETTINGS: Final = (
    (-4, 0),  # M_MMAP_MAX
    (-1, 2**31 - 1),  # M_TRIM_THRESHOLD, bytes
    (-2, 256 * 2**20),  # M_TOP_PAD, bytes
    (-8, 1),  # M_ARENA_MAX
)


def keep() -> bool:
    """Has this process keep what it was once given, from now on. Returns whether its C library can."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):  # musl has no such settings
        return False
    return all(library.mallopt(setting, value) == 1 for setting, value in _SETTINGS)


@contextmanager
def collected_seldom() -> Iterator[None]:
    """Has Python look for cyclic garbage seldom, and not once more as it ends.

    JAX, MLflow and matplotlib are a million objects that stay, and Python goes over them again and again while they are
    imported: the default run takes 4.8 s for 6.3.
    """
    gc.set_threshold(100_000, 50, 100)
    try:
        yield
    finally:
        gc.freeze()
