"""Figures are read back from what they draw, and as pixels; how they look was judged by eye."""

import io
import math
import threading
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from runner.figures import (
    png,
)
from runner.figures.confusion import confusion_matrix
from runner.figures.curves import learning_curves
from runner.figures.images import worst_images
from runner.figures.relevance import overlaid
from runner.figures.style import TRAIN, VAL

HISTORY = [
    {
        "train/loss": 2.0 / epoch,
        "val/loss": 2.2 / epoch,
        "train/accuracy": 1 - 0.9 / epoch,
        "val/accuracy": 1 - 0.95 / epoch,
        "learning_rate": 0.1 / epoch,
    }
    for epoch in range(1, 31)
]


def texts(figure: Figure) -> list[str]:
    """Every text in a figure, those of its axes among them."""
    found = [text.get_text() for axes in figure.axes for text in axes.texts]
    found += [axes.get_title(loc) for axes in figure.axes for loc in ("left", "center", "right")]
    found += [label.get_text() for axes in figure.axes for label in axes.get_xticklabels() + axes.get_yticklabels()]
    found += [str(figure.get_suptitle()), str(figure.get_supxlabel())]
    return [text for text in found if text]


def lines(axes: Any, colour: str) -> list[tuple[list[float], list[float]]]:
    return [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines if line.get_color() == colour]


