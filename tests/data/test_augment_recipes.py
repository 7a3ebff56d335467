"""The augmentations of published recipes against Pillow, SciPy, colorsys and the published formulas."""

import colorsys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
from PIL import Image, ImageEnhance
from pydantic import ValidationError

from runner.data import Augment, warp
from runner.data.augment import RandomErasing, RandomResizedCrop
from runner.data.augment.tones import blurred, turned

KEY = jax.random.key(7)
N, SIDE = 24, 12
EVERY = {
    "vertical_flip": {},
    "quarter_turns": {},
    "random_resized_crop": {},
    "saturation": {"strength": 0.5},
    "hue": {"strength": 0.2},
    "lighting": {"strength": 0.3},
    "gaussian_blur": {"probability": 0.9},
    "gaussian_noise": {},
    "random_erasing": {"probability": 0.9},
}


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).uniform(0.05, 1, (N, SIDE, SIDE, 3)).astype(np.float32))


@jax.jit
def applied(augment, images, key=KEY):
    return augment.apply(images, jnp.zeros((len(images), 2)), key=key)[0]


def changed(images, **parts):
    return np.asarray(applied(Augment.model_validate(parts), images))


@pytest.mark.slow
def test_each_part_keeps_the_range_and_follows_its_key_and_its_strengths_need_no_other_program(images):
    traced = []

    def apply(augment, key):
        traced.append(augment)
        return augment.apply(images, jnp.zeros((N, 2)), key=key)[0]

    for name, part in EVERY.items():
        compiled, before = jax.jit(apply), len(traced)
        augment = Augment.model_validate({name: part})
        first, again, other = (np.asarray(compiled(augment, jax.random.key(seed))) for seed in (7, 7, 8))
        assert first.shape == images.shape, name
        assert first.dtype == np.float32
        assert first.min() >= 0, name
        assert first.max() <= 1 + 1e-5, name
        np.testing.assert_array_equal(first, again)
        assert not np.array_equal(first, other), name
        weaker = jax.tree.map(lambda leaf: leaf * 0.9, augment)
        assert jax.tree.leaves(augment), name
        assert not np.array_equal(compiled(weaker, KEY), first), name
        assert len(traced) == before + 1, name


def test_one_draw_is_that_of_the_part_alone(images):
    alone = changed(images, vertical_flip={})
    covered = changed(images, vertical_flip={}, random_erasing={"fill": "black"})
    assert ((covered == alone) | (covered == 0)).all()
    assert (covered != alone).any()


def test_vertical_flips_are_numpy_s(images):
    found = changed(images, vertical_flip={})
    flipped = [np.array_equal(after, before[::-1]) for after, before in zip(found, np.asarray(images), strict=True)]
    kept = [np.array_equal(after, before) for after, before in zip(found, np.asarray(images), strict=True)]
    assert all(one or other for one, other in zip(flipped, kept, strict=True))
    assert 0.2 < np.mean(flipped) < 0.8


def test_quarter_turns_are_numpy_s_and_equally_often():
    many = jnp.asarray(np.random.default_rng(1).uniform(size=(400, 4, 4, 1)).astype(np.float32))
    found = changed(many, quarter_turns={})
    turns = [
        next(quarters for quarters in range(4) if np.array_equal(after, np.rot90(before, quarters)))
        for after, before in zip(found, np.asarray(many), strict=True)
    ]
    assert min(np.bincount(turns, minlength=4)) > 70
    few = changed(many, quarter_turns={"probability": 0.2})
    assert np.mean([np.array_equal(one, other) for one, other in zip(few, np.asarray(many), strict=True)]) > 0.78


