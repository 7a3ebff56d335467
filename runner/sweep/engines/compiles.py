"""Counts the compilations of the training step that JAX reports; programs from the cache count too."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import jax.monitoring

_EVENT: Final = "/jax/core/compile/backend_compile_duration"
_STEP: Final = "advance"


class Compiles:
    """Counts compiled programs of the training step."""

    def __init__(self) -> None:
        self.count = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Counts compilations during the block."""

        def heard(event: str, duration_secs: float, **facts: Any) -> None:
            if event == _EVENT and _STEP in str(facts.get("fun_name", "")):
                self.count += 1

        jax.monitoring.register_event_duration_secs_listener(heard)
        try:
            yield
        finally:
            jax.monitoring.unregister_event_duration_listener(heard)
