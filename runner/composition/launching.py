"""Trains a batch of Hydra's jobs in one session: composes them fast, and returns Hydra's `JobReturn` for each."""

import copy
import functools
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn, configure_log, run_job, setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf, open_dict

from runner import edits
from runner.command import Command
from runner.composition.complaints import as_config_errors
from runner.composition.editing import editors
from runner.composition.places import BlockLibrary, groups
from runner.composition.resolving import Resolved, resolve
from runner.composition.spelling import as_typed
from runner.composition.train_command import TrainCommand
from runner.errors import ConfigError, Fault, TrainingError, shown
from runner.sweep.members import Proposed
from runner.sweep.results import return_value
from runner.sweep.search import Study
from runner.sweep.session import Session, opened
from runner.sweep.settings import Objectives
from runner.training.member import Context, Value
from runner.training.outcome import Outcome

_log = logging.getLogger(__name__)
_BY_NUMBER = "${hydra.job.num}"


class _Pattern(NamedTuple):
    """The configuration of jobs that differ only in values, and the part without Hydra's own settings, twice."""

    whole: DictConfig
    own: DictConfig
    values: dict[str, Any]  # `own` as plain containers, with interpolations


class Jobs:
    """The configurations of a batch. Hydra takes some 60 ms to compose one, so jobs that differ only in values are
    composed once, and each sets its values in a copy.
    """

    def __init__(self, context: HydraContext, config: DictConfig, jobs: Sequence[Sequence[str]], first: int) -> None:
        self._context, self._config, self.first = context, config, first
        self.folder = Path(str(config.hydra.sweep.dir)).absolute()
        lines = list(dict.fromkeys(line for job in jobs for line in job))  # members share most of them
        parser = OverridesParser.create(config_loader=context.config_loader)
        parsed = dict(zip(lines, parser.parse_overrides(lines), strict=True))
        self.overrides = [[parsed[line] for line in job] for job in jobs]
        self.groups, self.block_library = groups(), BlockLibrary()
        self._is_by_number = _container(config.hydra.sweep)["subdir"] == _BY_NUMBER
        self._patterns: dict[tuple[str, ...], _Pattern] = {}

    def __len__(self) -> int:
        return len(self.overrides)

    def resolved(self, index: int) -> Resolved:
        """A job's configuration as plain containers, resolved. Raises ConfigError."""
        overrides = self.overrides[index]
        key = self._key(overrides)
        if key not in self._patterns:
            with as_config_errors():
                whole = self._composed(overrides)
            own = _without_hydra(whole)
            self._patterns[key] = _Pattern(whole, own, _container(own))
        pattern = self._patterns[key]
        values = copy.deepcopy(pattern.values)
        with as_config_errors():
            for override in self._valued(overrides):
                _put(values, override.key_or_group.split("."), override.value())
                # Jobs of one pattern set the same paths, so that no value of one job remains for the next.
                OmegaConf.update(pattern.own, override.key_or_group, override.value(), force_add=True)
        return resolve(pattern.own, self.block_library, values, editors(pattern.whole.hydra))

    def config(self, index: int) -> DictConfig:
        """A job's whole configuration, with Hydra's part, as written to its folder."""
        overrides, number = self.overrides[index], self.first + index
        pattern = self._patterns[self._key(overrides)]
        found = copy.deepcopy(pattern.whole)
        with open_dict(found):
            for override in self._valued(overrides):
                OmegaConf.update(found, override.key_or_group, override.value(), force_add=True)
            lines = [str(override.input_line) for override in overrides]
            found.hydra.overrides.task = [line for line in lines if not line.startswith("hydra")]
            found.hydra.job.id, found.hydra.job.num = number, number
            found.hydra.job.override_dirname = _dirname(lines, found.hydra.job.config.override_dirname)
            found.hydra.sweep.dir = str(self.folder)
        return found

    def subfolder(self, index: int) -> Path:
        """The folder of a job, relative to the sweep's folder."""
        if self._is_by_number:
            return Path(str(self.first + index))
        with as_config_errors():
            return Path(str(OmegaConf.select(self.config(index), "hydra.sweep.subdir")))

    def _composed(self, overrides: Sequence[Override]) -> DictConfig:
        lines = [str(override.input_line) for override in overrides]
        return self._context.config_loader.load_sweep_config(self._config, lines)

    def _key(self, overrides: Sequence[Override]) -> tuple[str, ...]:
        """The overrides without plain values: equal for jobs that differ only in these values."""
        return tuple(
            f"{override.key_or_group}="
            if self._is_value(override, overrides[index + 1 :])
            else str(override.input_line)
            for index, override in enumerate(overrides)
        )

    def _valued(self, overrides: Sequence[Override]) -> list[Override]:
        return [
            override for index, override in enumerate(overrides) if self._is_value(override, overrides[index + 1 :])
        ]

    def _is_value(self, override: Override, later: Sequence[Override]) -> bool:
        """Whether an override sets a plain value at a path that no later one changes: Hydra applies them in order."""
        plain = isinstance(override.value(), int | float | str | None)
        key = override.key_or_group
        if not plain or key in self.groups or key.startswith("hydra") or override.is_delete():
            return False
        return not any(_overlap(key, other.key_or_group) for other in later if not self._is_choice(other))

    def _is_choice(self, override: Override) -> bool:
        return override.key_or_group in self.groups and not isinstance(override.value(), dict)