@pytest.mark.slow
def test_resized_windows_are_those_of_pillow():
    image = np.random.default_rng(2).uniform(size=(20, 26)).astype(np.float32)
    part = RandomResizedCrop()
    images = jnp.broadcast_to(image[None, :, :, None], (30, 20, 26, 1))
    top, left, height, width = (np.asarray(value).astype(int) for value in part.windows((30, 20, 26), key=KEY))
    found = warp.look_up(images, part.positions(warp.grid(images.shape), key=KEY))
    for place in range(30):
        window = image[top[place] : top[place] + height[place], left[place] : left[place] + width[place]]
        expected = Image.fromarray(window, mode="F").resize((26, 20), Image.Resampling.BILINEAR)
        np.testing.assert_allclose(found[place, ..., 0], np.asarray(expected), atol=1e-5)


def test_windows_have_the_areas_and_shapes_of_torchvision():
    top, left, height, width = (np.asarray(value) for value in RandomResizedCrop().windows((4000, 224, 224), key=KEY))
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 224).all()
    assert (left + width <= 224).all()
    share, ratio = height * width / 224**2, np.log(width / height)
    assert share.min() < 0.1
    assert np.abs(ratio).max() < np.log(4 / 3) + 0.05
    expected = np.array([by_torchvision(np.random.default_rng(seed), 224) for seed in range(4000)])
    shares = expected.prod(axis=1) / 224**2
    assert share.mean() == pytest.approx(shares.mean(), abs=0.02)
    np.testing.assert_allclose(np.quantile(share, [0.1, 0.5, 0.9]), np.quantile(shares, [0.1, 0.5, 0.9]), atol=0.03)
    assert ratio.mean() == pytest.approx(0, abs=0.02)


def by_torchvision(random, size):
    """The height and width that torchvision's RandomResizedCrop.get_params draws, for a square image."""
    for _ in range(10):
        area, ratio = size**2 * random.uniform(0.08, 1), np.exp(random.uniform(np.log(3 / 4), np.log(4 / 3)))
        width, height = round(np.sqrt(area * ratio)), round(np.sqrt(area / ratio))
        if 0 < width <= size and 0 < height <= size:
            return height, width
    return size, size


def test_what_is_turned_out_of_a_resized_window_is_black(images):
    whole = changed(images, random_resized_crop={"least_area": 1.0, "ratio": 1.0}, affine={"translate": 0.4})
    plain = changed(images, affine={"translate": 0.4})
    # A window of the whole image changes nothing but a rim of at most one pixel.
    assert np.mean(np.abs(whole - plain) > 1e-5) < 0.2
    assert ((whole == 0) | (plain > 0)).all()


def test_hues_are_those_of_colorsys(images):
    plain = [[0.4, 0.4, 0.4], [1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 0, 0]]
    colours = np.concatenate([np.asarray(images[0]).reshape(-1, 3), np.array(plain, np.float32)])
    turns = np.array([-0.5, -0.3, 0.0, 0.1, 0.25, 0.5], np.float32)
    batch = np.broadcast_to(colours[None, None], (6, 1, *colours.shape))
    found = np.asarray(jax.jit(turned)(batch, turns))
    for place, turn in enumerate(turns.tolist()):
        for after, before in zip(found[place, 0], colours, strict=True):
            hue, saturation, value = colorsys.rgb_to_hsv(*before.tolist())
            np.testing.assert_allclose(after, colorsys.hsv_to_rgb((hue + turn) % 1, saturation, value), atol=2e-6)


def test_saturation_is_that_of_pillow(images):
    bytes_ = np.asarray(images[:8] * 255).round().astype(np.uint8)
    inputs = jnp.asarray(bytes_ / np.float32(255))
    found = changed(inputs, saturation={"strength": 0.5})
    grey = np.asarray(inputs) @ np.array([0.299, 0.587, 0.114], np.float32)
    for place in range(8):
        distance = np.asarray(inputs[place]) - grey[place][..., None]
        inside = (found[place] > 0) & (found[place] < 1)
        strongest = np.unravel_index((np.abs(distance) * inside).argmax(), distance.shape)
        factor = float((found[place][strongest] - grey[place][strongest[:2]]) / distance[strongest])
        expected = ImageEnhance.Color(Image.fromarray(bytes_[place])).enhance(factor)
        np.testing.assert_allclose(found[place][inside], (np.asarray(expected) / 255)[inside], atol=2.5 / 255)


