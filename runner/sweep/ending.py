"""The end of a sweep: the model of its best member, the report, and the end of its run in MLflow."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from runner import tracking
from runner.observers.activity import Activity
from runner.sweep.elsewhere import adopt
from runner.sweep.engines.groups import Datasets, grouped
from runner.sweep.members import Proposed, validated
from runner.sweep.recording import Recording
from runner.sweep.report.publishing import present, publish
from runner.sweep.results import SweepResult
from runner.training.member import Member
from runner.training.outcome import Outcome
from runner.training.plan import planned


class Ending(NamedTuple):
    """How a sweep ends: `best` is its best member, whose weights this process may have."""

    parent: tracking.Run
    best: Member | None
    has_weights: bool
    folder: Path
    error: BaseException | None


def of_this_process(recording: Recording, folder: Path, error: BaseException | None) -> Ending:
    """The end of a sweep that this process trained."""
    return Ending(recording.parent, recording.recorder.best, True, folder, error)


def of_workers(
    recording: Recording, best: Member | None, space: dict[str, str], folder: Path, error: BaseException | None
) -> Ending:
    """The end of a sweep that several workers trained; its run is open nowhere else."""
    own = recording.recorder.best
    parent = tracking.reopen(recording.parent)
    parent.log_params({f"space.{path}": text for path, text in space.items()})
    return Ending(parent, best, own is not None and best is not None and own.number == best.number, folder, error)


def take_best(recording: Recording, leader: Outcome, proposed: Proposed, datasets: Datasets) -> Member:
    """Takes the best member of all workers as one of this process, if its weights are in its folder."""
    [member] = validated([proposed], proposed.varied)
    recorder = recording.recorder
    if recorder.best is None or recorder.best.number != leader.number:
        [group] = grouped([member], datasets)
        plan = planned(member.experiment, datasets.of(member.experiment), group.placement)
        adopt(recorder, member, leader, plan, group.placement, recording.parent.opening)
    return member


def write(recording: Recording, ending: Ending, result_of: Callable[[], SweepResult], activity: Activity) -> None:
    """Writes the report, unless no member began, and ends the run."""
    parent, recorder, error = ending.parent, recording.recorder, ending.error
    with activity:
        if ending.has_weights:
            recorder.log_best(activity.now)
        if error is None or recording.tally.outcomes:  # else only the error is of interest
            activity.now("writing the report")
            best, result = ending.best, result_of()
            parent.log_summary(recorder.spending.totals())
            publish(
                result,
                parent,
                ending.folder,
                best,
                recorder.run_of(best.number) if best else None,
                network=recorder.best_network if ending.has_weights else None,
                figures=bool(recording.figures.draw),
            )
            activity.over()
            present(result, ending.folder)
        interrupted = error is not None and not isinstance(error, Exception)
        parent.finish("KILLED" if interrupted else "FAILED" if error else "FINISHED", activity.now)
