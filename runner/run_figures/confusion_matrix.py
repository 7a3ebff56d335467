"""How often each class was taken for each other one, in validation."""

import numpy as np

from runner.run_figures.subject import RunFigure, Subject


def draw(subject: Subject) -> bytes:
    """The confusion matrix of the validation examples."""
    from runner.figures import png
    from runner.figures.confusion import confusion_matrix

    classes, labels = subject.trained.classes, subject.dataset.val.labels
    counts = np.zeros((len(classes), len(classes)), np.int64)
    np.add.at(counts, (labels, subject.probabilities.argmax(axis=1)), 1)
    of = "validation texts" if subject.dataset.vocabulary else "validation images"
    return png(confusion_matrix(counts, classes, of=of))


FIGURE = RunFigure(draw, "how often each class was taken for each other one")
