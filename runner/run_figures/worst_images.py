"""The validation images whose true class got the least probability."""

from runner.run_figures.subject import RunFigure, Subject, has_numbers


def draw(subject: Subject) -> bytes:
    """A sheet of the worst validation images."""
    from runner.figures import png
    from runner.figures.images import worst_images

    val, classes = subject.dataset.val, subject.trained.classes
    sheet = worst_images(
        val.inputs, val.labels, subject.probabilities, classes, files=val.files, of="validation images"
    )
    return png(sheet)


FIGURE = RunFigure(draw, "the validation images whose true class got the least probability", suits=has_numbers)
