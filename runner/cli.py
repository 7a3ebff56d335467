"""The command line: `runner [VERB] [ARGUMENTS]`, where each verb is a module of `runner.verbs`.

    runner                                  trains the default experiment
    runner train data=mnist seed=1          the same verb, with overrides
    runner describe model=lenet5            the layer table
    runner --help                           all verbs
    runner describe --help                  what a verb takes

Exit status: 0 done, 1 a run failed, 2 the user's mistake, 130 interrupted.
"""

import shlex
import sys
from collections.abc import Sequence

from runner import endings, hosts, verbs
from runner.command import Command
from runner.errors import ConfigError, unknown
from runner.verb import asks_for_help


def main() -> None:
    """Runs the verb of the command line, and exits with its status."""
    try:
        status = _run(sys.argv[1:])
    except BaseException as error:  # noqa: BLE001 - every error is reported in one line
        status = endings.report_error(error)
    hosts.exit_now(status)
    sys.exit(status)


def _run(arguments: Sequence[str]) -> int:
    if asks_for_help(arguments[:1]):
        print(verbs.overview())
        return 0
    command = read(arguments)
    verb = verbs.verb(command.verb)
    if asks_for_help(command.arguments):
        print(verb.help(command.verb).text())
        return 0
    return verb(command)


def read(arguments: Sequence[str]) -> Command:
    """The command of these arguments; the default verb is `train`. Raises ConfigError for an unknown verb."""
    first, known = arguments[0] if arguments else "", verbs.names()
    if first.isidentifier() and first not in known:
        raise ConfigError(unknown("command line", "verb", first, known))
    named = first in known
    return Command(
        verb=first if named else verbs.DEFAULT,
        arguments=tuple(arguments[1:] if named else arguments),
        text=shlex.join(["runner", *arguments]),
        records=verbs.SETTINGS,
    )
