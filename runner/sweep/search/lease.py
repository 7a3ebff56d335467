"""Lets only one process at a time train a sweep: it holds a lease in the sweep's storage and renews it.

The lease is an attribute of the sweep. Every change compares the old text, so that only one of two concurrent
processes succeeds. A lease is taken over after its process has ended. On the same machine this is
checked by the process id, so leases survive when a machine sleeps. A lease of another machine is taken over if it is
two minutes old and is not renewed while this process watches it, because the clocks of two machines may differ.
"""

import _thread
import logging
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Final

from optuna.storages import RDBStorage

from runner.errors import ConfigError, Fault, must
from runner.processes import Process
from runner.sweep.search.attributes import Attributes

RENEWAL_SECONDS: Final = 10.0
STALE_SECONDS: Final = 120.0
WATCH_SECONDS: Final = 2.5 * RENEWAL_SECONDS
SWEEP: Final = "lease"  # the key of the lease of a whole sweep
_RELEASED: Final = "null"
_PAUSE_SECONDS: Final = 0.2  # between two looks at a lease that another process holds
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Owner(Process):
    """A process that trains a sweep, and when it said so last."""

    since: str
    token: str
    renewed: float  # seconds since 1970

    @classmethod
    def here(cls) -> "Owner":
        """The owner record of this process."""
        return cls(
            **asdict(Process.here()),
            since=datetime.now().strftime("%Y-%m-%d %H:%M:%S"),
            token=uuid.uuid4().hex,
            renewed=time.time(),
        )

    def seems_dead(self) -> bool:
        """Whether the process has ended; on another machine, whether its lease is old by this machine's clock."""
        if self.is_of_this_machine():
            return self.has_ended()
        return abs(time.time() - self.renewed) > STALE_SECONDS

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since}"


@contextmanager
def held(storage: RDBStorage, name: str) -> Iterator[None]:
    """Holds the lease of a study during the block. Raises ConfigError if another process holds it."""
    lease = Lease(Attributes(storage, storage.get_study_id_from_name(name)))
    lease.take(name)
    with renewed(lease, "another process has taken over this sweep; this one stops"):
        yield


@contextmanager
def turn(attributes: Attributes, key: str) -> Iterator[None]:
    """Holds a lease during the block, and waits for it as long as another process holds it."""
    lease = Lease(attributes, key=key)
    while lease.holder() is not None:
        time.sleep(_PAUSE_SECONDS)
    with renewed(lease, "another process has taken over the turn of this one; this one stops"):
        yield


@contextmanager
def renewed(lease: "Lease", lost: str) -> Iterator[None]:
    """Renews a lease during the block, and then releases it. If it is lost, says so and interrupts this process."""
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, ended, lost), name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(Exception):  # an unreleased lease is taken over later
            lease.release()


def _renew(lease: "Lease", ended: threading.Event, lost: str) -> None:
    while not ended.wait(RENEWAL_SECONDS):
        try:
            kept = lease.renew()
        except Exception as error:  # noqa: BLE001 - database drivers share no base; the next renewal may succeed
            _log.debug("the lease could not be renewed: %s", error)
            continue
        if not kept:
            _log.error(lost)
            _thread.interrupt_main()
            return


class Lease:
    """A lease of a study for one owner."""

    def __init__(
        self, attributes: Attributes, owner: Owner | None = None, *, key: str = SWEEP, released: str | None = _RELEASED
    ) -> None:
        """`released` is the text that is left when the lease is released; None: nothing is left."""
        self._attributes, self._key, self._released = attributes, key, released
        self._owner = owner or Owner.here()

    def take(self, name: str) -> None:
        """Takes the lease. Raises ConfigError if a running process holds it."""
        if (holder := self.holder()) is not None:
            raise ConfigError(is_trained(name, holder))

    def holder(self) -> Owner | None:
        """Takes the lease, and returns None, if no running process holds it; else returns the owner."""
        while True:
            text = self._attributes.read(self._key)
            holder = None if text in (None, _RELEASED) else Owner.from_text(text or "")
            if holder is not None and not self._is_abandoned(holder, text):
                return holder
            if self._attributes.change([(self._key, text, self._owner.text)]):
                return None

    def _is_abandoned(self, holder: Owner, text: str | None) -> bool:
        """Whether the lease's process has ended. Watches a lease of another machine for WATCH_SECONDS."""
        if not holder.seems_dead() or holder.is_of_this_machine():
            return holder.seems_dead()
        _log.warning(
            "%s was training this sweep and seems to have ended; waiting %g s to see whether it renews its lease",
            holder,
            WATCH_SECONDS,
        )
        time.sleep(WATCH_SECONDS)
        return self._attributes.read(self._key) == text

    def renew(self) -> bool:
        """Renews the lease. Returns whether the owner still holds it."""
        # Reads it first: of a renewal that failed, nobody knows whether the database has it.
        text = self._attributes.read(self._key)
        if text is None or f'"{self._owner.token}"' not in text:
            return False
        renewed = replace(self._owner, renewed=time.time())
        if not self._attributes.change([(self._key, text, renewed.text)]):
            return False
        self._owner = renewed
        return True

    def release(self) -> None:
        """Releases the lease, if it is still held."""
        text = self._attributes.read(self._key)
        if text is not None and f'"{self._owner.token}"' in text:
            self._attributes.change([(self._key, text, self._released)])


def is_trained(name: str, holder: Owner) -> Fault:
    """The fault of a sweep that another process is training."""
    return must("sweep.name", f"be a sweep that no other process is training ({holder})", name)


def running(attributes: Attributes) -> Owner | None:
    """The process that holds the lease of the whole sweep, unless it seems to have ended."""
    text = attributes.read(SWEEP)
    holder = None if text in (None, _RELEASED) else Owner.from_text(text or "")
    return None if holder is None or holder.seems_dead() else holder
