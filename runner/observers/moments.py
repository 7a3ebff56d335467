"""Keeps the network after some epochs in the folder of a single run: the page shows them as they were learnt."""

from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from runner import compiling, endings
from runner.layers import places
from runner.page import moments
from runner.trained import Trained
from runner.training.member import Member
from runner.training.observer import Observer, Point
from runner.training.outcome import Outcome
from runner.training.plan import Plan


class MomentKeeper(Observer):
    """Keeps moments of runs that have the page among their figures; see `moments.kept` for which.

    Values leave the device at the end of an epoch, some megabytes at most; a thread writes them.
    """

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="moments")  # starts with its first work
        self._writing: list[Future[None]] = []
        self._kept: moments.Kept | None = None  # found once, as it takes milliseconds for a deep network; None: no page

    def begins(self, member: Member, plan: Plan) -> None:
        if "page" not in member.context.figures.draw or member.experiment.task.form != "classes":
            return
        self._kept = moments.kept(plan.program.network)
        if not member.context.goes_on:
            moments.remove(_folder(member))  # of an earlier run in the same folder
        if plan.given:  # it cannot be drawn again from the seed alone
            state = compiling.compiled(plan.program, plan.placement.own).init(plan.values, *plan.given)
            self._keep(member, self._kept, 0, None, {**places.dotted(state.params), **places.dotted(state.statistics)})

    def reaches(self, point: Point) -> None:
        [member], [plan] = point.members, point.plans
        epoch = len(point.ledger.history)
        is_end_of_epoch = epoch and point.steps == plan.steps_of(epoch).stop
        if not (is_end_of_epoch and point.present is not None and self._kept is not None):
            return
        has_ended = bool(point.ledger.end_reason) or epoch >= plan.epochs
        if has_ended or epoch % moments.stride(epoch, self._kept.most) == 0:
            params, statistics = point.present()
            accuracy = point.ledger.history[-1].metrics.get("val/accuracy")
            self._keep(member, self._kept, epoch, accuracy, {**places.dotted(params), **places.dotted(statistics)})

    def ends(self, member: Member, outcome: Outcome, trained: Trained | None) -> None:
        del member, outcome, trained
        for writing in self._writing:
            writing.result()
        self._pool.shutdown()

    def _keep(
        self, member: Member, kept: moments.Kept, epoch: int, accuracy: float | None, values: dict[str, Any]
    ) -> None:
        # Copies: the next step takes the memory of the state.
        own = {path: np.array(value, np.float32) for path, value in values.items() if path in kept.paths}
        if own:
            every = moments.stride(epoch, kept.most)
            moment = moments.Moment(epoch, accuracy, own)
            self._writing.append(self._pool.submit(_write, _folder(member), moment, every))


@endings.warn_on_file_errors("a moment of the page")
def _write(folder: Path, moment: moments.Moment, every: int) -> None:
    moments.thin_out(folder, every)
    moments.write(folder, moment)


def _folder(member: Member) -> Path:
    return member.context.folder / moments.FOLDER
