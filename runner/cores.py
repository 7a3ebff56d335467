"""The number of processor cores that this process may use."""

import os


def available() -> int:
    """The number of cores allowed to this process; on macOS and Windows, all cores of the machine."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
