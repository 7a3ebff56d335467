"""Runs a sweep for Hydra: reads the search space, and launches the proposed members batch by batch."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from runner import folders
from runner.command import Command
from runner.composition.complaints import as_config_errors
from runner.composition.folders import is_named, put_sweep
from runner.composition.reading import read
from runner.composition.resolving import named
from runner.composition.spelling import as_typed, for_hydra
from runner.composition.train_command import Launch, TrainCommand
from runner.configuration import part
from runner.errors import ConfigError, ConvrunnerError, Fault, TrainingError, must, shown
from runner.path_names import short_names
from runner.sweep.members import Proposed
from runner.sweep.report.publishing import announce_joining, announce_reuse, present
from runner.sweep.results import varied_text
from runner.sweep.search import Study, Suggestion, open_study
from runner.sweep.search.reconciling import reconcile
from runner.sweep.session import Session, opened
from runner.sweep.settings import COSTS, Objectives, Sweep
from runner.tracking.settings import Tracking, absolute_uri, database_file, without_secrets
from runner.training.outcome import Outcome
from runner.withheld import withheld

_FOLDER: Final = "folder"
# Settings that do not influence the results of a member.
_NO_BASE: Final = ("sweep", "tracking", "figures", "distributed", "ui", "describe")
_NEVER: Final = ("train.save_every", "train.keep_checkpoints")


def sweep(
    training: TrainCommand, context: HydraContext, config: DictConfig, arguments: Sequence[str], launch: Launch
) -> list[Sequence[JobReturn]]:
    """Runs the sweep that a configuration and the arguments of a command line describe.

    Raises ConfigError. At the end it raises the first error of members that another launcher ran.
    """
    own = config.hydra.sweeper
    with ExitStack() as hold:
        study, tracking = opened_study(context, config, [*_listed(own.get("params")), *arguments], hold)
        with study.turn():
            folder = _folder(study, config, tracking)
        session = Session(
            command=training.command.text, folder=folder, places=training.places, study=study, seconds=study.seconds
        )
        session.again = _again(session, study, context=context, config=config, command=training.command)
        if others := study.others():
            announce_joining(study.id, others, folder)
        elif earlier := study.earlier():
            announce_reuse(study.id, len(earlier), folder, is_joint=study.is_joint)
        returns: list[Sequence[JobReturn]] = []
        failed: list[JobReturn] = []
        with opened(session), training.during(session):
            for asked in _batches(study, session, tracking, own.get("max_batch_size")):
                with _reporting_a_death(study, session, asked, own_launcher=training.is_launcher(config)):
                    returns.append(launch([one.overrides for one in asked], asked[0].number))
                if session.is_cut_short:  # no launcher ran what is left
                    break
                failed += _report_others(study, session, asked, returns[-1])
            if not session.is_cut_short and not session.has_time() and (left := study.left()):
                session.leave(left)
        if not returns and not study.is_joint:
            present(session.result(), folder)
    for job in failed:
        raise _error_of(job)
    return returns


def _again(
    session: Session, study: Study, *, context: HydraContext, config: DictConfig, command: Command
) -> Callable[[Outcome], Proposed]:
    """Composes a member again that any worker has trained."""

    def again(outcome: Outcome) -> Proposed:
        from runner.composition.launching import again  # it imports JAX

        return again(session, study, outcome.number, context=context, config=config, command=command)

    return again


def _batches(study: Study, session: Session, tracking: Tracking, most: int | None) -> Iterator[list[Suggestion]]:
    """The members to train next, as long as there is time; waits for members of other workers, who may die."""
    while session.has_time():
        asked = study.ask(most)
        if not asked:
            if not study.others_train:
                return
            session.await_others()
            continue
        if study.has_taken_over:
            reconcile(study, tracking)
            if not any(study.is_waiting_for(one.number) for one in asked):
                continue
        yield asked


def _folder(study: Study, config: DictConfig, tracking: Tracking) -> Path:
    """The sweep's folder, set in Hydra's configuration: a new one, or that of the sweep that is continued.

    Raises ConfigError if the command names another folder than the continued sweep has.
    """
    named = is_named(config, folders.SWEEP)
    asked = Path(str(config.hydra.sweep.dir)).absolute()
    heading = f"# sweep {study.id}, {study.mark[1]}\n"
    if known := study.recall(_FOLDER):
        folder = Path(known)
        if named and asked != folder:
            rule = f"be the folder of sweep {study.id} ({known}), unless sweep.name names another sweep"
            raise ConfigError(must(folders.SWEEP, rule, asked))
        if study.is_first:
            reconcile(study, tracking)
        elif not folders.is_of_sweep(folder, heading):  # it is on another machine
            folder = asked if named else folders.make(asked)
            folders.claim_for_sweep(folder, heading)
    else:
        folder = asked if named else folders.make(asked)
        folders.claim_for_sweep(folder, heading)
        study.remember(_FOLDER, str(folder))
    put_sweep(config, folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / folders.MULTIRUN).write_text(heading + OmegaConf.to_yaml(config), encoding="utf-8")
    return folder


def _place(config: DictConfig, tracking: Tracking) -> dict[str, str]:
    """The part of a sweep's identity that says where it writes: its store, and its folder if the user names one."""
    place = {"tracking.uri": without_secrets(absolute_uri(tracking.uri))}
    if is_named(config, folders.SWEEP):
        place[folders.SWEEP] = str(Path(str(config.hydra.sweep.dir)).absolute())
    return place


