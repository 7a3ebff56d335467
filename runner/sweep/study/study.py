"""The search of a sweep: which members are tried, which end early, and what is known of them the next time.

    >>> study = open_study(space, settings, base={...}, storage="sqlite:///outputs/sweeps.db")
    >>> while asked := study.ask():
    ...     for one in asked: study.tell(train(one))

Optuna proposes and prunes by what it holds in memory, where a report costs nothing. What ended is written to a
storage of Optuna's in one transaction each, so that a sweep which is killed at any time goes on with all that it had
finished.
"""

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Final

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState, create_trial

from runner.errors import ConfigError, must
from runner.sweep.results import MemberResult, Objectives, Value, objective
from runner.sweep.settings import Sweep
from runner.sweep.space import Space, typed
from runner.sweep.study import proposals

_STATES: Final = {
    "FINISHED": TrialState.COMPLETE,
    "PRUNED": TrialState.PRUNED,
    "FAILED": TrialState.FAIL,
    "KILLED": TrialState.FAIL,
}
_DONE: Final = (TrialState.COMPLETE, TrialState.PRUNED)
_TRIALS: Final = 20
_MOST_ATTEMPTS: Final = 1000
_RESULT, _CHOSEN = "result", "chosen"


@dataclass(frozen=True)
class Asked:
    """A member to try. `number` is Hydra's job number, unique in the sweep and increasing."""

    number: int
    overrides: tuple[str, ...]
    varied: dict[str, Value]


