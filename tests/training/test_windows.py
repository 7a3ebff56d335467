"""Windows cut out of image files: as torchvision draws them and Pillow resizes them, the same at every start."""

import io
import itertools
import math
import random
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from configurations import begun, tiny
from PIL import Image

from runner import data
from runner.data.pixels import window_of
from runner.data.windows import Windows
from runner.errors import DataError
from runner.training.alone import Training

SIZE = "data.image={height: 16, width: 14, channels: 3}"
ORIGINAL = "augment.random_resized_crop={original: true}"
INPUT = "model.input={height: 12, width: 10, fit: crop}"


@pytest.fixture
def photographs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of 60 JPEGs of varying sizes."""
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
    draw, root = np.random.default_rng(0), tmp_path / "photographs"
    for label, top in (("dark", 120), ("light", 255)):
        (root / label).mkdir(parents=True)
        for number in range(60):
            pixels = draw.integers(0, top, (24 + number % 5, 31 + number % 3, 3), np.uint8)
            Image.fromarray(pixels).save(root / label / f"{number:03}.jpg")
    return root


def settings(root: Path, *others: str) -> tuple[str, ...]:
    return ("data=folder", f"data.root={root}", SIZE, INPUT, ORIGINAL, "data.limit=null", *others)


def planned(root: Path, *others: str) -> Training:
    experiment = tiny(*settings(root, *others))
    return begun(experiment, data.load(experiment.source))


def windows(**changes: Any) -> Windows:
    return Windows(**{"seed": 0, "epoch": 0, "size": (12, 10), "least_area": 0.08, "ratio": 4 / 3} | changes)


def by_torchvision(draw: random.Random, height: int, width: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom as torchvision 0.23's RandomResizedCrop.get_params draws them."""
    for _ in range(10):
        area = height * width * draw.uniform(0.08, 1)
        ratio = math.exp(draw.uniform(math.log(3 / 4), math.log(4 / 3)))
        w, h = round(math.sqrt(area * ratio)), round(math.sqrt(area / ratio))
        if 0 < w <= width and 0 < h <= height:
            top, left = draw.randint(0, height - h), draw.randint(0, width - w)
            return left, top, left + w, top + h
    if width / height < 3 / 4:
        w, h = width, round(width / (3 / 4))
    elif width / height > 4 / 3:
        h, w = height, round(height * (4 / 3))
    else:
        w, h = width, height
    top, left = (height - h) // 2, (width - w) // 2
    return left, top, left + w, top + h


def test_windows_are_distributed_as_torchvision_s() -> None:
    height, width, count = 375, 500, 4000
    draw, own = random.Random(0), windows()
    theirs = np.array([by_torchvision(draw, height, width) for _ in range(count)])
    ours = np.array([own.at(place, (height, width)) for place in range(count)])
    assert (ours >= 0).all()
    assert (ours[:, 2] <= width).all()
    assert (ours[:, 3] <= height).all()
    sides = [boxes[:, 2:] - boxes[:, :2] for boxes in (ours, theirs)]
    places = [(boxes[:, :2] / (width, height)).T for boxes in (ours, theirs)]
    measured = [
        [side.prod(axis=1) / (height * width), np.log(side[:, 0] / side[:, 1]), *place]
        for side, place in zip(sides, places, strict=True)
    ]
    for one, other in zip(*measured, strict=True):
        np.testing.assert_allclose(*(np.quantile(found, np.arange(1, 20) / 20) for found in (one, other)), atol=0.03)


@pytest.mark.parametrize("shape", [(10, 400), (400, 10), (1, 1), (1, 30)])
def test_where_no_draw_fits_the_window_is_torchvision_s_in_the_middle(shape: tuple[int, int]) -> None:
    draw, own = random.Random(1), windows(ratio=4 / 3, least_area=0.9)
    assert {own.at(place, shape) for place in range(20)} == {by_torchvision(draw, *shape)}


def test_a_window_hangs_on_its_seed_epoch_and_place_alone() -> None:
    boxes = [
        windows(seed=seed, epoch=epoch).at(place, (300, 200))
        for seed, epoch, place in itertools.product((0, 1), (0, 1), (0, 1, 2**20))
    ]
    assert len(set(boxes)) == len(boxes)
    assert boxes[5] == windows(seed=0, epoch=1).at(2**20, (300, 200))
    assert windows().at(5, (375, 500)) == (35, 25, 474, 368), "runs that were begun go on with the same windows"


def opened(image: Image.Image, kind: str, **how: Any) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, **how)
    return Image.open(io.BytesIO(file.getvalue()))


def test_windows_are_pillow_s_boxes() -> None:
    draw = np.random.default_rng(3)
    whole = Image.fromarray(draw.integers(0, 256, (61, 83, 3), np.uint8))
    box = (7, 12, 60, 51)
    found = window_of(opened(whole, "PNG"), (20, 30, 3), lambda shape: box)
    np.testing.assert_array_equal(found, np.asarray(whole.resize((30, 20), Image.Resampling.BILINEAR, box=box)))
    grey = window_of(opened(whole, "PNG"), (20, 30, 1), lambda shape: box)[..., 0]
    np.testing.assert_array_equal(grey, whole.convert("L").resize((30, 20), Image.Resampling.BILINEAR, box=box))


