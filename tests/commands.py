"""The command line called in this process: for tests of what a user meets."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Done:
    """What a command came to."""

    status: int
    out: str
    err: str


Runner = Callable[..., Done]
