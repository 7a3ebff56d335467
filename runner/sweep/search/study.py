"""The search of a sweep: proposes members, decides which end early, and stores their results.

    >>> study = open_study(space, settings, base=base, epochs=9, storage="sqlite:///outputs/sweeps.db")
    >>> while asked := study.ask():
    ...     for one in asked: study.tell(train(one))

Optuna proposes and prunes with a study in memory, in which reports are cheap. Each ended member is written to Optuna's
storage in one transaction, so that a killed sweep continues with all members that had finished.
"""

import functools
import itertools
import json
import math
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Final, TypeVar

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from runner.errors import ConfigError, must
from runner.sweep.results import objective
from runner.sweep.search import proposals
from runner.sweep.search.importances import shares
from runner.sweep.search.keeping import StoredMember, packed, renumbered, unpacked
from runner.sweep.search.one_process import OneProcess
from runner.sweep.search.workers import Asked
from runner.sweep.settings import Objectives, Sweep
from runner.sweep.space import Space
from runner.sweep.tags import SWEEP, SWEEP_IDENTITY
from runner.training.member import Value
from runner.training.outcome import Outcome

IDENTITY: Final = "identity"
BATCH: Final = "batch"
_EXCLUDED: Final = "excluded from "
_TRIALS: Final = 20
_OWN_ATTEMPTS: Final = 10  # of the sampler, before random proposals
_MOST_ATTEMPTS: Final = 1000
_MOST_REPEATS: Final = 10
Key = tuple[tuple[str, str], ...]
T = TypeVar("T")


@dataclass(frozen=True)
class Suggestion:
    """A proposed member. `number` is Hydra's job number, unique in the sweep and increasing."""

    number: int
    overrides: tuple[str, ...]
    varied: dict[str, Value]


@dataclass(frozen=True)
class Live:
    """A proposed member that has not ended; `place` is the number of its trial in the whole sweep."""

    trial: Trial
    place: int
    chosen: dict[str, str]