def launch(
    training: TrainCommand,
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Trains a batch of Hydra's jobs; `first` is the number of the first one.

    Each job has a folder, a log, a status and a return value, as Hydra's own launcher gives them.
    Raises ConfigError, before anything runs, with every fault of every job.
    """
    setup_globals()
    configure_log(config.hydra.hydra_logging, config.hydra.verbose)
    jobs = Jobs(context, config, job_overrides, first)
    if training.session is not None:
        return _trained(training.session, jobs, context, training.command)
    with opened(Session(command=training.command.text, folder=jobs.folder, places=training.places)) as own:
        return _trained(own, jobs, context, training.command)


def _trained(session: Session, jobs: Jobs, context: HydraContext, command: Command) -> list[JobReturn]:
    # A search knows all that it varies; a batch may have only some of the values.
    varied = list(session.study.space) if session.study else _varying(jobs.overrides)
    proposed = [_proposed(session, jobs, index, varied, command) for index in range(len(jobs))]
    try:
        with _logged(jobs.folder / "sweep.log"):
            session.train(proposed)
    finally:
        # If the batch was interrupted, the jobs that ended are still returned to Hydra.
        ended = session.ended_here
        returns = [
            run_job(
                hydra_context=context,
                task_function=functools.partial(_return_value, ended[jobs.first + index], session.objectives),
                config=jobs.config(index),
                job_dir_key="hydra.sweep.dir",
                job_subdir_key="hydra.sweep.subdir",
            )
            for index in range(len(jobs))
            if jobs.first + index in ended
        ]
    return returns


def again(
    session: Session, study: Study, number: int, *, context: HydraContext, config: DictConfig, command: Command
) -> Proposed:
    """A member of a sweep by its number, also one that another worker trained. Raises ConfigError."""
    setup_globals()
    jobs = Jobs(context, config, [study.suggested(number).overrides], number)
    return _proposed(session, jobs, 0, list(study.space), command)


@contextmanager
def _logged(path: Path) -> Iterator[None]:
    """Writes the log messages of the whole batch to a file; each member also has a log in its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, delay=True, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


def _return_value(
    result: Outcome, objectives: Objectives, config: DictConfig
) -> float | tuple[float | None, ...] | None:
    """The return value of a job for Hydra. Writes the metrics of the job to its log."""
    for number, metrics in enumerate(result.history, start=1):
        _log.info("epoch %d: %s", number, ", ".join(f"{name} {value:.6g}" for name, value in metrics.items()))
    if result.status == "FAILED":
        raise TrainingError(Fault(result.name, result.reason))
    if result.reason:
        _log.info("ended: %s", result.reason)
    return return_value(result, objectives)


def _proposed(session: Session, jobs: Jobs, index: int, varied: Sequence[str], command: Command) -> Proposed:
    number, values = jobs.first + index, _values(jobs.overrides[index], varied)
    try:
        found = jobs.resolved(index)
        with edits.explaining(found.editors):
            configuration = command.parse(found.values, jobs.block_library)
        folder = jobs.folder / jobs.subfolder(index)
    except ConfigError as error:
        return Proposed(number, values, error, Context(jobs.folder))
    context = Context(
        folder=folder,
        tracking=configuration.tracking,
        figures=configuration.figures,
        config=found.values,
        from_environment=found.from_environment,
        editors=found.editors,
        overrides=as_typed((str(override.input_line) for override in jobs.overrides[index]), jobs.groups),
        command=session.command,
        tags=session.tags,
    )
    return Proposed(number, values, configuration.experiment, context, configuration.sweep)


def _dirname(lines: Sequence[str], how: DictConfig) -> str:
    """Hydra's `override_dirname`: the overrides in one name."""
    named = (line for line in lines if not line.startswith("hydra"))
    kept = sorted(line for line in named if line.lstrip("+").split("=")[0] not in how.exclude_keys)
    return str(how.item_sep).join(kept).replace("=", str(how.kv_sep))


def _varying(jobs: Sequence[Sequence[Override]]) -> list[str]:
    """The groups and paths whose values differ among jobs, in the order of the overrides."""
    values: dict[str, set[str]] = {}
    for job in jobs:
        for override in job:
            values.setdefault(override.key_or_group, set()).add(override.get_value_element_as_str())
    return [key for key, found in values.items() if len(found) > 1]


def _values(job: Sequence[Override], keys: Sequence[str]) -> dict[str, Value]:
    found = {override.key_or_group: override.value() for override in job if override.key_or_group in keys}
    return {key: value if isinstance(value, int | float | str | None) else shown(value) for key, value in found.items()}


def _overlap(one: str, other: str) -> bool:
    """Whether one of two dotted paths is the other, or contains it."""
    return f"{one}.".startswith(f"{other}.") or f"{other}.".startswith(f"{one}.")


def _put(container: Any, path: list[str], value: Any) -> None:
    """Sets a value at a path in plain containers; creates missing mappings."""
    *above, last = path
    for name in above:
        container = container[int(name)] if isinstance(container, list) else container.setdefault(name, {})
    if isinstance(container, list):
        container[int(last)] = value
    else:
        container[last] = value


def _container(config: DictConfig) -> dict[str, Any]:
    """A configuration as plain containers, with interpolations."""
    found: Any = OmegaConf.to_container(config, resolve=False)
    return {str(key): value for key, value in found.items()}


def _without_hydra(config: DictConfig) -> DictConfig:
    found = copy.deepcopy(config)
    with open_dict(found):
        del found["hydra"]
    OmegaConf.set_struct(found, False)
    return found
