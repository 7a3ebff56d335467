"""The processes of one run, on one host or several, which JAX connects: how they join, agree, and end together.

    >>> Distributed(coordinator="node1:9876", processes=2, index=0).is_several     # `join` waits for the other one
    True
    >>> is_first()           # the process that writes to MLflow, to files and to the terminal
    True

JAX ends a process with pages of its own if another one is gone for half a minute. Here that is one line.
"""

import ctypes
import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Final

import jax
import numpy as np
from annotated_types import Ge, Gt
from pydantic import AfterValidator, Field

from runner import endings, output
from runner.errors import ConfigError, Fault, TrainingError, must
from runner.records import Record

# A process that is not heard of for so long has ended.
_HEARTBEAT_SECONDS: Final = 30
_AUTO: Final = "auto"
_ADDRESS: Final = re.compile(r"(\[[0-9a-fA-F:]+\]|[^\s:\[\]]+):([1-9]\d{0,4})")
# The collectives of a CPU, those of a GPU, and the service by which JAX knows of its processes.
_OF_ANOTHER: Final = re.compile(r"gloo|nccl|coordination service|heartbeat", re.IGNORECASE)
_ABORTED = ctypes.CFUNCTYPE(None, ctypes.c_int)


def _address(value: str | None) -> str | None:
    if value is None or value == _AUTO or ((found := _ADDRESS.fullmatch(value)) and int(found[2]) < 2**16):
        return value
    raise ValueError(must("", "be HOST:PORT of the first process, or auto, or null", value).text)


class Distributed(Record):
    """The processes of one run, on one machine or several. Each is started with the same command."""

    coordinator: Annotated[str | None, AfterValidator(_address)] = Field(
        None,
        description="Where the processes meet: the host of the first one, with a port that nothing uses there, as in "
        "node1:9876. auto: as SLURM, Open MPI, a TPU pod or Kubernetes say. null: the run is one process.",
    )
    processes: Annotated[int, Ge(1)] | None = Field(
        None, description="Number of processes, among whose devices each batch is divided; null: as auto finds."
    )
    index: Annotated[int, Ge(0)] | None = Field(
        None, description="The number of this process: 0, which writes all results, 1, and so on; null: as auto finds."
    )
    timeout_seconds: Annotated[int, Gt(0)] = Field(
        300, description="Seconds that a process waits for the others to start."
    )

    def faults(self) -> list[Fault]:
        """What does not fit together in it."""
        given = {"processes": self.processes, "index": self.index}
        if self.coordinator is None:
            rule = "be null where distributed.coordinator is null"
            return [must(f"distributed.{name}", rule, value) for name, value in given.items() if value is not None]
        if self.coordinator != _AUTO and None in given.values():
            rule = f"be given with distributed.coordinator={self.coordinator}"
            return [must(f"distributed.{name}", rule, value) for name, value in given.items() if value is None]
        if self.processes is not None and self.index is not None and self.index >= self.processes:
            return [must("distributed.index", f"be less than distributed.processes ({self.processes})", self.index)]
        return []

    @property
    def is_several(self) -> bool:
        """Whether the run has processes that join."""
        return self.coordinator is not None and self.processes != 1


class _Joined:
    """What this process knows of the others."""

    index = 0
    count = 1
    connected = False
    line = ""  # what to say if JAX ends the process
    status = 1  # and its exit status then


_ending = threading.Lock()


def is_first() -> bool:
    """Whether this is the process that writes: the first of several, or the only one."""
    return _Joined.index == 0


def count() -> int:
    """The number of processes of the run."""
    return _Joined.count