def _listed(params: Mapping[str, Any] | None) -> list[str]:
    """`hydra.sweeper.params`, as for Hydra's own sweeper, as arguments."""
    return for_hydra([f"{path}={text}" for path, text in (params or {}).items()])


def opened_study(
    context: HydraContext, config: DictConfig, arguments: Sequence[str], hold: ExitStack | None = None
) -> tuple[Study, Tracking]:
    """The search that a configuration and the arguments describe, and its tracking settings. Raises ConfigError."""
    own = {str(key): value for key, value in config.items() if key != "hydra"}
    with as_config_errors():
        raw: Any = OmegaConf.to_container(OmegaConf.create(own), resolve=False)
        # Only tracking is resolved, as in members. The rest of a sweep is stored and compared unresolved.
        with named(config, {"data": dict(raw["data"])} if isinstance(raw.get("data"), dict) else {}):
            places = {"tracking": OmegaConf.to_container(config.tracking, resolve=True)}
        storage = config.sweep.get("storage")
    settings, tracking = part(raw, "sweep", Sweep), part(places, "tracking", Tracking)
    found = read(arguments, settings, OverridesParser.create(config_loader=context.config_loader))
    epochs = raw.get("train", {}).get("epochs")
    study = open_study(
        found,
        settings,
        base=_flat({key: value for key, value in raw.items() if key not in _NO_BASE}, found.dimensions),
        storage=storage or _beside(tracking),
        epochs=epochs if isinstance(epochs, int) else 1,
        place=_place(config, tracking),
        hold=hold,
    )
    return study, tracking


def _beside(tracking: Tracking) -> str:
    """The storage of sweeps: `sweeps.db` beside the tracking store if that is a file, else in `outputs`."""
    file = database_file(tracking.uri)
    place = (file.parent if file else Path("outputs").absolute()) / "sweeps.db"
    place.parent.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{place}"


def _flat(value: Any, varied: Mapping[str, object], path: str = "") -> dict[str, str]:
    """Every value by its dotted path, without the values that vary, or that influence no result."""
    if path in varied or path in _NEVER:
        return {}
    if not isinstance(value, dict) or not value:
        return {path: shown(value, longest=500)}
    found: dict[str, str] = {}
    for key, below in value.items():
        found |= _flat(below, varied, f"{path}.{key}" if path else str(key))
    return found


@contextmanager
def _reporting_a_death(
    study: Study, session: Session, asked: Sequence[Suggestion], *, own_launcher: bool
) -> Iterator[None]:
    """Has the members of a batch fail if another launcher gives up, as when a process of it dies."""
    try:
        yield
    except ConvrunnerError:
        raise
    except Exception as error:
        if own_launcher:
            raise
        reason = withheld(f"{type(error).__name__}: {error}".split("\n")[0])
        lost = [JobReturn(status=JobStatus.FAILED) for _ in asked]
        for job in lost:
            job.return_value = error
        _report_others(study, session, asked, lost)
        rule = f"must run every member, but gave up ({reason}); the same command trains this batch again"
        raise TrainingError(Fault("hydra/launcher", rule)) from error


def _report_others(
    study: Study, session: Session, asked: Sequence[Suggestion], returns: Sequence[JobReturn]
) -> list[JobReturn]:
    """Reports members that another launcher ran to the search. Returns the jobs that failed."""
    others = [(one, job) for one, job in zip(asked, returns, strict=False) if study.is_waiting_for(one.number)]
    names = short_names(study.space)
    for one, job in others:
        outcome = _result(one, job, study.objectives, names)
        study.tell(outcome)
        session.note(outcome)
    return [job for _, job in others if job.status is JobStatus.FAILED]


def _error_of(job: JobReturn) -> ConvrunnerError:
    """The error of a job that failed, in words for its user."""
    try:
        _ = job.return_value
    except ConvrunnerError as error:
        return error
    except Exception as error:  # noqa: BLE001 - any error of a member
        reason = withheld(f"{type(error).__name__}: {error}".split("\n")[0])
        return TrainingError(Fault("a member", f"ended with an unexpected error ({reason})"))
    return TrainingError(Fault("a member", "failed without an error"))


def _result(one: Suggestion, job: JobReturn, objectives: Objectives, names: Mapping[str, str]) -> Outcome:
    own: dict[str, Any] = {"status": "FINISHED"}
    try:
        values = job.return_value if isinstance(job.return_value, tuple | list) else (job.return_value,)
        found = {name: float(value) for (name, _), value in zip(objectives, values, strict=True)}
        own["metrics"] = {name: value for name, value in found.items() if name not in COSTS}
        own |= {name: value for name, value in found.items() if name in COSTS}
    except Exception as error:  # noqa: BLE001 - any error of a member
        own = {"status": "FAILED", "reason": withheld(str(error).split("\n")[0])}
    return Outcome(
        number=one.number,
        name=varied_text(one.varied, names),
        overrides=as_typed(one.overrides),
        varied=one.varied,
        folder=str(OmegaConf.select(job.hydra_cfg, "hydra.runtime.output_dir") or "") if job.hydra_cfg else "",
        **own,
    )
