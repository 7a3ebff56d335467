"""The probabilities of the labels beside each image or text."""

from runner.run_figures.subject import LABELS, RunFigure, Subject
from runner.tasks import MultiLabel


def draw(subject: Subject) -> bytes:
    """Each example with the probability of each label."""
    from runner.figures import png
    from runner.figures.labels import Labelled, label_probabilities

    task = subject.trained.program.task
    assert isinstance(task, MultiLabel), "a figure of labels fits no other task"
    answered = zip(subject.examples, subject.answered, strict=True)
    shown = [
        Labelled(
            one.image, one.name, one.probabilities, example.target,
            one.text,
        )
        for example, one in answered
    ]  # fmt: skip
    return png(label_probabilities(shown, subject.trained.classes, float(task.threshold)))


FIGURE = RunFigure(draw, "the probabilities of the labels beside each example", tasks=LABELS)
