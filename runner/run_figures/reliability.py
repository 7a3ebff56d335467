"""Whether answers to the test examples are right as often as their probabilities say."""

from runner.run_figures.subject import RunFigure, Subject
from runner.verdicts.calibration import Reliability
from runner.verdicts.verdict import Verdict


def draw(subject: Subject) -> bytes:
    """The reliability diagram of the network, and with the temperature that was fitted to validation examples."""
    from runner.figures import png
    from runner.figures.judged import Bins, reliability_diagrams

    def bins(found: Reliability) -> Bins:
        return Bins(found.counts, found.confidence, found.accuracy)

    found = subject.verdict
    assert isinstance(found, Verdict), "a figure of classes fits no other task"
    error = f"calibration error {found.reliability.ece:.4f} (by chance up to {found.ece_by_chance:.4f})"
    diagrams = [(f"as trained\n{error}", bins(found.reliability))]
    if (tempered := found.tempered) is not None:
        title = f"at temperature {tempered.temperature:.3g}, fitted on validation"
        own = tempered.reliability
        diagrams.append((f"{title}\ncalibration error {own.ece:.4f}", bins(own)))
    return png(reliability_diagrams(diagrams, of=subject.of_test))


FIGURE = RunFigure(draw, "whether answers are right as often as their probabilities say")
