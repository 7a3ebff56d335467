"""The validation examples in two dimensions, as the last hidden layer sees them."""

from typing import Final

from runner.explaining.embedding import hidden, neighbours, principal
from runner.explaining.sight import Array
from runner.run_figures.subject import RunFigure, Subject, always

_EXAMPLES: Final = 600
_LEAST: Final = 8  # examples, for neighbours


def draw(subject: Subject) -> bytes:
    """The examples by principal components, and by their neighbours."""
    from runner.figures import png
    from runner.figures.embedding import embedding

    val, indices = subject.dataset.val, subject.some(_EXAMPLES)
    inputs, labels = val.inputs[indices], val.labels[indices]
    values = hidden(subject.sight, inputs)
    panels: list[tuple[str, Array]] = [("principal components", principal(values))]
    if len(values) >= _LEAST:
        panels.append(("t-SNE: neighbours stay together, distances between groups mean little", neighbours(values)))
    of = "texts" if subject.network.vocabulary is not None else "images"
    title = f"{len(indices):,} validation {of}, as the last hidden layer sees them"
    note = f"its {values.shape[1]:,} values in two dimensions; close: alike for the network"
    images = inputs if inputs.ndim == 4 else None
    return png(embedding(panels, labels, images, subject.trained.classes, title=title, note=note))


FIGURE = RunFigure(draw, "the validation examples in two dimensions, by the last hidden layer", suits=always)