class Study(OneProcess):
    """A running search. `report` and `tell` are thread-safe."""

    def __init__(
        self, name: str, space: Space, settings: Sweep, stored: optuna.Study, epochs: int, *, first: int = 0
    ) -> None:
        """`first` is the least number of the next member."""
        self.id, self._space, self._settings, self._stored, self._epochs = name, space, settings, stored, epochs
        self.objectives: Objectives = settings.objectives
        self.space = space.texts
        self._lock = threading.RLock()
        self._offset = 0  # what the numbers of trials in memory differ by from those in the whole sweep
        self._excluded: list[tuple[int, dict[str, str]]] = []  # since the last batch: proposals that break a constraint
        members = unpacked(stored.get_trials(deepcopy=False))
        batch = [Asked(*own) for own in json.loads(stored.user_attrs.get(BATCH, "[]"))]
        told = {member.result.number: member.result for member in members}
        killed = [own for own in batch if own.number not in told]
        self._interrupted = batch if killed else []  # the batch that an earlier session did not end
        self._ended_before = {own.number: told[own.number] for own in self._interrupted if own.number in told}
        self._live = self._fill(members, killed)
        self._earlier = [member.result for member in members if member.is_done]
        self._taken = {key_of(member.chosen) for member in members if member.is_done}  # done or proposed
        self._retries = retried(members, self._taken)
        self._taken |= {key_of(own.chosen) for own in killed}
        self._next = max([first - 1, *told, *(own.number for own in batch)]) + 1

    def _fill(self, members: Sequence[StoredMember], waiting: Iterable[Asked]) -> dict[int, Live]:
        """Makes the study in memory, of members that ended and of others that wait. Returns the latter by number."""
        self._study = optuna.create_study(
            directions=[direction for _, direction in self.objectives],
            sampler=proposals.sampler(self._settings, len(members)),
            pruner=proposals.pruner(self._settings, self._epochs),
            study_name=self.id,  # hyperband assigns brackets by it
        )
        self._random = optuna.samplers.RandomSampler(seed=self._settings.seed + len(members))
        waiting = sorted(waiting, key=lambda own: own.place)
        fixed = {own.place: proposals.fixed(self._space, own.chosen) for own in waiting}
        marked = {own.place: own.marks | {"fixed_params": fixed[own.place][0]} for own in waiting}
        excluded = {place: proposals.fixed(self._space, chosen) for place, chosen in self._stored_excluded()}
        self._study.add_trials(renumbered(members, marked, excluded))
        lives = {}
        for own in waiting:
            trial = self._at_random(functools.partial(self._study.ask, fixed[own.place][1]))
            lives[own.number] = Live(trial, own.place, own.chosen)
        return lives

    @property
    def seconds(self) -> float | None:
        """How long the sweep may take."""
        return self._settings.seconds

    @property
    def tags(self) -> dict[str, str]:
        """The MLflow tags of the sweep's runs."""
        return {SWEEP: self.id} | dict([self.mark])

    @property
    def mark(self) -> tuple[str, str]:
        """The tag that identifies the sweep's runs: on several machines, two sweeps of a store may have one name."""
        identity = self.recall(IDENTITY)
        return (SWEEP_IDENTITY, identity) if identity else (SWEEP, self.id)  # sweeps of earlier versions have none

    # Asking -----------------------------------------------------------------------------------------------------

    def ask(self, most: int | None = None) -> list[Suggestion]:
        """Returns the next members to train together, at most `most`; none if the search is over.

        A grid is returned as a whole. The batch that a killed session did not end comes first, with the members that
        have ended. Raises ConfigError if the constraints exclude everything.
        """
        with self._lock:
            interrupted, self._interrupted = self._interrupted, []
            if any(own.number in self._live for own in interrupted):
                return [self._suggestion(own.number, own.chosen) for own in interrupted]
            asked = self._new(self._space.grid(), most)
            self._remember_batch(asked)
            return asked

    def _new(self, grid: Iterator[dict[str, str]], most: int | None) -> list[Suggestion]:
        """New members: the rest of a grid, or what the sampler proposes; at most `most`."""
        # Seeds count members, so that a search that was interrupted proposes what it would have proposed.
        self._study.sampler = proposals.sampler(self._settings, self._next)
        self._random = optuna.samplers.RandomSampler(seed=self._settings.seed + self._next)
        if self._settings.sampler == "grid":
            new = itertools.islice(filter(self._is_new, grid), most)
            asked = [self._start(self._fixed_trial(chosen), chosen) for chosen in list(new)]
        else:
            left = (self._settings.trials or _TRIALS) - len(self._taken)
            wanted = min(self._settings.batch, left, left if most is None else most)
            asked = list(itertools.islice(iter(self._sampled, None), max(wanted, 0)))
        if not asked and not self._taken:
            raise ConfigError(must("sweep.constraints", "leave something to try", self._space.constraints))
        return asked

    def left(self) -> int:
        """How many members can still be asked for; of samplers at most so many."""
        if self._settings.sampler == "grid":
            return sum(map(self._is_new, self._space.grid()))
        return max((self._settings.trials or _TRIALS) - len(self._taken), 0)

    def _remember_batch(self, asked: list[Suggestion]) -> None:
        if not asked:
            return
        self._remember_excluded()  # first: with another batch stored, these proposals are not made again
        self.remember(BATCH, json.dumps([astuple(self._asked(one.number)) for one in asked]))

    def _asked(self, number: int) -> Asked:
        live = self._live[number]
        return Asked(number, live.place, live.chosen, self._frozen(live.trial).system_attrs)

    def _remember_excluded(self) -> None:
        if self._excluded:
            self.remember(f"{_EXCLUDED}{self._excluded[0][0]}", json.dumps(self._excluded))
            self._excluded = []

    def _stored_excluded(self) -> Iterator[tuple[int, dict[str, str]]]:
        for name, text in self._stored.user_attrs.items():
            if name.startswith(_EXCLUDED):
                yield from json.loads(text)

    def _is_new(self, chosen: Mapping[str, str]) -> bool:
        return key_of(chosen) not in self._taken

    def _sampled(self) -> Suggestion | None:
        """A failed member to try again, or a new proposal of the sampler; None if nothing is left."""
        while self._retries:
            chosen = self._retries.pop(0)
            if self._is_new(chosen):
                return self._start(self._fixed_trial(chosen), chosen)
        repeats = 0
        for attempt in range(_MOST_ATTEMPTS):
            by_sampler = attempt < _OWN_ATTEMPTS
            trial, chosen = self._proposed() if by_sampler else self._at_random(self._proposed)
            allowed = self._space.allows(chosen)
            if allowed and self._is_new(chosen):
                return self._start(trial, chosen)
            # A pruned trial tells tpe that values which break a constraint are bad; repeats carry no information.
            self._study.tell(trial, state=TrialState.FAIL if allowed else TrialState.PRUNED)
            if not allowed:
                self._excluded.append((trial.number, chosen))
            repeats += allowed and not by_sampler
            if repeats == _MOST_REPEATS:
                break
        # Few or no combinations are left: list them, if possible.
        new = [chosen for chosen in self._space.grid() if self._is_new(chosen)] if self._space.is_listable else []
        if not new:
            return None
        chosen = random.Random(f"{self._settings.seed} {self._next}").choice(new)
        return self._start(self._fixed_trial(chosen), chosen)

    def _proposed(self) -> tuple[Trial, dict[str, str]]:
        trial = self._study.ask()
        return trial, self._space.assigned(functools.partial(self._suggested, trial))

    def _at_random(self, propose: Callable[[], T]) -> T:
        """Calls `propose` with a random sampler; the configured one may be slow or repeat excluded values."""
        sampler, self._study.sampler = self._study.sampler, self._random
        try:
            return propose()
        finally:
            self._study.sampler = sampler

    def _suggested(self, trial: Trial, path: str) -> str:
        return proposals.suggest(trial, self._space.leading[path])

    def _fixed_trial(self, chosen: Mapping[str, str]) -> Trial:
        """A trial of exactly these values."""
        params, distributions = proposals.fixed(self._space, chosen)
        self._study.enqueue_trial(params)
        return self._at_random(functools.partial(self._study.ask, distributions))

    def _start(self, trial: Trial, chosen: dict[str, str]) -> Suggestion:
        number, self._next = self._next, self._next + 1
        self._live[number] = Live(trial, trial.number + self._offset, chosen)
        self._taken.add(key_of(chosen))
        return self._suggestion(number, chosen)

    def _suggestion(self, number: int, chosen: dict[str, str]) -> Suggestion:
        varied = {path: self._space.typed(value) for path, value in chosen.items()}
        return Suggestion(number, self._space.overrides(chosen), varied)

    def suggested(self, number: int) -> Suggestion:
        """A member that was proposed."""
        return self._suggestion(number, self._live[number].chosen)

    # Results ----------------------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Records a value of a running member. Returns whether the member should end now."""
        with self._lock:
            trial = self._live[number].trial
            known = self._frozen(trial).last_step
            if known is not None and epoch <= known:  # the member was restarted
                return False
            trial.report(value, epoch)
            return self._settings.pruner.name != "none" and trial.should_prune()

    def is_waiting_for(self, number: int) -> bool:
        """Whether `tell` has not been called for a proposed member."""
        return number in self._live

    def tell(self, result: Outcome) -> None:
        """Stores the result of a member. A failed member is tried again in the next session."""
        with self._lock:
            self._tell(self._live.pop(result.number), result)

    def _tell(self, live: Live, result: Outcome) -> None:
        state, values = self._ended(result)
        self._study.tell(live.trial, values, state=state)
        self._stored.add_trial(packed(self._frozen(live.trial), live.place, live.chosen, result))

    def adopt(self, result: Outcome) -> None:
        """Stores a member that ended in an earlier session, which was killed before `tell`."""
        with self._lock:
            lines = (line.lstrip("+").partition("=") for line in result.overrides)
            values_by_path = {path: text for path, _, text in lines}
            chosen = {path: values_by_path[path] for path in self._space.dimensions if path in values_by_path}
            for number, live in self._live.items():
                if key_of(live.chosen) == key_of(chosen):
                    self._tell(self._live.pop(number), result)
                    self._ended_before[number] = result
                    self._earlier.append(result)
                    return
            if not self._is_new(chosen):
                return
            state, values = self._ended(result)
            params, distributions = proposals.fixed(self._space, chosen)
            name = self.objectives[0][0]
            reports = {epoch: metrics[name] for epoch, metrics in enumerate(result.history, 1) if name in metrics}
            self._study.add_trial(
                create_trial(
                    state=state,
                    params=params,
                    distributions=distributions,
                    values=values,
                    intermediate_values=reports,
                )
            )
            trial = self._study.get_trials(deepcopy=False)[-1]
            self._stored.add_trial(packed(trial, trial.number + self._offset, chosen, result))
            self._earlier.append(result)
            self._taken.add(key_of(chosen))
            self._next = max(self._next, result.number + 1)

    def _frozen(self, trial: Trial) -> FrozenTrial:
        return self._study.get_trials(deepcopy=False)[trial.number]

    def _ended(self, result: Outcome) -> tuple[TrialState, list[float] | None]:
        """Optuna's state and values of an ended member. A member without a finite objective counts as pruned."""
        if result.status not in ("FINISHED", "PRUNED"):
            return TrialState.FAIL, None
        found = [objective(result, name) for name, _ in self.objectives]
        known = [value for value in found if value is not None and not math.isnan(value)]
        if result.status == "FINISHED" and len(known) == len(found):
            return TrialState.COMPLETE, known
        return TrialState.PRUNED, None

    # Stored facts -----------------------------------------------------------------------------------------------

    def earlier(self) -> list[Outcome]:
        """The members that ended in earlier sessions, without those to be tried again."""
        return list(self._earlier)

    def ended_before(self) -> dict[int, Outcome]:
        """The members that had ended of the batch in which an earlier session was killed, by number."""
        return dict(self._ended_before)

    def importances(self) -> dict[str, float]:
        """The importance of each path for the first metric; see `importances.shares`."""
        return shares(self._study, self._space)

    def remember(self, name: str, text: str) -> None:
        """Stores a short text with the sweep."""
        self._stored.set_user_attr(name, text)

    def recall(self, name: str) -> str | None:
        """The stored text, or None."""
        text: str | None = self._stored.user_attrs.get(name)
        return text


def key_of(chosen: Mapping[str, str]) -> Key:
    return tuple(sorted(chosen.items()))


def retried(members: list[StoredMember], done: set[Key]) -> list[dict[str, str]]:
    """The chosen values of failed members that did not finish in a later attempt."""
    failed = {key_of(member.chosen): member.chosen for member in members if not member.is_done}
    return [chosen for key, chosen in failed.items() if key not in done]
