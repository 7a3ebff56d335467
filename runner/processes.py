"""Which process does something, as a text that other processes can read later, to see whether it has ended.

>>> Process.from_text(Process.here().text).has_ended()
False
"""

import json
import os
import socket
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True)
class Process:
    """A process. `machine` distinguishes machines and containers with the same host name."""

    host: str
    machine: str
    pid: int
    started: str  # start time of the process in kernel ticks, because process ids are reused

    @classmethod
    def here(cls) -> "Process":
        """The process that asks."""
        return Process(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()) or "")

    @classmethod
    def from_text(cls, text: str) -> Self:
        """The process of a `text`. Raises ValueError or TypeError if it is none."""
        return cls(**json.loads(text))

    @property
    def text(self) -> str:
        """All fields as JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    def is_of_this_machine(self) -> bool:
        """Whether the process runs on this machine, in this container."""
        return (self.host, self.machine) == (socket.gethostname(), _machine())

    def has_ended(self) -> bool:
        """Whether a process of this machine has ended; false for those of other machines, of which nothing is known."""
        return self.is_of_this_machine() and _started(self.pid) != self.started


def _machine() -> str:
    """A text that differs between machines, and between containers with the host name of their machine."""
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return ":".join(parts)


def _started(pid: int) -> str | None:
    """The start time of a process; empty if the system does not report it, None if there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return None
        except OSError:
            pass
        return ""
    # The fields after the process name: the first is the state; the start time is field 22 of the line.
    return None if fields[0] in "ZX" else fields[19]