def test_lighting_adds_one_colour_of_the_published_covariance():
    grey = jnp.full((6000, 1, 1, 3), 0.5)
    added = changed(grey, lighting={})[:, 0, 0] - 0.5
    vectors = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])
    expected = vectors @ np.diag((0.1 * np.array([0.2175, 0.0188, 0.0045])) ** 2) @ vectors.T
    np.testing.assert_allclose(np.cov(added.T), expected, atol=3e-5)
    np.testing.assert_allclose(added.mean(axis=0), 0, atol=2e-3)
    two = changed(jnp.full((4, 3, 3, 3), 0.5), lighting={})
    assert np.ptp(two, axis=(1, 2)).max() == 0


def test_a_blur_is_the_gaussian_of_scipy(images):
    sigma = np.linspace(0.1, 2, 6).astype(np.float32)
    found = jax.jit(blurred, static_argnums=2)(images[:6], sigma, 9)
    for place, width in enumerate(sigma):
        taps = np.exp(-0.5 * (np.arange(-4, 5) / width) ** 2)
        expected = np.asarray(images[place], np.float64)
        for axis in (0, 1):
            expected = scipy.ndimage.correlate1d(expected, taps / taps.sum(), axis=axis, mode="mirror")
        np.testing.assert_allclose(found[place], expected, atol=1e-5)


def test_noise_has_its_deviation():
    grey = jnp.full((20, 30, 30, 1), 0.5)
    noise = changed(grey, gaussian_noise={"sigma": 0.05}) - 0.5
    assert noise.std() == pytest.approx(0.05, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=1e-3)


def test_erased_rectangles_have_the_areas_and_shapes_of_torchvision():
    white = jnp.ones((3000, 40, 40, 1))
    part = RandomErasing(fill="black")
    covered = 1 - np.asarray(jax.jit(lambda images: part.apply(images, key=KEY))(white))[..., 0]
    is_covered = covered.any(axis=(1, 2))
    assert is_covered.mean() == pytest.approx(0.5, abs=0.03)
    rows, columns = covered.any(axis=2).sum(axis=1)[is_covered], covered.any(axis=1).sum(axis=1)[is_covered]
    np.testing.assert_array_equal(rows * columns, covered.sum(axis=(1, 2))[is_covered])  # a whole rectangle
    share = rows * columns / 1600
    assert share.min() < 0.03
    assert share.max() == pytest.approx(0.33, abs=0.03)
    large = (rows > 4) & (columns > 4)
    assert np.abs(np.log(rows / columns))[large].max() < np.log(10 / 3) + 0.25
    noise = changed(jnp.ones((200, 20, 20, 3)), random_erasing={"probability": 1.0})
    values = noise[noise < 1]
    assert values.mean() == pytest.approx(0.5, abs=0.02)


def test_grey_images_have_no_colours_to_change(images):
    grey = images[..., :1]
    np.testing.assert_array_equal(changed(grey, saturation={"strength": 1.0}, hue={"strength": 0.5}, lighting={}), grey)


def test_what_does_not_fit_the_images_is_said():
    augment = Augment.model_validate({"quarter_turns": {}, "hue": {"strength": 0.1}, "gaussian_blur": {"size": 31}})
    assert [str(fault) for fault in augment.faults((12, 10, 2))] == [
        "augment.quarter_turns: must be null for images that are not square, got 12×10",
        "augment.gaussian_blur.size: must be less than twice the smaller side of the image (10), got 31",
        "augment.hue: must be null for images that are neither grey nor of three colours, got 2 channels",
    ]
    assert augment.model_copy(update={"gaussian_blur": None}).faults((12, 12, 3)) == []
    with pytest.raises(ValidationError, match=r"must have a least_area of at most most_area \(0.1\), got 0.5"):
        Augment.model_validate({"random_erasing": {"least_area": 0.5, "most_area": 0.1}})
    with pytest.raises(ValidationError, match="must be odd, got 4"):
        Augment.model_validate({"gaussian_blur": {"size": 4}})
