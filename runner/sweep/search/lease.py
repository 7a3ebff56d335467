"""Lets only one process at a time train a sweep: it holds a lease in the sweep's storage and renews it.

The lease is an attribute of Optuna's study. Every change is one statement that compares the old text, so that only one
of two concurrent processes succeeds. A lease is taken over after its process has ended. On the same machine this is
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
from sqlalchemy import column, select, table
from sqlalchemy.exc import IntegrityError

from runner.errors import ConfigError, must
from runner.processes import Process

RENEWAL_SECONDS: Final = 10.0
STALE_SECONDS: Final = 120.0
WATCH_SECONDS: Final = 2.5 * RENEWAL_SECONDS
_KEY: Final = "lease"
_RELEASED: Final = "null"
# Optuna's table. Optuna itself overwrites an attribute without comparing the old text.
_ATTRIBUTES: Final = table("study_user_attributes", column("study_id"), column("key"), column("value_json"))
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
    lease = Lease(storage, storage.get_study_id_from_name(name))
    lease.take(name)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, ended), name="lease", daemon=True)
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with suppress(Exception):  # an unreleased lease is taken over later
            lease.release()


def _renew(lease: "Lease", ended: threading.Event) -> None:
    while not ended.wait(RENEWAL_SECONDS):
        try:
            kept = lease.renew()
        except Exception as error:  # noqa: BLE001 - database drivers share no base; the next renewal may succeed
            _log.debug("the lease could not be renewed: %s", error)
            continue
        if not kept:
            _log.error("another process has taken over this sweep; this one stops")
            _thread.interrupt_main()
            return


class Lease:
    """The lease of a study for one owner."""

    def __init__(self, storage: RDBStorage, study_id: int, owner: Owner | None = None) -> None:
        self._engine, self._study_id = storage.engine, study_id
        self._owner = owner or Owner.here()
        columns = _ATTRIBUTES.c
        self._row = (columns.study_id == study_id) & (columns.key == _KEY)

    def take(self, name: str) -> None:
        """Takes the lease. Raises ConfigError if a running process holds it."""
        while True:
            text = self._read()
            holder = None if text in (None, _RELEASED) else Owner.from_text(text or "")
            if holder is not None and not self._is_abandoned(holder, text):
                rule = f"be a sweep that no other process is training ({holder})"
                raise ConfigError(must("sweep.name", rule, name))
            if self._put(text, self._owner):
                return

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
        return self._read() == text

    def renew(self) -> bool:
        """Renews the lease. Returns whether the owner still holds it."""
        before = self._owner
        self._owner = replace(before, renewed=time.time())
        return self._put(before.text, self._owner)

    def release(self) -> None:
        """Releases the lease, if it is still held."""
        self._swap(self._owner.text, _RELEASED)

    def _read(self) -> str | None:
        with self._engine.connect() as connection:
            row = connection.execute(select(_ATTRIBUTES.c.value_json).where(self._row)).first()
        return None if row is None else str(row.value_json)

    def _put(self, before: str | None, owner: Owner) -> bool:
        if before is not None:
            return self._swap(before, owner.text)
        row = {"study_id": self._study_id, "key": _KEY, "value_json": owner.text}
        try:
            with self._engine.begin() as connection:
                connection.execute(_ATTRIBUTES.insert().values(**row))
        except IntegrityError:  # another process was first
            return False
        return True

    def _swap(self, before: str, after: str) -> bool:
        change = _ATTRIBUTES.update().where(self._row & (_ATTRIBUTES.c.value_json == before)).values(value_json=after)
        with self._engine.begin() as connection:
            return bool(connection.execute(change).rowcount == 1)
