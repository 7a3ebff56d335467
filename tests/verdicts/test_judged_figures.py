"""Reliability diagrams, ROC and precision-recall curves of any number and name of classes."""

import numpy as np
import pytest
from configurations import here
from trainings import digits, trained

from runner.figures import png
from runner.figures.judged import Bins, Line, precision_recall_curves, reliability_diagrams, roc_curves
from runner.run_figures.settings import names
from runner.run_figures.subject import Subject, figure

BINS = Bins(np.array([0, 4, 6]), np.array([0.0, 0.5, 0.9]), np.array([0.0, 0.25, 1.0]))


def lines(count: int) -> list[Line]:
    steps = np.linspace(0, 1, 5)
    return [Line(f"class {n}", steps, steps**0.5, 0.5 + n / (2 * count)) for n in range(count)]


def test_a_reliability_diagram_has_the_accuracy_of_every_bin() -> None:
    found = reliability_diagrams([("as trained", BINS), ("tempered", BINS)], of="test texts")
    above, _, below, _ = found.axes
    assert [bar.get_height() for bar in above.patches] == [0.25, 1.0]
    assert [bar.get_x() for bar in above.patches] == pytest.approx([1 / 3, 2 / 3])
    assert [bar.get_height() for bar in below.patches] == [0, 4, 6]
    [dots] = above.collections
    assert np.asarray(dots.get_offsets()).tolist() == [[0.5, 0.25], [0.9, 1.0]]
    assert found.get_suptitle().endswith("10 test texts")


@pytest.mark.parametrize("count", [1, 2, 10, 40])
def test_the_classes_with_the_least_area_are_named_first(count: int) -> None:
    for drawn in (roc_curves(lines(count)), precision_recall_curves(lines(count))):
        [axes] = drawn.axes
        legend = axes.get_legend()
        assert legend is not None
        told = [text.get_text() for text in legend.get_texts()]
        assert told[0] == "class 0  0.5000"
        assert len(told) == (count if count <= 14 else 15)
        assert count <= 14 or told[-1] == "26 others, up to 0.9875"


def test_names_in_any_script_and_no_class_at_all() -> None:
    assert png(roc_curves([Line("кошка $5 猫", np.array([0, 1.0]), np.array([0, 1.0]), 0.5)])).startswith(b"\x89PNG")
    assert png(precision_recall_curves([])).startswith(b"\x89PNG")
    assert png(reliability_diagrams([("no answers", Bins(*np.zeros((3, 15))))]))


def test_the_figures_of_a_run_are_those_of_its_test_examples() -> None:
    training = trained("train.epochs=1")
    told = training.test()
    unread = Subject(training.trained({}), here(), lambda: pytest.fail("evaluated again"))
    right = unread.tested.argmax(axis=1) == digits().test.labels
    assert right.mean() == pytest.approx(told["test/accuracy"])
    about = Subject(training.trained({}), here(), digits)
    assert about.verdict.reliability.ece == told["test/ece"]
    assert {"reliability", "roc_curves", "precision_recall_curves"} <= set(names())
    for name in ("reliability", "roc_curves", "precision_recall_curves"):
        assert figure(name).draw(about).startswith(b"\x89PNG")