def test_windows_are_those_of_upright_images() -> None:
    turned = Image.Exif()
    turned[274] = 6
    smooth = Image.fromarray(np.random.default_rng(4).integers(0, 256, (5, 8, 3), np.uint8)).resize((80, 50))
    shapes, box = list[tuple[int, int]](), (5, 20, 45, 70)

    def choose(shape: tuple[int, int]) -> tuple[int, int, int, int]:
        shapes.append(shape)
        return box

    found = window_of(opened(smooth, "JPEG", exif=turned, quality=95), (20, 16, 3), choose)
    assert shapes == [(80, 50)]
    upright = opened(smooth, "JPEG", quality=95).transpose(Image.Transpose.ROTATE_270)
    expected = upright.resize((16, 20), Image.Resampling.BILINEAR, box=box)
    np.testing.assert_array_equal(found, np.asarray(expected))


def test_a_large_window_is_decoded_at_a_part_of_its_size() -> None:
    smooth = Image.fromarray(np.random.default_rng(5).integers(0, 256, (6, 8, 3), np.uint8)).resize((803, 601))
    whole, box = opened(smooth, "JPEG", quality=95), (101, 50, 703, 599)
    found = window_of(whole, (64, 64, 3), lambda shape: box)
    assert whole.size == (201, 151), "a quarter"
    fully = opened(smooth, "JPEG", quality=95).convert("RGB")
    expected = np.asarray(fully.resize((64, 64), Image.Resampling.BILINEAR, box=box), int)
    assert np.abs(found - expected).max() <= 3


def test_a_network_trains_on_windows_of_the_files_and_is_judged_on_fitted_images(photographs: Path) -> None:
    training = planned(photographs)
    plan, own = training.plan, training.plan.dataset
    assert own.train.streamed
    order, feeder = plan.order(2), plan.feeder
    [chunk, *_] = feeder.chunks(order, 2, windows=plan.windows(2))
    images = np.asarray(chunk.feed.inputs)
    assert images.shape[1:] == (12, 10, 3)
    for place in range(3):
        with Image.open(photographs / own.train.files[order[place]]) as image:
            left, top, right, bottom = windows(epoch=1, ratio=1.3333).at(place, (image.height, image.width))
            box = left, top, right, bottom
            expected = image.resize((10, 12), Image.Resampling.BILINEAR, box=box)
        np.testing.assert_array_equal(images[place], np.asarray(expected))
    assert own.val.inputs.shape[1:] == (16, 14, 3), "resize to 16×14, and the network cuts out the middle 12×10"
    host = data.load(
        tiny(*settings(photographs, "augment.random_resized_crop.original=false", "data.residence=host")).source
    )
    np.testing.assert_array_equal(own.val.inputs[:], host.val.inputs)
    assert own.statistics == host.statistics


def test_windows_differ_between_epochs_and_not_between_starts(photographs: Path) -> None:
    plan = planned(photographs).plan
    feeder, order = plan.feeder, plan.order(1)
    feeder.steps = 1

    def images(epoch: int, start: int) -> list[np.ndarray]:
        found = feeder.chunks(order, 2, start=start, windows=plan.windows(epoch))
        return [np.asarray(chunk.feed.inputs) for chunk in found]

    first, rest, other = images(1, 0), images(1, 1), images(2, 0)
    np.testing.assert_array_equal(first[1], rest[0])
    assert (first[0] != other[0]).any(axis=(1, 2, 3)).mean() > 0.9
    feeder.steps = 2
    np.testing.assert_array_equal(images(1, 0)[0], np.concatenate(first))


def test_members_of_one_seed_share_windows(photographs: Path) -> None:
    plan = planned(photographs).plan
    order, own = plan.order(1), plan.windows(1)
    [alone, *_] = plan.feeder.chunks(order, 2, windows=own)
    [together, *_] = plan.feeder.chunks(np.stack([order, order]), 2, windows=own)
    for member in range(2):
        np.testing.assert_array_equal(together.feed.inputs[member], alone.feed.inputs)
        np.testing.assert_array_equal(together.feed.labels[member], alone.feed.labels)


def test_a_training_goes_on_with_the_same_windows(photographs: Path) -> None:
    whole = planned(photographs)
    whole.advance()
    snapshot = jax.tree.map(lambda leaf: leaf, whole.snapshot)
    whole.advance()
    resumed = Training(whole.plan, snapshot)
    resumed.advance()
    jax.tree.map(np.testing.assert_array_equal, resumed.learnt, whole.learnt)


@pytest.mark.parametrize("residence", ["device", "host"])
def test_images_that_are_kept_decoded_have_no_windows_of_files(photographs: Path, residence: str) -> None:
    with pytest.raises(
        DataError,
        match=r"^data\.residence: must be auto or stream where augment\.random_resized_crop\.original cuts windows out "
        rf"of the files, got {residence}$",
    ):
        planned(photographs, f"data.residence={residence}")


def test_images_without_files_have_no_windows_of_files() -> None:
    with pytest.raises(
        DataError,
        match=r"^augment\.random_resized_crop\.original: must be false for data other than image files of 8 bits, "
        r"got true$",
    ):
        data.load(tiny(ORIGINAL).source)