class Study:
    """A search under way. `report` and `tell` may come from several threads."""

    def __init__(self, name: str, space: Space, settings: Sweep, stored: optuna.Study, epochs: int) -> None:
        self.id, self._space, self._settings, self._stored = name, space, settings, stored
        self.objectives: Objectives = settings.objectives
        self.space = space.texts
        self._lock = threading.RLock()
        self._study = optuna.create_study(
            directions=[direction for _, direction in self.objectives],
            sampler=proposals.sampler(settings, len(stored.get_trials(deepcopy=False))),
            pruner=proposals.pruner(settings, epochs),
            study_name=name,  # by which hyperband deals members out
        )
        trials = stored.get_trials(deepcopy=False)
        self._study.add_trials([trial for trial in trials if trial.state in _DONE])
        numbers = [_result(trial).number for trial in trials if _RESULT in trial.user_attrs]
        self._next = max(numbers, default=-1) + 1
        self._done = {_key(trial.user_attrs[_CHOSEN]) for trial in trials if trial.state in _DONE}
        self._retries = [
            trial.user_attrs[_CHOSEN]
            for trial in trials
            if trial.state is TrialState.FAIL and _key(trial.user_attrs[_CHOSEN]) not in self._done
        ]
        self._asked_here: set[tuple[tuple[str, str], ...]] = set()
        self._live: dict[int, Trial] = {}

    # Asking -----------------------------------------------------------------------------------------------------

    def ask(self) -> list[Asked]:
        """The next members, to be trained together; none where the search is over. A grid is asked for as a whole."""
        with self._lock:
            if self._settings.sampler == "grid":
                combinations = [chosen for chosen in self._space.grid() if self._is_new(chosen)]
                return [self._begun(self._fixed_trial(chosen), chosen) for chosen in combinations]
            wanted = (self._settings.trials or _TRIALS) - len(self._done | self._asked_here)
            return [self._sampled() for _ in range(min(self._settings.batch, wanted))]

    def _is_new(self, chosen: Mapping[str, str]) -> bool:
        return _key(chosen) not in self._done | self._asked_here

    def _sampled(self) -> Asked:
        """A member that the sampler proposes, or one that failed before."""
        while self._retries:
            chosen = self._retries.pop(0)
            if self._is_new(chosen):
                return self._begun(self._fixed_trial(chosen), chosen)
        for _ in range(_MOST_ATTEMPTS):
            trial = self._study.ask()
            chosen = self._suggested(trial)
            if self._space.allows(chosen):
                return self._begun(trial, chosen)
            self._study.tell(trial, state=TrialState.FAIL)
        rule = f"leave something to try (none of {_MOST_ATTEMPTS} proposals held)"
        raise ConfigError(must("sweep.constraints", rule, self._space.constraints))

    def _suggested(self, trial: Trial) -> dict[str, str]:
        """Values for every path that varies here, as they are written in overrides."""
        leaders = self._space.leaders()
        # Those that others depend on come first.
        ordered = sorted(leaders, key=lambda path: path in self._space.conditions)
        chosen: dict[str, str] = {}
        for path in ordered:
            if self._space.applies(path, chosen):
                chosen[path] = proposals.suggest(trial, self._space.dimensions[path])
        everything = self._space.with_followers(chosen)
        return {path: everything[path] for path in self._space.dimensions if path in everything}

    def _fixed_trial(self, chosen: Mapping[str, str]) -> Trial:
        """A trial of these very values."""
        leaders = [path for path in self._space.leaders() if path in chosen]
        distributions = {path: proposals.distribution(self._space.dimensions[path]) for path in leaders}
        params = {path: proposals.param(self._space.dimensions[path], chosen[path]) for path in leaders}
        self._study.enqueue_trial(params)
        return self._study.ask(distributions)

    def _begun(self, trial: Trial, chosen: Mapping[str, str]) -> Asked:
        number, self._next = self._next, self._next + 1
        self._live[number] = trial
        trial.set_user_attr(_CHOSEN, dict(chosen))
        self._asked_here.add(_key(chosen))
        varied = {path: typed(value) for path, value in chosen.items()}
        return Asked(number, self._space.overrides(chosen), varied)

    # Telling ----------------------------------------------------------------------------------------------------

    def report(self, number: int, epoch: int, value: float) -> bool:
        """Takes note of a value of a member that trains. Returns whether it should end here."""
        with self._lock:
            trial = self._live[number]
            trial.report(value, epoch)
            return self._settings.pruner.name != "none" and trial.should_prune()

    def is_waiting_for(self, number: int) -> bool:
        """Whether nobody has told yet what a member came to."""
        return number in self._live

    def tell(self, result: MemberResult) -> None:
        """Takes note, for good, of what a member came to. One that failed is tried again the next time."""
        with self._lock:
            trial = self._live.pop(result.number)
            values = self._values(result)
            state = _STATES[result.status] if values is not None or result.status == "PRUNED" else TrialState.FAIL
            self._study.tell(trial, values if state is TrialState.COMPLETE else None, state=state)
            frozen = self._study.get_trials(deepcopy=False)[trial.number]
            self._keep(frozen, result)

    def adopt(self, result: MemberResult) -> None:
        """Takes note of a member that ended in an earlier session, which was killed before it was told."""
        with self._lock:
            lines = (line.partition("=") for line in result.overrides)
            chosen = {path: text for path, _, text in lines if path in self._space.dimensions}
            if not self._is_new(chosen):
                return
            paths = [path for path in self._space.leaders() if path in chosen]
            values = self._values(result)
            name = self.objectives[0][0]
            self._study.add_trial(
                create_trial(
                    state=_STATES[result.status],
                    params={path: proposals.param(self._space.dimensions[path], chosen[path]) for path in paths},
                    distributions={path: proposals.distribution(self._space.dimensions[path]) for path in paths},
                    values=values if result.status == "FINISHED" else None,
                    intermediate_values={
                        epoch: metrics[name] for epoch, metrics in enumerate(result.history, 1) if name in metrics
                    },
                    user_attrs={_CHOSEN: chosen},
                )
            )
            self._next = max(self._next, result.number + 1)
            self._done.add(_key(chosen))
            self._keep(self._study.get_trials(deepcopy=False)[-1], result)

    def _keep(self, trial: FrozenTrial, result: MemberResult) -> None:
        """Writes a trial that ended to the storage, in one transaction."""
        attributes = trial.user_attrs | {_RESULT: json.dumps(asdict(result))}
        self._stored.add_trial(
            create_trial(
                state=trial.state,
                params=trial.params,
                distributions=trial.distributions,
                values=trial.values if trial.state is TrialState.COMPLETE else None,
                intermediate_values=trial.intermediate_values,
                user_attrs=attributes,
            )
        )

    def _values(self, result: MemberResult) -> list[float] | None:
        found = [objective(result, name) for name, _ in self.objectives]
        known = [value for value in found if value is not None]
        return known if len(known) == len(found) and result.status == "FINISHED" else None

    # What is known ----------------------------------------------------------------------------------------------

    def earlier(self) -> list[MemberResult]:
        """The members that ended before this session, but for those that are tried again."""
        return [_result(trial) for trial in self._stored.get_trials(deepcopy=False) if trial.state in _DONE]

    def importances(self) -> dict[str, float]:
        """The share of each path in what makes members differ by the first metric; empty where that cannot be told."""
        done = [trial for trial in self._study.get_trials(deepcopy=False) if trial.state is TrialState.COMPLETE]
        if len(self._space.leaders()) < 2 or len(done) < 4:
            return {}
        try:
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
            return dict(
                optuna.importance.get_param_importances(
                    self._study, evaluator=evaluator, target=lambda trial: trial.values[0]
                )
            )
        except (RuntimeError, ValueError):  # all alike, or too few that share a path
            return {}

    def remember(self, name: str, text: str) -> None:
        """Keeps a short text with the sweep."""
        self._stored.set_user_attr(name, text)

    def recall(self, name: str) -> str | None:
        """The text that was kept."""
        found: str | None = self._stored.user_attrs.get(name)
        return found


def _key(chosen: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(chosen.items()))


def _result(trial: FrozenTrial) -> MemberResult:
    fields = json.loads(trial.user_attrs[_RESULT])
    history = tuple(fields.pop("history"))
    return MemberResult(overrides=tuple(fields.pop("overrides")), history=history, **fields)
