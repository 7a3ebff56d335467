"""The processes that train one sweep together, and what each has claimed, all as attributes of the sweep.

A worker has a lease, which it renews (see `lease`). A claim names the worker that trains some members. If the lease of
a worker is not renewed, its claims are free, and another worker takes them over whole. As every change compares the
text before, two workers never have one claim. No worker leads.
"""

import json
import logging
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import astuple, dataclass, field, replace
from typing import Any, Final

from optuna.storages import RDBStorage

from runner.errors import ConfigError, must
from runner.sweep.search import lease
from runner.sweep.search.attributes import Attributes
from runner.sweep.search.lease import WATCH_SECONDS, Lease, Owner

_WORKER: Final = "worker "
_CLAIM: Final = "claim "
_TURN: Final = "turn"
_LATEST: Final = "latest claim"
_log = logging.getLogger(__name__)
_LOST: Final = "other workers have taken over the members of this one; this one stops"


@dataclass(frozen=True)
class Asked:
    """A proposed member as it is stored: its number, the number of its trial, and its values by path.

    `marks` are the notes of the sampler: what cmaes and nsga2 propose next depends on them.
    """

    number: int
    place: int
    chosen: dict[str, str]
    marks: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Claim:
    """Members with consecutive numbers, and the token of the worker that trains them; empty if none does."""

    owner: str
    members: tuple[Asked, ...]

    @property
    def key(self) -> str:
        """The key of its attribute."""
        return f"{_CLAIM}{self.members[0].number}"

    @property
    def text(self) -> str:
        """The claim as JSON."""
        return json.dumps({"owner": self.owner, "members": [astuple(one) for one in self.members]})

    @classmethod
    def from_text(cls, text: str) -> "Claim":
        """The claim of a `text`."""
        found = json.loads(text)
        return cls(found["owner"], tuple(Asked(*own) for own in found["members"]))


class Workers:
    """The workers of a sweep, as one of them sees them."""

    def __init__(self, storage: RDBStorage, name: str) -> None:
        self.is_first = False  # whether no other worker was there when this one joined
        self._name, self._is_file = name, storage.engine.name == "sqlite"
        self._attributes = Attributes(storage, storage.get_study_id_from_name(name))
        self._me = Owner.here()
        self._seen: dict[str, tuple[str, float]] = {}  # by token: the last text, and when it was new
        self._latest: str | None = None

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Is one of the workers during the block; afterwards, what it has not trained is free for others.

        Must begin in a `turn`. Raises ConfigError if a process trains the sweep alone, or if the storage is a file that
        a worker of another machine uses.
        """
        others = self.watched()
        if self._is_file and (far := [one for one in others if not one.is_of_this_machine()]):
            rule = f"be a database on a server with workers of several machines ({far[0]})"
            raise ConfigError(must("sweep.storage", rule, "an SQLite file"))
        self.is_first = not others
        key = f"{_WORKER}{self._me.token}"
        self._attributes.change([(key, None, self._me.text)])
        with lease.renewed(Lease(self._attributes, self._me, key=key, released=None), _LOST):
            # Now that a process which takes the lease sees this worker.
            if (holder := lease.running(self._attributes)) is not None:
                raise ConfigError(lease.is_trained(self._name, holder))
            try:
                yield
            finally:
                for claim in self.claims():
                    if claim.owner == self._me.token:
                        self._attributes.change([(claim.key, claim.text, replace(claim, owner="").text)])

    def turn(self) -> AbstractContextManager[None]:
        """Waits until no other worker has its turn, and has it during the block."""
        return lease.turn(self._attributes, _TURN)

    def others(self) -> list[Owner]:
        """The other workers. Those that have ended without a word are removed."""
        found = []
        for token, text in self._attributes.beginning(_WORKER).items():
            owner = Owner.from_text(text)
            if token == self._me.token:
                continue
            if self._has_ended(owner, text):
                self._attributes.change([(f"{_WORKER}{token}", text, None)])
            else:
                found.append(owner)
        return found

    def watched(self) -> list[Owner]:
        """The other workers, after a while if one of another machine seems to have ended."""
        found = self.others()
        if not any(one.seems_dead() for one in found):
            return found
        _log.warning(
            "waiting %g s to see whether the workers of this sweep on other machines have ended", WATCH_SECONDS
        )
        time.sleep(WATCH_SECONDS + 1)
        return self.others()

    def _has_ended(self, owner: Owner, text: str) -> bool:
        """Whether a worker has ended; one of another machine is watched for WATCH_SECONDS, without waiting."""
        before, since = self._seen.get(owner.token, ("", 0.0))
        now = time.monotonic()
        if before != text:
            self._seen[owner.token] = (text, now)
            since = now
        return owner.seems_dead() and (owner.is_of_this_machine() or now - since > WATCH_SECONDS)

    # Claims -----------------------------------------------------------------------------------------------------

    def claims(self) -> list[Claim]:
        """All claims, in the order of their numbers. What is claimed later is noticed by `claim`."""
        self._latest = self._attributes.read(_LATEST)  # before the claims are read
        texts = self._attributes.beginning(_CLAIM).values()
        return sorted(map(Claim.from_text, texts), key=lambda claim: claim.members[0].number)

    def claim(self, members: Iterable[Asked]) -> bool:
        """Claims new members. Returns false if another worker has claimed some since `claims` was called."""
        claim = Claim(self._me.token, tuple(members))
        latest = json.dumps([claim.members[0].number, self._me.token])
        return self._attributes.change([(_LATEST, self._latest, latest), (claim.key, None, claim.text)])

    def free(self, claims: Iterable[Claim]) -> list[Claim]:
        """The claims that nobody trains."""
        claims, trains = list(claims), {self._me.token, *(owner.token for owner in self.others())}
        return [claim for claim in claims if claim.owner not in trains]

    def take_over(self, claim: Claim) -> bool:
        """Takes a claim over that nobody trains. Returns false if another worker was first."""
        return self._attributes.change([(claim.key, claim.text, replace(claim, owner=self._me.token).text)])

    def leave_to_others(self, members: Iterable[Asked]) -> None:
        """Stores members that somebody has proposed, for whoever takes them over."""
        claim = Claim("", tuple(members))
        self._attributes.change([(claim.key, None, claim.text)])

    def is_mine(self, members: Iterable[Asked]) -> bool:
        """Whether this worker still has a claim."""
        claim = Claim(self._me.token, tuple(members))
        return self._attributes.read(claim.key) == claim.text

    def end(self, claim: Claim) -> None:
        """Removes a claim whose members have all ended."""
        self._attributes.change([(claim.key, claim.text, None)])

    def end_mine(self, members: Iterable[Asked]) -> None:
        """Removes a claim of this worker, whose members have all ended."""
        self.end(Claim(self._me.token, tuple(members)))

    def remove(self) -> int:
        """Removes what workers have left, for a process that holds the lease of the whole sweep.

        Returns the number of the next member. Raises ConfigError if a worker trains the sweep.
        """
        if others := self.watched():
            raise ConfigError(lease.is_trained(self._name, others[0]))
        claims = self.claims()
        for claim in claims:
            self.end(claim)
        return max((one.number + 1 for claim in claims for one in claim.members), default=0)
