"""Composes a command line with Hydra, and calls a verb with each resulting configuration."""

import logging
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from runner import edits, endings, folders, withheld
from runner.command import Command
from runner.composition import loading, options
from runner.composition.complaints import fault_of
from runner.composition.editing import editors
from runner.composition.places import BlockLibrary
from runner.composition.resolving import resolve
from runner.composition.spelling import as_typed, for_hydra
from runner.composition.train_command import TrainCommand
from runner.configuration import Configuration
from runner.errors import ConfigError, ConvrunnerError
from runner.shipped import configurations
from runner.training.member import Context

_NO_FOLDER: Final = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=terminal",
    "hydra/hydra_logging=none",
)


@dataclass(frozen=True)
class Job:
    """One validated configuration of a command line."""

    configuration: Configuration
    context: Context


def look(command: Command, use: Callable[[Job], int]) -> int:
    """Calls `use` with every configuration of the command; writes nothing. Returns the worst exit status."""
    statuses: list[int] = []
    worst = _run(command, [*command.arguments, *_NO_FOLDER], lambda job: statuses.append(use(job)))
    return max([worst, *statuses])


def train(command: Command, use: Callable[[Job], Any]) -> int:
    """Trains one configuration by `use`, or a sweep by `runner.sweep`. Returns the worst exit status.

    The return value of `use` is for the sweeper; see `runner.sweep.results.return_value`.
    """
    arguments = list(command.arguments)
    chooses = any(argument.startswith("sweep=") for argument in arguments)
    if chooses and not options.actions(options.read(arguments)):  # `sweep=NAME` implies --multirun
        arguments.append("--multirun")
    training = TrainCommand(command)
    found = options.read(arguments)
    if found.help or found.hydra_help:  # for which Hydra makes the folder of a run
        return look(command, lambda _: 0)
    # The recorded configuration of a member, which --config-name names, has the space of its sweep as well.
    hints = not options.actions(found) and found.config_name is None

    def noted(job: Job) -> Any:
        if hints and HydraConfig.get().mode is RunMode.RUN and (space := job.configuration.sweep.space):
            paths = ", ".join(path for path, _ in space)
            print(f"sweep.space varies {paths}, but this trains a single run; -m trains the sweep", file=sys.stderr)
        return use(job)

    worst = _run(command, arguments, noted, training)
    return max([worst, *training.statuses])


def _run(
    command: Command, arguments: Sequence[str], use: Callable[[Job], Any], training: TrainCommand | None = None
) -> int:
    """Calls `use` with every configuration of the arguments. Returns the worst exit status of the errors.

    The plugins in `hydra_plugins/` read the attribute `training` of the task. Raises ConfigError if a configuration
    does not compose. Errors of `use` are raised unchanged.
    """
    statuses: list[int] = []
    raised: list[BaseException] = []
    here = os.getpid()

    def task(config: DictConfig) -> Any:
        try:
            job = _job(config, command)
            with edits.explaining(job.context.editors):
                return use(job)
        except ConvrunnerError as error:
            # Reported here, so that the other members of a sweep continue; also written to the log of the run.
            logging.getLogger(__name__).info("%s", error)
            if error.exit_status == 2:  # nothing was trained; a corrected command may use the same folder
                folders.release(Path(HydraConfig.get().runtime.output_dir))
            statuses.append(endings.report_error(error))
            if os.getpid() != here:  # another launcher runs it in a process of its own, whose statuses are lost
                raise
            return None
        except BaseException as error:
            raised.append(error)
            raise

    vars(task)["training"] = training
    loading.register()
    withheld.forget()
    withheld.from_logs()
    # Without it Hydra prints errors itself, with advice about its internals.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = for_hydra(options.ordered(arguments))
    entry = hydra.main(version_base="1.3", config_path=str(configurations()), config_name="config")(task)
    try:
        found = options.read(sys.argv[1:], arguments)
        mode = RunMode.MULTIRUN if found.multirun else RunMode.RUN
        with loading.in_place(mode, trains=training is not None):
            entry()
    except Exception as error:
        if isinstance(error, ConvrunnerError | BrokenPipeError) or any(error is own for own in raised):
            raise
        raise ConfigError(fault_of(error)) from error
    return max(statuses, default=0)


def _job(config: DictConfig, command: Command) -> Job:
    own = HydraConfig.get()
    # Unresolved: items read one by one would be resolved, and show values of the environment.
    lines: Any = OmegaConf.to_container(own.overrides.task, resolve=False)
    block_library = BlockLibrary()
    found = resolve(config, block_library, editors=editors(own))
    with edits.explaining(found.editors):
        configuration = command.parse(found.values, block_library)
    context = Context(
        folder=Path(own.runtime.output_dir),
        tracking=configuration.tracking,
        figures=configuration.figures,
        config=found.values,
        from_environment=found.from_environment,
        editors=found.editors,
        overrides=as_typed(lines),
        command=command.text,
    )
    return Job(configuration, context)
