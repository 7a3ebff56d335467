"""`python -m runner.tracking FILE [URI]` sends the undelivered messages of a run to its store.

For a sweep, FILE is its folder.
"""

import sys
from pathlib import Path

from runner import endings
from runner.errors import ConfigError, must
from runner.tracking import replay


def main(arguments: list[str]) -> int:
    """Sends one file, or those of a sweep, and prints the ids of the runs. Returns an exit status."""
    try:
        if len(arguments) not in (1, 2):
            raise ConfigError(must("command line", "be: python -m runner.tracking FILE [URI]", arguments))
        for run_id in replay(Path(arguments[0]), *arguments[1:]):
            print(f"sent to run {run_id}", flush=True)
    except BaseException as error:  # noqa: BLE001 - every error is printed in one line
        return endings.report_error(error)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
