"""The command line: `runner [VERB] [Hydra overrides]`.

    runner                                  trains the default experiment
    runner train data=mnist seed=1          the same verb, said
    runner describe model=lenet5            the layer table
    runner ui                               the MLflow UI on the store in use
    runner schema                           the JSON Schema of the configuration, for editors

Exit status: 0 done, 1 a run failed, 2 the user's mistake, 130 interrupted.
"""

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

from runner import composition, configuration, endings
from runner.composition import Job
from runner.configuration import Records
from runner.errors import ConfigError, must, unknown
from runner.launchable import launchable
from runner.settings import Describe, Ui

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
    def train(job: Job) -> tuple[float, ...]:
        from runner.recording import Context
        from runner.run import run  # training takes more to import than a mistake should cost

        asked = job.configuration
        context = Context(
            folder=job.folder,
            tracking=asked.tracking,
            config=launchable(job.values, "config", "trains this again", job.from_environment),
            from_environment=job.from_environment,
            overrides=job.overrides,
            command=command,
        )
        outcome = run(asked.experiment, context)
        known = outcome.metrics | outcome.costs
        return tuple(known[name] for name, _ in asked.sweep.objectives)

    return composition.train(arguments, parse, train, command)


def _describe(arguments: list[str], command: str) -> int:
    def show(job: Job) -> int:
        from rich.console import Console

        from runner import describe

        asked, settings = job.configuration.experiment, job.configuration.settings("describe", Describe)
        if settings.format == "json":
            print(describe.as_json(asked, with_lowerings=settings.lowerings))
        else:
            console = Console(highlight=False)
            console.print(describe.table(asked, width=console.width, with_lowerings=settings.lowerings))
        return 0

    return composition.look(arguments, parse, show)


def _ui(arguments: list[str], command: str) -> int:
    def serve(job: Job) -> int:
        from runner.tracking import serve_ui

        settings = job.configuration.settings("ui", Ui)
        return serve_ui(job.configuration.tracking, host=settings.host, port=settings.port)

    return composition.look(arguments, parse, serve)


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


VERBS: dict[str, Callable[[list[str], str], int]] = {
    "train": _train,
    "describe": _describe,
    "ui": _ui,
    "schema": _schema,
}
