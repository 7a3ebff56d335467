"""The search for the operation that makes a NaN, for members with `train.debug_nans`."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import jax

from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer
from runner.training.outcome import Outcome
from runner.training.plan import Plan


class NanSearch(Observer):
    """Lets JAX check the output of every program while a member trains that asks for it. Needs sequential training.

    JAX then raises FloatingPointError, which `runner.nans` explains.
    """

    def __init__(self) -> None:
        # By the context manager: programs that ran before `jax_debug_nans` was set globally are not checked.
        self._checks = ExitStack()

    def begins(self, member: Member, plan: Plan) -> None:
        if member.experiment.train.debug_nans:
            self._checks.enter_context(jax.debug_nans(True))
            self._checks.enter_context(_without_announcements())

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        if member.experiment.train.debug_nans:
            self._checks.close()


@contextmanager
def _without_announcements() -> Iterator[None]:
    """Hides what JAX prints when it runs a program again, operation by operation; no setting of JAX turns it off."""
    own = [vars(sys.modules[name]) for name in ("jax._src.api_util", "jax._src.pjit") if name in sys.modules]
    for names in own:
        names["print"] = lambda *_: None
    try:
        yield
    finally:
        for names in own:
            names.pop("print", None)
