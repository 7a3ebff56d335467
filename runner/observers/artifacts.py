"""What is recorded of a member once it is trained: its figures, its weights and the model that others load."""

import functools
import json
from dataclasses import dataclass

import jax

from runner import endings, judging, tracking, train
from runner.launchable import launchable
from runner.run_figures.subject import Course, Subject, figure
from runner.trained import NETWORK, WEIGHTS, Trained
from runner.training.member import Member
from runner.training.outcome import Outcome
from runner.training.plan import Plan
from runner.verdicts.verdict import FILE


@dataclass(frozen=True)
class Finished:
    """A member that was trained."""

    member: Member
    plan: Plan
    outcome: Outcome
    trained: Trained


def configuration(member: Member, parent: tracking.Run | None) -> str:
    """The member's whole configuration, as a file that launches again; `parent` is the run of its sweep."""
    about = "trains this again" if parent is None else "trains this member again"
    return launchable(member.context.config, "config", about, member.context.from_environment)


def log_figures(recorded: tracking.Run, found: Finished) -> None:
    """The verdict, and the figures of `figures.draw` that suit the network; computed in the background, as drawn."""
    plan, outcome = found.plan, found.outcome
    best = outcome.metrics.get("best/epoch")
    subject = Subject(
        found.trained,
        plan.placement.own,
        lambda: plan.dataset,
        Course(outcome.history, int(best) if best else None, found.member.experiment.train.monitor.metric),
        plan.given,
        folder=found.member.context.folder,
    )
    recorded.log_figure(FILE, lambda: _verdict(subject))
    for name in found.member.context.figures.draw:
        known = figure(name)
        if known.fits(subject) and known.in_runs(subject.network):
            recorded.log_figure(known.file(name), functools.partial(known.draw, subject))


def _verdict(subject: Subject) -> bytes:
    return (json.dumps(judging.as_json(subject.verdict), indent=1, ensure_ascii=False) + "\n").encode()


@endings.warn_on_file_errors("the model")
def log_model(recorded: tracking.Run, found: Finished) -> None:
    """The parameters that were kept, and the model as it can be served; written to the member's folder first."""
    if not found.member.context.tracking.log_model:
        return
    from runner import serving  # jax.export is needed by nothing else

    log_weights(recorded, found)
    folder, dataset, program = found.member.context.folder / "model", found.plan.dataset, found.plan.program

    def answers(variables: train.Variables, images: jax.Array) -> jax.Array:
        return train.predict(program, variables.params, variables.statistics, images)

    serving.save_model(
        folder,
        function=answers,
        variables=train.Variables(found.trained.params, found.trained.statistics),
        images=dataset.val.inputs,
        classes=dataset.classes,
        inputs=found.trained.inputs,
        form=program.task.form,
        threshold=float(getattr(program.task, "threshold", 0.5)),
    )
    recorded.log_model(folder)


@endings.warn_on_file_errors(WEIGHTS)
def log_weights(recorded: tracking.Run, found: Finished) -> None:
    """The parameters that were kept, as a file that training can begin with, and all else that `trained` loads."""
    if found.member.context.tracking.log_model:
        folder = found.member.context.folder
        found.trained.save(folder, configuration(found.member, recorded.parent))
        for name in (NETWORK, WEIGHTS):
            recorded.log_artifact(folder / name)
