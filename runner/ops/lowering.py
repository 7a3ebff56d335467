"""Which ways operations may take: the plain one everywhere, or the fastest for a device and a shape.

    >>> with lowered("auto"):
    ...     program = jax.jit(step).lower(x).compile()

What is traced outside of `lowered` takes the plain ways, which every device and every other process understands: so
does what is exported to be served elsewhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Literal

Choice = Literal["auto", "portable", "reference"]

_choice: ContextVar[Choice] = ContextVar("choice", default="reference")


@contextmanager
def lowered(choice: Choice) -> Iterator[None]:
    """What is traced meanwhile takes the fastest ways, the fastest of XLA's operations, or its plain ones."""
    before = _choice.set(choice)
    try:
        yield
    finally:
        _choice.reset(before)


def current() -> Choice:
    """The choice under which operations are traced now."""
    return _choice.get()
