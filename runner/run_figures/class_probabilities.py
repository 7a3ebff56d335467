"""The probabilities of the classes beside each image or text."""

from runner.run_figures.subject import RunFigure, Subject


def draw(subject: Subject) -> bytes:
    """Each example with the probabilities of its most probable classes."""
    from runner.figures import class_probabilities, png

    return png(class_probabilities(subject.answered, subject.trained.classes))


FIGURE = RunFigure(draw, "the probabilities of the classes beside each example")
