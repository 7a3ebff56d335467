"""Loss, accuracy and learning rate over the epochs."""

from runner.run_figures.subject import ALL, RunFigure, Subject


def draw(subject: Subject) -> bytes:
    """The learning curves of a training."""
    from runner.figures import png
    from runner.figures.curves import learning_curves

    course = subject.course
    assert course is not None, "a figure of a training is drawn by the run itself, which knows its course"
    return png(learning_curves(list(course.history), best_epoch=course.best_epoch, monitor=course.monitor))


FIGURE = RunFigure(draw, "loss, accuracy and learning rate over the epochs", of_training=True, tasks=ALL)
