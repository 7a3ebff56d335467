"""The estimated numbers of the test examples over the true ones."""

from runner.run_figures.subject import NUMBERS, RunFigure, Subject
from runner.verdicts.intervals import counted
from runner.verdicts.of_numbers import judged


def draw(subject: Subject) -> bytes:
    """A panel for each number."""
    from runner.figures import png
    from runner.figures.estimates import estimates

    wanted, names = subject.dataset.test.labels, subject.trained.classes
    found = judged(wanted, subject.tested, names)
    errors = [(mae.value, r2.value) for mae, r2 in zip(found.mae, found.r2, strict=True)]
    return png(estimates(wanted, subject.tested, names, errors, of=counted(len(wanted), subject.of_test)))


FIGURE = RunFigure(draw, "estimated numbers over true ones", tasks=NUMBERS)
