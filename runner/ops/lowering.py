"""Chooses between lowerings of operations: XLA's plain ones, or the fastest for a device and a shape.

    >>> with lowered("auto"):
    ...     program = jax.jit(step).lower(x).compile()

Operations traced outside of `lowered` use the plain lowerings, which work on every device and in every process.
Exported models use them too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Choice = Literal["auto", "portable", "reference"]

_choice: ContextVar[Choice] = ContextVar("choice", default="reference")


@contextmanager
def lowered(choice: Choice) -> Iterator[None]:
    """Sets the choice for operations traced in the block: fastest, fastest without native code, or plain."""
    before = _choice.set(choice)
    try:
        yield
    finally:
        _choice.reset(before)


def current() -> Choice:
    """The choice for operations that are traced now."""
    return _choice.get()