def join(settings: Distributed) -> None:
    """Waits until all processes of the run have started, and connects them; does nothing for a single process.

    Raises ConfigError. If the others do not come in time, JAX ends the process, with one line.
    """
    if faults := settings.faults():
        raise ConfigError(*faults)
    if not settings.is_several:
        return
    is_auto = settings.coordinator == _AUTO
    _Joined.connected, _Joined.status = True, 2
    rule = f"be met by all processes within {settings.timeout_seconds} s, each with an index of its own"
    _Joined.line = str(must("distributed.coordinator", rule, settings.coordinator))
    if not os.environ.get(endings.WHOLE):
        output.keep_for_python()
    _end_in_one_line()

    with suppress(AttributeError):  # else JAX takes SIGTERM for itself, and the command would not hear of it
        jax.config.update("jax_enable_preemption_service", False)

    def connect() -> None:
        jax.distributed.initialize(
            coordinator_address=None if is_auto else settings.coordinator,
            num_processes=settings.processes,
            process_id=settings.index,
            cluster_detection_method=None if is_auto else "deactivate",
            initialization_timeout=settings.timeout_seconds,
            heartbeat_timeout_seconds=_HEARTBEAT_SECONDS,
        )

    try:
        _interruptible(connect)
        _Joined.index, _Joined.count = jax.process_index(), jax.process_count()
    except (RuntimeError, ValueError, TypeError, KeyError, OSError) as error:
        _Joined.connected = False
        reason = (str(error) or type(error).__name__).split("\n")[0]
        rule = "be announced by SLURM, Open MPI, a TPU pod or Kubernetes" if is_auto else "be an address to meet at"
        raise ConfigError(
            Fault("distributed.coordinator", f"must {rule}, got {settings.coordinator} ({reason})")
        ) from (error)
    _Joined.line, _Joined.status = str(_lost()), 1


def agree(values: Mapping[str, str]) -> None:
    """Compares values by path with those of the other processes. Raises ConfigError in all of them if any differ."""
    if not _Joined.connected:
        return
    texts = [json.loads(text) for text in _gathered(json.dumps(dict(values)).encode())]
    first, nothing = texts[0], "nothing"
    faults = [
        Fault(
            path,
            f"must be the same in all processes, got {first.get(path, nothing)} in process 0 and "
            f"{other.get(path, nothing)} in process {number}",
        )
        for number, other in enumerate(texts)
        for path in dict.fromkeys((*first, *other))
        if first.get(path) != other.get(path)
    ]
    if faults:
        raise ConfigError(faults[0])


def explained(error: Exception) -> TrainingError | None:
    """The error to show for one that comes of the end of another process; None for any other error."""
    if not _Joined.connected or not _OF_ANOTHER.search(str(error)):
        return None
    if not is_first():
        _end()  # the first process, if it is the one that ended, makes JAX end this one in the same moment
    return TrainingError(_lost())


def leave() -> None:
    """Parts from the other processes, after the last step that all take: each goes on or ends by itself."""
    if _Joined.connected:
        jax.distributed.shutdown()
        _Joined.connected = False


def exit_now(status: int) -> None:
    """Ends this process without waiting for others that it is still connected with; otherwise does nothing."""
    if _Joined.connected:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _lost() -> Fault:
    rule = f"must keep all {_Joined.count} processes, but another one ended or cannot be reached"
    return Fault("distributed", f"{rule}; `runner resume` goes on from the last checkpoint")


def _gathered(own: bytes) -> list[bytes]:
    """The bytes of every process, in order."""
    from jax.experimental import multihost_utils

    sizes = np.asarray(multihost_utils.process_allgather(np.int32(len(own)))).reshape(-1)
    padded = np.zeros(int(sizes.max()), np.uint8)
    padded[: len(own)] = np.frombuffer(own, np.uint8)
    rows = np.asarray(multihost_utils.process_allgather(padded)).reshape(len(sizes), -1)
    return [row[:size].tobytes() for row, size in zip(rows, sizes, strict=True)]


def _interruptible(function: Callable[[], None]) -> None:
    """Calls a function that waits outside of Python, so that Ctrl+C ends the waiting."""
    errors: list[BaseException] = []

    def call() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
            errors.append(error)

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    while thread.is_alive():
        thread.join(0.1)
    if errors:
        raise errors[0]


def _end_in_one_line() -> None:
    """Makes the abort with which JAX ends a process print one line; handlers of Python would come too late."""
    libc: Any = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, _ABORTED)
    libc.signal(signal.SIGABRT, _on_abort)


def _end() -> None:
    """Ends this process with its line, once; another thread that comes here waits for the end."""
    _ending.acquire()
    stream = sys.stderr
    os.write(stream.fileno(), f"{_Joined.line}\n".encode(stream.encoding, "replace"))
    os._exit(_Joined.status)


# C keeps no reference to what it calls.
_on_abort: Final = _ABORTED(lambda number: _end())