def overlaps(figure: Figure) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share pixels."""
    figure.draw_without_rendering()
    boxes = []
    for axes in figure.axes:
        boxes += [text for text in axes.get_children() if isinstance(text, Text)]  # the three titles among them
        boxes += [axes.xaxis.label, axes.yaxis.label]
        for axis in (axes.xaxis, axes.yaxis):
            low, high = sorted(axis.get_view_interval())
            # Locators tick beyond the edges too, where nothing is drawn.
            boxes += [tick.label1 for tick in axis.get_major_ticks() if low <= tick.get_loc() <= high]
    extents = [(text.get_text(), text.get_window_extent()) for text in boxes if text.get_text() and text.get_visible()]
    return [
        (name, other)
        for index, (name, box) in enumerate(extents)
        for other, another in extents[index + 1 :]
        if min(box.x1, another.x1) - max(box.x0, another.x0) > 1
        and min(box.y1, another.y1) - max(box.y0, another.y0) > 1
    ]


def test_learning_curves_draw_the_history_over_epochs() -> None:
    figure = learning_curves(HISTORY, best_epoch=22)
    loss, accuracy, rate = figure.axes
    epochs = list(range(1, 31))
    assert lines(loss, TRAIN) == [(epochs, [row["train/loss"] for row in HISTORY])]
    assert lines(accuracy, VAL)[0] == (epochs, [row["val/accuracy"] for row in HISTORY])
    assert rate.lines[0].get_ydata().tolist() == [row["learning_rate"] for row in HISTORY]
    assert "epoch 22, 0.1 in validation" in texts(figure)
    assert "best: epoch 22, 95.7% in validation" in texts(figure)
    by_loss = texts(learning_curves(HISTORY, best_epoch=22, monitor="val/loss"))
    assert {"best: epoch 22, 0.1 in validation", "epoch 22, 95.7% in validation"} <= set(by_loss)
    assert overlaps(figure) == []


@pytest.mark.parametrize("epochs", [0, 1, 2, 12, 13, 300])
def test_learning_curves_of_any_length(epochs: int) -> None:
    history = [HISTORY[index % 30] for index in range(epochs)]
    figure = learning_curves(history, best_epoch=epochs)
    assert png(figure)
    assert overlaps(figure) == []


def test_learning_curves_leave_gaps_for_what_is_missing_or_not_finite() -> None:
    history: list[dict[str, float]] = [{"train/loss": 1.0}, {"train/loss": math.nan}, {"train/loss": math.inf}, {}]
    figure = learning_curves(history, best_epoch=2)
    assert png(figure)
    assert lines(figure.axes[0], TRAIN)[0][0] == [1, 2, 3]


def test_a_confusion_matrix_counts_as_scikit_learn_does() -> None:
    rng = np.random.default_rng(0)
    true, predicted = rng.integers(0, 3, 200), rng.integers(0, 3, 200)
    counts = sklearn_confusion_matrix(true, predicted)
    figure = confusion_matrix(counts, ("cat", "dog", "owl"))
    cells = {text.get_position(): text.get_text() for text in figure.axes[0].texts}
    assert {(column, row): str(counts[row, column]) for row in range(3) for column in range(3)}.items() <= cells.items()
    recall = np.diag(counts) / counts.sum(axis=1)
    assert [cells[(2.7, row)] for row in range(3)] == [f"{share:.1%}" for share in recall]
    assert figure.get_suptitle() == f"Confusion matrix\n200 images, {np.trace(counts) / 200:.1%} right"


def test_a_confusion_matrix_names_its_most_frequent_mistakes() -> None:
    counts = np.array([[9999, 1, 0], [7, 90, 0], [0, 3, 97]])
    figure = confusion_matrix(counts, ("cat", "dog", "owl"))
    assert (
        figure.get_supxlabel() == "most frequent mistakes: dog → cat (7), owl → dog (3)"[: len(figure.get_supxlabel())]
    )
    assert figure.get_supxlabel().startswith("most frequent mistakes: dog → cat (7)")
    # Never rounded up to all.
    assert "99.9%" in texts(figure)


@pytest.mark.parametrize("k", [2, 10, 25, 26, 100])
def test_a_confusion_matrix_is_readable_for_any_number_of_classes(k: int) -> None:
    counts = np.random.default_rng(0).integers(0, 5, (k, k)) + 900 * np.eye(k, dtype=int)
    names = tuple(f"class {index}" for index in range(k))
    figure = confusion_matrix(counts, names)
    assert set(names) <= set(texts(figure))
    assert overlaps(figure) == []
    width, height = Image.open(io.BytesIO(png(figure))).size
    assert max(width, height) < 2400


def test_a_class_without_images_and_a_name_that_is_a_formula() -> None:
    figure = confusion_matrix(np.array([[5, 0], [0, 0]]), ("$5", "a" * 60))
    assert png(figure)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == [r"\$5", "a" * 20 + "…" + "a" * 19]
    assert png(confusion_matrix(np.zeros((2, 2), int), ("a", "b")))


def test_the_worst_images_come_first() -> None:
    images = np.zeros((5, 4, 4, 1), np.uint8)
    labels = np.array([0, 1, 0, 1, 0])
    right = np.array([0.9, 0.2, 0.05, 0.6, 0.5])
    probabilities = np.where(np.eye(2, dtype=bool)[labels], right[:, None], 1 - right[:, None])
    figure = worst_images(images, labels, probabilities, ("cat", "dog"), count=3)
    assert [axes.get_title() for axes in figure.axes] == ["#2", "#1", "#4"]
    assert [text.get_text() for text in figure.axes[0].texts] == ["true: cat", "as dog, 95%"]
    assert figure.get_suptitle() == "The worst of 5 images: 2 classified wrongly"


def test_figures_say_what_they_show() -> None:
    images, labels, right = np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]), np.eye(2)[[1, 1]]
    files = ("cat/DSC_0001.jpg", "dog/a photograph of a dog, seen from the left.jpg")
    sheet = worst_images(images, labels, right, ("cat", "dog"), files=files, of="validation images")
    assert [axes.get_title() for axes in sheet.axes] == ["DSC_0001.jpg", "a photograp…e left.jpg"]
    assert sheet.get_suptitle() == "The worst of 2 validation images: 1 classified wrongly"
    matrix = confusion_matrix(np.eye(2), ("cat", "dog"), of="validation texts")
    assert matrix.get_suptitle() == "Confusion matrix\n2 validation texts, 100% right"


def test_metrics_beside_loss_and_accuracy_have_a_panel() -> None:
    history = [row | {"val/top_5_accuracy": 0.9, "train/top_5_accuracy": 0.8} for row in HISTORY]
    figure = learning_curves(history, best_epoch=22)
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Loss",
        "Accuracy",
        "Top 5 accuracy",
        "Learning rate",
    ]
    assert lines(figure.axes[2], VAL)[0][1] == [0.9] * 30
    assert "epoch 22, 90.0% in validation" in texts(figure)
    assert overlaps(figure) == []


def test_the_worst_images_if_all_are_correct() -> None:
    figure = worst_images(np.zeros((2, 4, 4, 3), np.uint8), np.array([0, 1]), np.eye(2), ("cat", "dog"))
    assert figure.get_suptitle() == "The least certain of 2 images: all classified correctly"


@pytest.mark.parametrize("shape", [(8, 8, 1), (32, 32, 3), (5, 9, 2), (40, 1)])
def test_images_of_any_kind_are_drawn_without_overlap(shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (40, *shape), dtype=np.uint8)
    probabilities = rng.dirichlet(np.ones(3), 40)
    figure = worst_images(images, rng.integers(0, 3, 40), probabilities, ("automobile", "chrysanthemum", "owl"))
    assert len(figure.axes) == 24
    assert overlaps(figure) == []


def test_a_sheet_shows_the_pixels_it_was_given() -> None:
    images = np.zeros((1, 2, 2, 3), np.uint8)
    images[0, 0, 0] = (255, 0, 0)
    figure = worst_images(images, np.array([0]), np.array([[0.4, 0.6]]), ("cat", "dog"))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), images[0] / 255)


def test_a_png_is_sharp_and_the_same_every_time() -> None:
    first, second = (png(learning_curves(HISTORY[:5], best_epoch=3)) for _ in range(2))
    assert first == second
    assert Image.open(io.BytesIO(first)).size == (1425, 690)


def test_threads_can_draw_in_parallel() -> None:
    drawn: list[bytes] = []
    threads = [threading.Thread(target=lambda: drawn.append(png(learning_curves(HISTORY)))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(drawn) == 4
    assert len(set(drawn)) == 1
    assert Image.open(io.BytesIO(drawn[0])).format == "PNG"


def test_images_with_negative_values_are_drawn_in_their_range() -> None:
    image = np.linspace(-1, 1, 48, dtype=np.float32).reshape(1, 4, 4, 3)
    figure = worst_images(image, np.array([0]), np.array([[0.4, 0.6]]), ("cat", "dog"))
    drawn = figure.axes[0].images[0].get_array()
    np.testing.assert_allclose(drawn, (image[0] + 1) / 2, atol=1e-6)


def test_a_signed_map_without_values_below_zero_keeps_the_colours_of_its_legend() -> None:
    image = np.full((2, 2, 1), 0.5, np.float32)
    values = np.array([[0.0, 0.0], [0.0, 1.0]])
    drawn = overlaid(image, values, signed=True)
    np.testing.assert_allclose(np.ptp(drawn[0], axis=-1), 0)  # grey where nothing changes
    assert drawn[1, 1, 0] > 2 * drawn[1, 1, 2], "red where the probability falls"
    none = overlaid(image, np.zeros((2, 2)), signed=True)
    np.testing.assert_allclose(np.ptp(none, axis=-1), 0)
    dark = overlaid(image, values, signed=False)
    assert dark[0, 0, 2] > dark[0, 0, 1], "the dark end of a scale from violet to yellow"
