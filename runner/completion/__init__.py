"""Completes command lines in bash, zsh and fish: `runner -sc install=bash` prints what the shell evaluates.

It reads file names, YAML and the JSON Schema, and imports neither Hydra nor JAX, so that a shell need not wait.
"""

import os
import sys
from collections.abc import Sequence

from runner.completion import shells
from runner.completion.candidates import candidates, words
from runner.errors import must

_FLAGS = ("-sc", "--shell-completion", "--shell_completion")


def request(arguments: Sequence[str]) -> str | None:
    """What a command line asks of completion, such as `install=bash`; None if it asks nothing."""
    for index, argument in enumerate(arguments):
        flag, _, value = argument.partition("=")
        if argument in _FLAGS:
            return " ".join(arguments[index + 1 : index + 2])
        if flag in _FLAGS[1:]:
            return value
    return None


def answer(asked: str) -> int:
    """Prints the script, or the candidates for the line in COMP_LINE, one on each line. Returns the exit status."""
    action, _, shell = asked.partition("=")
    if shell in shells.SCRIPTS and action == "query":
        print(*candidates(*words(os.environ.get("COMP_LINE", ""))), sep="\n")
    elif shell in shells.SCRIPTS and action in ("install", "uninstall"):
        print((shells.SCRIPTS if action == "install" else shells.REMOVALS)[shell], end="")
    else:
        rule = f"ask completion to install=SHELL or uninstall=SHELL, with a SHELL of {', '.join(shells.SCRIPTS)}"
        print(must("command line", rule, asked or "nothing"), file=sys.stderr)
        return 2
    return 0
