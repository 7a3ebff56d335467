"""Figures are read back from what they draw, and as pixels; how they look was judged by eye."""

import io
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import experiment
from matplotlib import colormaps, get_data_path
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from matplotlib.text import Text
from PIL import Image
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from runner.explaining.layers import printed
from runner.figures import (
    Answered,
    LayerMaps,
    class_probabilities,
    feature_maps,
    filters,
    filters_before_and_after,
    png,
)
from runner.figures.canvas import coloured, resized, tiles
from runner.figures.confusion import confusion_matrix
from runner.figures.curves import learning_curves
from runner.figures.excitation import exciting_images
from runner.figures.filters import every_filter
from runner.figures.images import worst_images
from runner.figures.sheet import DPI, Sheet
from runner.figures.style import RIGHT, TRAIN, VAL, WRONG, is_plain, short_place

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


@pytest.mark.parametrize(
    ("shape", "title"),
    [
        ((5, 5, 1, 6), "6 filters, 5×5×1"),
        ((7, 7, 3, 64), "64 filters, 7×7×3"),
        ((3, 3, 32, 100), "64 of 100 filters, 3×3×32"),
        ((9, 4, 2), "2 filters, 1×9×4"),
    ],
)
def test_filters_say_how_many_they_are(shape: tuple[int, ...], title: str) -> None:
    sheet = filters(np.random.default_rng(0).normal(size=shape).astype(np.float32))
    assert sheet.texts[0].text == title
    both = filters_before_and_after(np.zeros(shape), np.ones(shape), name="layers[0].conv")
    assert [one.text for one in both.texts] == [f"layers[0].conv: {title}", "before training", "after training"]
    assert touching(both) == []
    assert png(both)


def test_layers_deep_in_others_keep_names_of_their_own_in_little_room() -> None:
    network = experiment("model=resnet20_cifar").network((32, 32, 3), 10)
    kernels = [(printed(network, path), np.ones((3, 3, 2, 4))) for path in network.kernels()]
    sheet = every_filter(kernels)
    assert touching(sheet) == []
    names = [one.text for one in sheet.texts[2::2]]
    assert len(set(names)) == len(names) == 19
    assert not any("…" in name for name in names)
    places = [short_place(printed(network, here.path), 30) for here in network.located()]
    assert len(set(places)) == len(places)
    deep = "layers[0].conv_bn_act.layers[1].own_norm.layers[0].conv"
    both = filters_before_and_after(*[kernels[1][1]] * 2, name=deep)
    assert touching(both) == []
    title = "What excites the filters of layers[12].max_pool most"
    shown = exciting_images([(0, 1.0, [np.zeros((4, 4, 1), np.uint8)])], title=title, note="n" * 90)
    shown.draw_without_rendering()
    assert max(text.get_window_extent().x1 for text in shown.texts) < shown.bbox.width


def test_filters_of_zeros_are_drawn() -> None:
    assert png(filters(np.zeros((3, 3, 3, 2), np.float32)))


def test_a_tile_has_a_block_of_pixels_for_each_value() -> None:
    maps = np.array([[[-1.0, 1.0], [0.0, 0.0]], [[0.0, 0.5], [0.0, 0.0]]])  # (h, w, n)
    sheet = tiles(maps, side=8, gap=2, across=2, limit=1.0, frame=False)
    assert sheet.shape == (8, 18, 3)
    blue, red, white = sheet[1, 1], sheet[1, 11], sheet[6, 6]
    assert blue[2] > 0.3 > blue[0]
    assert red[0] > 0.3 > red[2]
    np.testing.assert_allclose(white, 1, atol=0.04)
    np.testing.assert_array_equal(sheet[:4, :4], np.broadcast_to(blue, (4, 4, 3)))
    np.testing.assert_array_equal(sheet[:, 8:10], np.ones((8, 2, 3)))


@pytest.mark.parametrize(("size", "expected"), [(2, [[2.5, 4.5], [10.5, 12.5]]), (8, None)])
def test_a_picture_is_made_smaller_by_means_and_larger_by_repetition(size: int, expected: Any) -> None:
    picture = np.arange(16.0).reshape(4, 4)
    found = resized(picture, size, size)
    np.testing.assert_array_equal(found, np.kron(picture, np.ones((2, 2))) if expected is None else expected)


CLASSES = ("airplane", "a photograph of a long-haired dachshund", "猫", *(f"class {n}" for n in range(3, 40)))


