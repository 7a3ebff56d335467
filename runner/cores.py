"""How many of the machine's processor cores this process may use."""

import os


def available() -> int:
    """The cores that the system allows this process; all of the machine's where it cannot say, as macOS and Windows."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
