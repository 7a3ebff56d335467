"""The command line: `runner [VERB] [Hydra overrides]`.

    runner                                  trains the default experiment
    runner train data=mnist seed=1          the same verb, said
    runner describe model=lenet5            the layer table
    runner ui                               the MLflow UI on the store in use
    runner schema                           the JSON Schema of the configuration, for editors

Exit status: 0 done, 1 a run failed, 2 the user's mistake, 130 interrupted.
"""

import functools
import logging
import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig, OmegaConf

from runner import composition, configuration, endings, options
from runner.configuration import Configuration, Records
from runner.errors import ConfigError, ConvrunnerError, must, unknown
from runner.launchable import launchable
from runner.settings import Describe, Ui

_NO_FOLDER = (
    "hydra.run.dir=.",
    "hydra.output_subdir=null",
    "hydra/job_logging=disabled",
    "hydra/hydra_logging=disabled",
)


SETTINGS: Records = {"describe": Describe, "ui": Ui}
parse = functools.partial(configuration.parse, verbs=SETTINGS)


def main() -> None:
    """Runs the verb that the command line names, and exits with its status."""
    arguments = sys.argv[1:]
    command = shlex.join(["runner", *arguments])
    try:
        status = VERBS[_verb(arguments)](arguments, command)
    except BaseException as error:  # noqa: BLE001 - a user is told in one line, whatever it is
        status = endings.told(error)
    sys.exit(status)


def _verb(arguments: list[str]) -> str:
    """The verb, taken off the arguments; it may be left out."""
    if arguments and arguments[0] in VERBS:
        return arguments.pop(0)
    if arguments and arguments[0].isidentifier():
        raise ConfigError(unknown("command line", "verb", arguments[0], VERBS))
    return "train"


def _train(arguments: list[str], command: str) -> int:
    statuses: list[int] = []

    def task(config: DictConfig) -> float | tuple[float, ...]:
        from runner.recording import Context
        from runner.run import run  # training takes more to import than a mistake should cost

        hydra = HydraConfig.get()
        # As they are written: their items alone would be resolved, and tell what the environment holds.
        lines: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
        overrides = composition.as_given(lines)
        library = composition.BlockLibrary()
        found = composition.resolve(config, library)
        asked = parse(found.values, library)
        context = Context(
            folder=Path(hydra.runtime.output_dir),
            tracking=asked.tracking,
            config=launchable(found.values, "config", "trains this again", found.from_environment),
            from_environment=found.from_environment,
            overrides=overrides,
            command=command,
        )
        outcome = run(asked.experiment, context)
        known = outcome.metrics | outcome.costs
        values = tuple(known[name] for name, _ in asked.sweep.objectives)
        return values[0] if len(values) == 1 else values  # what Hydra's sweepers expect

    def batch(*jobs: Any) -> list[JobReturn]:
        from runner.sweep.launching import launch

        returns = launch(*jobs, parse=parse)
        statuses.extend(int(job.status is not JobStatus.COMPLETED) for job in returns)
        return returns

    chooses = any(argument.startswith("sweep=") for argument in arguments)
    if chooses and not options.actions(options.read(arguments)):  # `sweep=NAME` implies --multirun
        arguments = [*arguments, "--multirun"]
    worst = _compose(task, arguments, batch=batch, command=command)
    return max([worst, *statuses])


def _describe(arguments: list[str], command: str) -> int:
    def show(asked: Configuration) -> int:
        from rich.console import Console

        from runner import describe

        settings = asked.settings("describe", Describe)
        if settings.format == "json":
            print(describe.as_json(asked.experiment, with_lowerings=settings.lowerings))
        else:
            console = Console(highlight=False)
            console.print(describe.table(asked.experiment, width=console.width, with_lowerings=settings.lowerings))
        return 0

    return _with_configuration(show, arguments)


def _ui(arguments: list[str], command: str) -> int:
    def serve(asked: Configuration) -> int:
        from runner.tracking import serve_ui

        settings = asked.settings("ui", Ui)
        return serve_ui(asked.tracking, host=settings.host, port=settings.port)

    return _with_configuration(serve, arguments)


def _schema(arguments: list[str], command: str) -> int:
    from runner import schema

    folder = arguments[0] if arguments else "schema"
    if len(arguments) > 1 or folder.startswith("-"):
        raise ConfigError(must("command line", "name one folder", " ".join(arguments)))
    try:
        for path in schema.write(Path(folder), SETTINGS):
            print(path)
    except OSError as error:
        raise ConfigError(must("command line", f"name a folder to write to ({error.strerror})", folder)) from error
    return 0


def _with_configuration(use: Callable[[Configuration], int], arguments: list[str]) -> int:
    """Composes configurations, without leaving a folder behind, and hands them on. Returns the worst exit status."""
    statuses: list[int] = []

    def task(config: DictConfig) -> None:
        library = composition.BlockLibrary()
        statuses.append(use(parse(composition.resolve(config, library).values, library)))

    worst = _compose(task, [*arguments, *_NO_FOLDER])
    return max([worst, *statuses])


def _compose(task: Callable[[DictConfig], Any], arguments: list[str], **known: Any) -> int:
    """Hands the task every configuration that the arguments describe. Returns the worst exit status of its errors."""
    statuses: list[int] = []

    def told(config: DictConfig) -> Any:
        try:
            return task(config)
        except ConvrunnerError as error:
            # Said here, so that the other members of a sweep go on; the run's log file has it too.
            logging.getLogger(__name__).info("%s", error)
            if error.exit_status == 2:  # nothing was trained, and the user will try again
                from runner import folders

                folders.release(Path(HydraConfig.get().runtime.output_dir))
            statuses.append(endings.told(error))
            return None

    # Hydra prints what it catches, with advice about its own internals; uncaught it becomes one line here.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = composition.free(options.ordered(arguments))
    composition.composed(told, **known)()
    return max(statuses, default=0)


VERBS: dict[str, Callable[[list[str], str], int]] = {
    "train": _train,
    "describe": _describe,
    "ui": _ui,
    "schema": _schema,
}