def answered(shape: tuple[int, ...], count: int = 2) -> list[Answered]:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, *shape), dtype=np.uint8)
    shares = rng.dirichlet(np.full(len(CLASSES), 0.1), count)
    shares[1:, 1] = 0
    truths = [int(shares[0].argmax()), 1, None]
    return [Answered(images[n], f"#{n}", truths[n % 3], shares[n]) for n in range(count)]


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3), (20, 60, 3), (40, 1)])
@pytest.mark.parametrize("count", [1, 2, 3])
def test_probabilities_stand_beside_images_without_overlap(shape: tuple[int, ...], count: int) -> None:
    given = answered(shape, count)
    sheet = class_probabilities(given, CLASSES)
    assert png(sheet)
    assert touching(sheet) == []
    said = [one.text for one in sheet.texts]
    assert said[0].startswith("right: ")
    rows = 2 + 2 * 10  # a verdict and a name, and ten bars with a name and a share
    if count > 1:
        assert said[rows].startswith("wrong: ")
        assert "; it is a photogr" in said[rows]
        names = said[rows + 2 : 2 * rows : 2]
        assert len(names) == 10
        assert any(name.startswith("a photogr") for name in names), "the true class always has a bar"
    # The bars of the first example, from top to bottom: as long as its shares, the first in the colour of a right one.
    beside = [one.box for one in sheet.texts[3:rows:2]]
    bars = [round(left) for left, *_ in beside]
    expected = np.sort(given[0].probabilities)[::-1][:10] * 2.0 * DPI
    np.testing.assert_allclose(np.diff([*bars[::-1]]), np.diff(expected[::-1]), atol=3)
    _, top, _, bottom = beside[0]
    colours = {tuple(colour) for colour in sheet.pixels[round((top + bottom) / 2), : sheet.size[0] // count].tolist()}
    assert tuple(bytes.fromhex(RIGHT[1:])) in colours
    assert tuple(bytes.fromhex(WRONG[1:])) not in colours


@pytest.mark.parametrize(
    ("words", "last"), [("good", "good"), ("very " * 200 + "good", "…"), ("w" * 300 + " 这部电影 $5", "这部电影 $5")]
)
def test_probabilities_stand_beside_texts_as_far_as_there_is_room(words: str, last: str) -> None:
    given = [one._replace(text=words, image=np.zeros((9, 1), np.int32)) for one in answered((1, 1, 1))]
    sheet = class_probabilities(given, CLASSES)
    assert png(sheet)
    assert touching(sheet) == []
    rows = len(sheet.texts) // 2
    lines = [one for one in sheet.texts[2:rows] if one.box[0] < 100]
    assert lines[0].text.startswith(words[:4])
    assert lines[-1].text == last


def test_the_maps_of_layers_of_any_shape_have_rows() -> None:
    rng = np.random.default_rng(0)
    shapes = [(28, 28, 6), (14, 30, 20), (1, 1, 3), (230, 230, 2), (120,), (4096,), (16, 5)]
    layers = [LayerMaps(f"layers[{n}]", rng.normal(size=(2, *shape))) for n, shape in enumerate(shapes)]
    sheet = feature_maps(answered((28, 28, 1)), CLASSES, layers)
    said = [one.text for one in sheet.texts]
    assert {"layers[3]", "28×28×1"} <= set(said)
    assert any(text.startswith("14×30×20, up to ") for text in said)
    assert said[-1].endswith("; the first 12 channels")
    assert png(sheet)
    assert touching(sheet) == []


def touching(sheet: Sheet) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes share pixels, and texts that are not wholly on the sheet."""
    width, height = sheet.size
    outside = [("", text) for text, (x0, y0, x1, y1) in sheet.texts if x0 < 0 or y0 < 0 or x1 > width or y1 > height]
    pairs = [(one, other) for n, one in enumerate(sheet.texts) for other in sheet.texts[n + 1 :]]
    return outside + [
        (one.text, other.text)
        for one, other in pairs
        if min(one.box[2], other.box[2]) - max(one.box[0], other.box[0]) > 1
        and min(one.box[3], other.box[3]) - max(one.box[1], other.box[1]) > 1
    ]


def test_the_colours_of_values_are_matplotlibs() -> None:
    values = np.linspace(-1.2, 1.2, 1001)
    theirs = colormaps["RdBu_r"](0.5 + np.clip(values, -1, 1) / 2)[..., :3]
    np.testing.assert_allclose(coloured(values, 1.0), theirs, atol=0.006)


def test_plain_texts_have_all_their_characters_in_matplotlibs_own_font() -> None:
    known = set(FT2Font(str(Path(get_data_path(), "fonts/ttf/DejaVuSans.ttf"))).get_charmap())
    bold = set(FT2Font(str(Path(get_data_path(), "fonts/ttf/DejaVuSans-Bold.ttf"))).get_charmap())
    plain = {point for point in range(0x20, 0xD800) if is_plain(chr(point))}
    assert len(plain) > 650
    assert plain <= known & bold
    assert not any(map(is_plain, ("猫", "قطة", "\n", "\x00", "\udce9", "🚀")))


def test_a_text_of_a_sheet_is_as_large_as_matplotlibs() -> None:
    sheet = Sheet(4, 1)
    sheet.write(0.5, 0.5, "layers[0].conv: 28×28×6", 10, bold=True)
    ours = np.argwhere(sheet.pixels.min(axis=-1) < 128)
    figure = Figure(figsize=(4, 1))
    figure.text(0.5 / 4, 0.5, "layers[0].conv: 28×28×6", fontsize=10, fontweight="bold", va="center")
    theirs = np.argwhere(np.asarray(Image.open(io.BytesIO(png(figure))).convert("RGB")).min(axis=-1) < 128)
    np.testing.assert_allclose(ours.min(axis=0), theirs.min(axis=0), atol=5)
    np.testing.assert_allclose(np.ptp(ours, axis=0), np.ptp(theirs, axis=0), atol=5)


def test_other_scripts_are_drawn_into_a_sheet_by_matplotlib() -> None:
    sheet = Sheet(2, 0.5)
    sheet.write(0.1, 0.25, "$5 é ∅", 9, colour=RIGHT)  # the last sign is not among the plain ones
    [(text, (left, top, right, bottom))] = sheet.texts
    assert text == "$5 é ∅"
    inked = np.argwhere(sheet.pixels.min(axis=-1) < 200)
    assert len(inked) > 50
    assert top <= inked[:, 0].min()
    assert inked[:, 0].max() < bottom
    assert left <= inked[:, 1].min()
    assert inked[:, 1].max() < right


def test_a_sheet_is_the_same_every_time() -> None:
    kernel = np.random.default_rng(0).normal(size=(5, 5, 1, 6))
    assert png(filters(kernel)) == png(filters(kernel))


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
