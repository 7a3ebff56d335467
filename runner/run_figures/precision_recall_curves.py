"""Precision-recall curves of the test examples, each class against all others, or of each label."""

from runner.run_figures.subject import CLASSES, LABELS, RunFigure, Subject
from runner.verdicts.curves import curves
from runner.verdicts.intervals import counted


def draw(subject: Subject) -> bytes:
    """The curve and the average precision of each class that has examples."""
    from runner.figures import png
    from runner.figures.judged import ONE_AGAINST_ALL, Line, precision_recall_curves

    found = zip(subject.trained.classes, curves(subject.dataset.test.labels, subject.tested), strict=True)
    lines = [Line(name, one.recall, one.precision, one.average_precision) for name, one in found if one is not None]
    each = ONE_AGAINST_ALL if subject.dataset.form == "classes" else "each label"
    return png(precision_recall_curves(lines, each=each, of=counted(len(subject.tested), subject.of_test)))


FIGURE = RunFigure(
    draw, "precision-recall curves of each class or label, with their average precision", tasks=CLASSES | LABELS
)
