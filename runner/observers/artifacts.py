"""What is recorded of a member once it is trained: its figures, its weights and the model that others load."""

from dataclasses import dataclass
from typing import Any, Final

import jax
import numpy as np

from runner import endings, tracking, train
from runner.data import Dataset
from runner.data.vocabulary import token_text, vocabulary_text
from runner.launchable import launchable
from runner.trained import NETWORK, WEIGHTS, Trained
from runner.training.member import Member
from runner.training.outcome import Outcome
from runner.training.plan import Plan

VOCABULARY: Final = "vocabulary.txt"


@dataclass(frozen=True)
class Finished:
    """A member that was trained."""

    member: Member
    plan: Plan
    outcome: Outcome
    trained: Trained


def configuration(recorded: tracking.Run, member: Member) -> str:
    """The member's whole configuration, as a file that launches again."""
    about = "trains this again" if recorded.parent is None else "trains this member again"
    return launchable(member.context.config, "config", about, member.context.from_environment)


def log_figures(recorded: tracking.Run, found: Finished) -> None:
    """Learning curves, and how the validation images were classified; drawn in the background."""
    if not recorded.figures:
        return
    dataset, outcome = found.plan.dataset, found.outcome
    val, classes = dataset.val, dataset.classes
    probabilities = found.trained.probabilities(val.inputs, found.plan.placement)
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (val.labels, probabilities.argmax(axis=1)), 1)
    best = outcome.metrics.get("best/epoch")
    monitor = found.member.experiment.train.monitor.metric

    def figure(name: str, *args: Any, **kwargs: Any) -> bytes:
        from runner import figures  # matplotlib takes its time, and the thread that draws has it

        drawn: bytes = figures.png(getattr(figures, name)(*args, **kwargs))
        return drawn

    recorded.log_figure(
        "figures/learning_curves.png",
        lambda: figure(
            "learning_curves", list(outcome.history), best_epoch=int(best) if best else None, monitor=monitor
        ),
    )
    of = "validation texts" if dataset.vocabulary else "validation images"
    recorded.log_figure("figures/confusion_matrix.png", lambda: figure("confusion_matrix", counts, classes, of=of))
    if dataset.vocabulary:
        recorded.log_text(_worst_texts(dataset, probabilities), "worst_texts.txt")
    else:
        recorded.log_figure(
            "figures/worst_images.png",
            lambda: figure("worst_images", val.inputs, val.labels, probabilities, classes, files=val.files, of=of),
        )


def _worst_texts(dataset: Dataset, probabilities: np.ndarray, count: int = 24) -> str:
    """The validation texts, as the network reads them, whose true class was given the least probability."""
    val, classes = dataset.val, dataset.classes
    given = probabilities[np.arange(len(val)), val.labels]
    paragraphs = []
    for index in np.argsort(given, kind="stable")[:count]:
        taken = int(probabilities[index].argmax())
        judged = (
            f"#{index}: {classes[val.labels[index]]}, taken for {classes[taken]} ({probabilities[index, taken]:.0%})"
        )
        paragraphs.append(f"{judged}\n{token_text(val.inputs[index], dataset.vocabulary)}\n")
    return "\n".join(paragraphs)


@endings.warn_on_file_errors("the model")
def log_model(recorded: tracking.Run, found: Finished) -> None:
    """The parameters that were kept, and the model as it can be served; written to the member's folder first."""
    if not found.member.context.tracking.log_model:
        return
    from runner import serving  # jax.export is needed by nothing else

    log_weights(recorded, found)
    folder, dataset, program = found.member.context.folder / "model", found.plan.dataset, found.plan.program

    def probabilities(variables: train.Variables, images: jax.Array) -> jax.Array:
        return train.predict(program, variables.params, variables.statistics, images)

    serving.save_model(
        folder,
        function=probabilities,
        variables=train.Variables(found.trained.params, found.trained.statistics),
        images=dataset.val.inputs,
        classes=dataset.classes,
        input_range=_input_range(dataset),
    )
    if dataset.vocabulary:  # the model reads tokens, so its user has to know what each stands for
        (folder / VOCABULARY).write_text(vocabulary_text(dataset.vocabulary), encoding="utf-8")
    recorded.log_model(folder)


def _input_range(dataset: Dataset) -> tuple[float, float] | None:
    """Between which values the inputs of a served model are expected; None for bytes, whose type says it."""
    if dataset.vocabulary:
        return 0.0, float(len(dataset.vocabulary) - 1)
    if dataset.train.inputs.dtype == np.uint8:
        return None
    return min(dataset.range.black), max(dataset.range.white)


@endings.warn_on_file_errors(WEIGHTS)
def log_weights(recorded: tracking.Run, found: Finished) -> None:
    """The parameters that were kept, as a file that training can begin with, and all else that `trained` loads."""
    if found.member.context.tracking.log_model:
        folder = found.member.context.folder
        found.trained.save(folder, configuration(recorded, found.member))
        for name in (NETWORK, WEIGHTS):
            recorded.log_artifact(folder / name)
