"""Which process does something, as a text that other processes can read later, to see whether it has ended.

>>> Process.from_text(Process.here().text).has_ended()
False
"""

import json
import os
import socket
import time
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

    def has_ended(self, heard: float | None = None) -> bool:
        """Whether the process is known to have ended; `heard` is when it last gave a sign, in seconds since 1970.

        Of a process of this host in another container or before the last start of the host, it is known only if that
        start was after the sign. Nothing is known of processes of other hosts.
        """
        if self.is_of_this_machine():
            return _started(self.pid) != self.started
        return self.host == socket.gethostname() and heard is not None and heard < _booted()


def _machine() -> str:
    """A text that differs between machines, and between containers with the host name of their machine."""
    parts = []
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
    with suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").stat().st_ino))
    return ":".join(parts)


def _booted() -> float:
    """When the host was started, in seconds since 1970; 0 if the system does not report it."""
    try:
        return time.time() - float(Path("/proc/uptime").read_text().split()[0])
    except OSError:
        return 0.0


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
