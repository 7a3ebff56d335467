"""`python -m runner.tracking FILE [URI]` sends what a run could not deliver to its store.

Of a sweep, FILE is its folder.
"""

import sys
from pathlib import Path

from runner.errors import ConvrunnerError
from runner.tracking import replay


def main(arguments: list[str]) -> int:
    """Sends one file, or those of a sweep, and says to which runs they went. Returns an exit status."""
    if len(arguments) not in (1, 2):
        print("usage: python -m runner.tracking FILE [URI]", file=sys.stderr)
        return 2
    try:
        run_ids = replay(Path(arguments[0]), *arguments[1:])
    except ConvrunnerError as error:
        print(error, file=sys.stderr)
        return error.exit_status
    for run_id in run_ids:
        print(f"sent to run {run_id}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
