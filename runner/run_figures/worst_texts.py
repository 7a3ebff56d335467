"""The validation texts whose true class got the least probability, as the network reads them."""

from typing import Final

import numpy as np

from runner.data.vocabulary import token_text
from runner.run_figures.subject import RunFigure, Subject, has_texts

_COUNT: Final = 24


def draw(subject: Subject) -> bytes:
    """A paragraph for each of the worst texts, the worst first."""
    dataset, probabilities = subject.dataset, subject.probabilities
    val, classes = dataset.val, dataset.classes
    given = probabilities[np.arange(len(val)), val.labels]
    paragraphs = []
    for index in np.argsort(given, kind="stable")[:_COUNT]:
        taken = int(probabilities[index].argmax())
        judged = (
            f"#{index}: {classes[val.labels[index]]}, taken for {classes[taken]} ({probabilities[index, taken]:.0%})"
        )
        paragraphs.append(f"{judged}\n{token_text(val.inputs[index], dataset.vocabulary)}\n")
    return "\n".join(paragraphs).encode()


FIGURE = RunFigure(
    draw,
    "the validation texts whose true class got the least probability",
    suits=has_texts,
    place="{name}.txt",
)
