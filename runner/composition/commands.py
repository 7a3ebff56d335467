"""A command line composed by Hydra, which hands each configuration that it describes to a verb."""

import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner import endings, folders, withheld
from runner.command import Command
from runner.composition import loading, options
from runner.composition.complaints import fault_of
from runner.composition.places import BlockLibrary, shipped
from runner.composition.resolving import resolve
from runner.composition.spelling import as_typed, for_hydra
from runner.composition.train_command import TrainCommand
from runner.configuration import Configuration
from runner.errors import ConfigError, ConvrunnerError
from runner.launchable import Place

_NO_FOLDER: Final = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=disabled",
    "hydra/hydra_logging=disabled",
)


@dataclass(frozen=True)
class Job:
    """A configuration that a command line describes, validated."""

    configuration: Configuration
    values: dict[str, Any]  # as plain containers, resolved
    from_environment: Mapping[Place, str]  # by path, interpolations to record as they are
    overrides: tuple[str, ...]  # as a user writes them
    folder: Path  # to write to


def look(command: Command, use: Callable[[Job], int]) -> int:
    """Hands on every configuration that the command describes; writes nothing. Returns the worst exit status."""
    statuses: list[int] = []
    worst = _run(command, [*command.arguments, *_NO_FOLDER], lambda job: statuses.append(use(job)))
    return max([worst, *statuses])


def train(command: Command, use: Callable[[Job], tuple[float | None, ...]]) -> int:
    """Has one configuration trained by `use`, and a sweep by `runner.sweep`. Returns the worst exit status.

    `use` returns the values by which a sweeper compares members.
    """
    arguments = list(command.arguments)
    chooses = any(argument.startswith("sweep=") for argument in arguments)
    if chooses and not options.actions(options.read(arguments)):  # `sweep=NAME` implies --multirun
        arguments.append("--multirun")
    training = TrainCommand(command)

    def measured(job: Job) -> float | tuple[float | None, ...] | None:
        values = use(job)
        return values[0] if len(values) == 1 else values  # what Hydra's sweepers expect

    worst = _run(command, arguments, measured, training)
    return max([worst, *training.statuses])


def _run(
    command: Command, arguments: Sequence[str], use: Callable[[Job], Any], training: TrainCommand | None = None
) -> int:
    """Hands on every configuration that the arguments describe. Returns the worst exit status of the errors.

    The plugins in `hydra_plugins/` find what a sweep needs of this project as the attribute `training` of the task.
    Raises ConfigError where something does not compose; what `use` raises comes as it is.
    """
    statuses: list[int] = []
    raised: list[BaseException] = []

    def task(config: DictConfig) -> Any:
        try:
            return use(_job(config, command))
        except ConvrunnerError as error:
            # Said here, so that the other members of a sweep go on; the run's log file has it too.
            logging.getLogger(__name__).info("%s", error)
            if error.exit_status == 2:  # nothing was trained, and the user will try again
                folders.release(Path(HydraConfig.get().runtime.output_dir))
            statuses.append(endings.report_error(error))
            return None
        except BaseException as error:
            raised.append(error)
            raise

    vars(task)["training"] = training
    loading.register()
    withheld.forget()
    withheld.from_logs()
    # Hydra prints what it catches, with advice about its own internals; uncaught it becomes one line here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = for_hydra(options.ordered(arguments))
    entry = hydra.main(version_base="1.3", config_path=str(shipped()), config_name="config")(task)
    try:
        found = options.read(sys.argv[1:])
        mode = RunMode.MULTIRUN if found.multirun else RunMode.RUN
        with loading.in_place(mode, command.help() if found.help else None):
            entry()
    except Exception as error:
        if isinstance(error, ConvrunnerError | BrokenPipeError) or any(error is own for own in raised):
            raise
        raise ConfigError(fault_of(error)) from error
    return max(statuses, default=0)


def _job(config: DictConfig, command: Command) -> Job:
    own = HydraConfig.get()
    # As they are written: their items alone would be resolved, and tell what the environment holds.
    lines: Any = OmegaConf.to_container(own.overrides.task, resolve=False)
    library = BlockLibrary()
    found = resolve(config, library)
    configuration = command.parse(found.values, library)
    return Job(configuration, found.values, found.from_environment, as_typed(lines), Path(own.runtime.output_dir))
