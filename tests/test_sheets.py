"""Sheets are read back from their texts and their pixels; how they look was judged by eye."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from configurations import experiment
from matplotlib import colormaps, get_data_path
from matplotlib.figure import Figure
from matplotlib.ft2font import FT2Font
from PIL import Image

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
from runner.figures.excitation import exciting_images, made_images
from runner.figures.filters import every_filter
from runner.figures.sheet import DPI, Sheet
from runner.figures.style import RIGHT, WRONG, is_plain, short_place


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
    image = np.zeros((4, 4, 1), np.uint8)
    assert touching(exciting_images([(0, 1.0, [image])], title=title, note="n" * 90)) == []
    assert touching(made_images([(0, 1.0, image)], title=title, note="W" * 90)) == []


def test_the_filters_of_many_convolutions_stand_in_two_columns() -> None:
    network = experiment("model=googlenet").network((224, 224, 3), 10)
    kernels = [(printed(network, path), np.ones(shape)) for path, shape in network.kernels().items()]
    sheet = every_filter(kernels)
    assert len(kernels) == 57
    assert touching(sheet) == []
    assert max(sheet.size) < 2400
    places = [(left, top) for _, (left, top, _, _) in sheet.texts[2::2]]
    assert places == sorted(places), "the second column goes on after the first"
    assert png(every_filter(kernels[:25]))


def test_made_images_stand_below_the_number_and_the_response_of_their_filter() -> None:
    rows = [(3 * place, 0.0 if place == 8 else 1.5, np.full((20, 10, 3), 0.1 * place)) for place in range(9)]
    sheet = made_images(rows, title="made", note="note")
    assert touching(sheet) == []
    assert [one.text for one in sheet.texts[2:]][:2] == ["filter 0: 1.5", "filter 3: 1.5"]
    assert sheet.texts[-1].text == "filter 24: 0"  # it answered to nothing


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
