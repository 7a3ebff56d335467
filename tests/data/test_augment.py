"""Augmentations against NumPy, SciPy and Pillow, and what each must leave alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.ndimage
import scipy.stats
from PIL import Image, ImageEnhance
from pydantic import ValidationError

from runner.data import Augment, warp
from runner.data.draws import random_box, symmetric_beta
from runner.errors import ConfigError

KEY = jax.random.key(7)
N, H, W, C = 32, 10, 12, 3
EVERY = {
    "random_crop": {"padding": 2},
    "horizontal_flip": {"probability": 0.5},
    "affine": {"degrees": 20.0, "translate": 0.1, "scale": 0.2, "shear": 10.0},
    "elastic": {"alpha": 8.0, "sigma": 3.0},
    "brightness": {"strength": 0.3},
    "contrast": {"strength": 0.3},
    "cutout": {"size": 4.0, "fill": 0.5},
    "mixup": {"alpha": 0.4},
    "cutmix": {"alpha": 1.0},
}


@pytest.fixture(scope="module")
def images():
    return jnp.asarray(np.random.default_rng(0).uniform(0.05, 1, (N, H, W, C)).astype(np.float32))


@pytest.fixture(scope="module")
def targets():
    return jax.nn.one_hot(jnp.arange(N) % 4, 4)


def augment(**parts):
    return Augment.model_validate(parts)


@jax.jit
def applied(augment, images, targets, key=KEY):
    return augment.apply(images, targets, key=key)


def changed(images, **parts):
    return np.asarray(applied(augment(**parts), images, jnp.zeros((len(images), 4)))[0])


def test_nothing_configured_changes_nothing(images, targets):
    after, labels = Augment().apply(images, targets, key=KEY)
    assert after is images
    assert labels is targets


@pytest.mark.parametrize("name", EVERY)
def test_each_part_changes_images_keeps_the_range_and_follows_its_key(images, targets, name):
    part = augment(**{name: EVERY[name]})
    after, labels = applied(part, images, targets)
    again, _ = applied(part, images, targets)
    other, _ = applied(part, images, targets, jax.random.key(8))
    assert after.shape == images.shape
    assert after.dtype == labels.dtype == jnp.float32
    assert float(jnp.abs(after - images).max()) > 0.01
    assert float(after.min()) >= 0
    assert float(after.max()) <= 1 + 1e-5
    np.testing.assert_array_equal(after, again)
    assert not np.array_equal(after, other)
    np.testing.assert_allclose(labels.sum(axis=1), 1, atol=1e-6)
    if name not in ("mixup", "cutmix"):
        np.testing.assert_array_equal(labels, targets)


def test_a_part_does_not_change_the_draws_of_the_others(images):
    # Flipped images are the same ones with and without a covered square.
    plain = changed(images, horizontal_flip={})
    covered = changed(images, horizontal_flip={}, cutout={"size": 3.0})
    assert ((covered == plain) | (covered == 0)).all()


def test_a_changed_strength_does_not_recompile(images, targets):
    traced = []

    def apply(augment):
        traced.append(augment)
        return augment.apply(images, targets, key=KEY)

    compiled = jax.jit(apply)
    compiled(augment(**EVERY))
    stronger = {name: {field: value * 1.1 for field, value in part.items()} for name, part in EVERY.items()}
    stronger["random_crop"] = EVERY["random_crop"]
    compiled(augment(**stronger))
    assert len(traced) == 1


@pytest.mark.slow
def test_strengths_may_be_mapped_over(images, targets):
    # A sweep over strengths shares one program: each member gets what it gets alone.
    members = [augment(**EVERY), augment(**EVERY | {"affine": {"degrees": 5.0}, "mixup": {"alpha": 1.0}})]
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf, jnp.float32) for leaf in leaves]), *members)
    together = jax.jit(jax.vmap(lambda member: member.apply(images, targets, key=KEY)))(stacked)
    for place, member in enumerate(members):
        alone = applied(member, images, targets)
        np.testing.assert_allclose(together[0][place], alone[0], atol=2e-5)
        np.testing.assert_allclose(together[1][place], alone[1], atol=2e-6)


def test_a_crop_is_a_window_of_the_padded_image(images):
    cropped = changed(images, random_crop={"padding": 2})
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)))
    shifts = set()
    for image, whole in zip(cropped, padded, strict=True):
        windows = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(image, whole[top : top + H, left : left + W])
        ]
        assert len(windows) == 1
        shifts.update(windows)
    assert len(shifts) > 10


@pytest.mark.parametrize(("mode", "numpys"), [("reflect", "reflect"), ("replicate", "edge")])
def test_padding_can_repeat_the_image(images, mode, numpys):
    cropped = changed(images, random_crop={"padding": 2, "padding_mode": mode})
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), mode=numpys)
    for image, whole in zip(cropped, padded, strict=True):
        assert any(
            np.array_equal(image, whole[top : top + H, left : left + W]) for top in range(5) for left in range(5)
        )


def test_flips_have_the_stated_probability(images):
    np.testing.assert_array_equal(changed(images, horizontal_flip={"probability": 1.0}), images[:, :, ::-1])
    np.testing.assert_array_equal(changed(images, horizontal_flip={"probability": 0.0}), images)
    many = jnp.tile(images, (32, 1, 1, 1))
    flipped = (changed(many, horizontal_flip={"probability": 0.25}) != many).any(axis=(1, 2, 3)).mean()
    assert flipped == pytest.approx(0.25, abs=0.05)


def still(n, **changes):
    amounts = {"angle": 0.0, "shear": 0.0, "scale": 1.0, "down": 0.0, "right": 0.0} | changes
    return {name: jnp.full((n,), value, jnp.float32) for name, value in amounts.items()}


def warped(images, **changes):
    return warp.look_up(images, warp.affine(warp.grid(images.shape), **still(len(images), **changes)))


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_are_those_of_numpy(quarters):
    square = jnp.asarray(np.random.default_rng(1).uniform(size=(2, 9, 9, 3)).astype(np.float32))
    turned = warped(square, angle=quarters * np.pi / 2)
    np.testing.assert_allclose(turned, np.rot90(square, quarters, axes=(1, 2)), atol=1e-5)


def test_shifts_move_zeros_in(images):
    moved = warped(images, down=2.0, right=-3.0)
    expected = np.zeros_like(images)
    expected[:, 2:, :-3] = images[:, :-2, 3:]
    np.testing.assert_allclose(moved, expected, atol=1e-6)


def test_an_affine_warp_is_that_of_scipy(images):
    angle, shear, scale, down, right = 0.3, 0.2, 1.3, 0.7, -1.6
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # rows, columns
    slant = np.array([[1, 0], [np.tan(shear), 1]])
    backward = np.linalg.inv(scale * turn @ slant)
    middle = np.array([(H - 1) / 2, (W - 1) / 2])
    offset = middle - backward @ (middle + np.array([down, right]))
    expected = [
        scipy.ndimage.affine_transform(np.asarray(images[0, :, :, c]), backward, offset, order=1, mode="grid-constant")
        for c in range(C)
    ]
    found = warped(images, angle=angle, shear=shear, scale=scale, down=down, right=right)[0]
    np.testing.assert_allclose(found, np.stack(expected, axis=-1), atol=1e-5)


def test_rotations_have_the_direction_of_pillow():
    image = np.zeros((9, 9), np.float32)
    image[1, 4], image[4, 7] = 1.0, 0.5
    turned = np.asarray(Image.fromarray(image).rotate(90))
    np.testing.assert_allclose(
        warped(jnp.asarray(image).reshape(1, 9, 9, 1), angle=np.pi / 2)[0, :, :, 0], turned, atol=1e-5
    )


def test_affine_draws_stay_within_their_bounds():
    dot = jnp.zeros((400, 21, 21, 1)).at[:, 10, 10].set(1.0)
    moved = changed(dot, affine={"translate": 0.2})[..., 0]
    rows, columns = (np.tensordot(moved, grid, axes=2) for grid in np.indices((21, 21)))
    for place in (rows, columns):
        assert 5.7 < place.min() < 6.5
        assert 13.5 < place.max() < 14.3


def test_smoothing_is_the_gaussian_of_scipy():
    noise = np.random.default_rng(2).uniform(-1, 1, (2, 28, 20)).astype(np.float32)
    for sigma in (1.0, 4.0):
        expected = scipy.ndimage.gaussian_filter(noise, (0, sigma, sigma), mode="constant", truncate=8)
        np.testing.assert_allclose(warp.smoothed(jnp.asarray(noise), sigma), expected, atol=1e-5)


def test_elastic_displacements_match_simards_field():
    # Noise of variance ⅓ under a Gaussian has a deviation of 1/(2σ√(3π)): 1.38 pixels for α 34 and σ 4.
    ramp = jnp.broadcast_to(jnp.arange(64.0).reshape(1, 1, 64, 1) / 64, (16, 64, 64, 1))
    moved = (changed(ramp, elastic={}) - np.asarray(ramp))[:, 16:-16, 16:-16] * 64
    assert moved.std() == pytest.approx(34 / (2 * 4 * np.sqrt(3 * np.pi)), rel=0.1)


def factors(images, after):
    return np.median((after / np.asarray(images)).reshape(N, -1), axis=1)


@pytest.mark.parametrize(
    ("name", "enhance"), [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast)]
)
def test_tone_is_that_of_pillow(images, name, enhance):
    pixels = np.rint(np.asarray(images) * 255).astype(np.uint8)
    after = changed(jnp.asarray(pixels / np.float32(255)), **{name: {"strength": 0.5}})
    for image, found in zip(pixels, after, strict=True):
        enhancer = enhance(Image.fromarray(image))
        # The factor that was drawn, from the best of a fine grid.
        errors = {
            factor: np.abs(np.asarray(enhancer.enhance(factor), float) / 255 - found).max()
            for factor in np.linspace(0.5, 1.5, 201)
        }
        assert min(errors.values()) < 3.5 / 255


def test_cutout_covers_a_square(images):
    covered = changed(jnp.tile(images, (8, 1, 1, 1)), cutout={"size": 4.0, "fill": 0.0})[..., 0] == 0
    sides = np.stack([covered.any(axis=2).sum(axis=1), covered.any(axis=1).sum(axis=1)])
    np.testing.assert_array_equal(covered.sum(axis=(1, 2)), sides.prod(axis=0))  # nothing but a rectangle
    assert sides.max() == 4
    assert sides.min() == 2  # the middle is a pixel of the image, so half the square at least is inside
    assert (sides == 4).all(axis=0).mean() == pytest.approx(7 * 9 / (H * W), abs=0.1)
    filled = changed(images, cutout={"size": 100.0, "fill": 0.25})
    np.testing.assert_array_equal(filled, np.full_like(filled, 0.25))


def test_a_box_may_lie_anywhere():
    side = jnp.full((5000,), 3.0)
    inside = np.asarray(random_box((5000, 6, 6, 1), side, side, KEY))[..., 0]
    starts = inside.any(axis=2).argmax(axis=1)
    assert set(starts) == {0, 1, 2, 3, 4}
    assert inside.mean(axis=0)[2:4, 2:4] == pytest.approx(9 / 36, abs=0.03)


def test_mixup_averages_images_and_targets_alike(images, targets):
    after, labels = (np.asarray(value) for value in applied(augment(mixup={"alpha": 1.0}), images, targets))
    # Neighbours differ in class, so a target tells the weight of its image.
    weight = np.take_along_axis(labels, np.arange(N)[:, None] % 4, axis=1).reshape(N, 1, 1, 1)
    np.testing.assert_allclose(after, weight * images + (1 - weight) * np.roll(images, 1, axis=0), atol=1e-5)
    assert weight.std() > 0.1


def test_cutmix_weighs_targets_by_area(images, targets):
    after, labels = (np.asarray(value) for value in applied(augment(cutmix={"alpha": 1.0}), images, targets))
    own = (after == np.asarray(images)).all(axis=-1)
    other = (after == np.roll(images, 2, axis=0)).all(axis=-1)
    assert (own ^ other).all()
    share = np.take_along_axis(labels, np.arange(N)[:, None] % 4, axis=1)[:, 0]
    np.testing.assert_allclose(share, own.mean(axis=(1, 2)), atol=1e-6)
    np.testing.assert_allclose(
        np.take_along_axis(labels, (np.arange(N)[:, None] + 2) % 4, axis=1)[:, 0], 1 - share, atol=1e-6
    )


@pytest.mark.parametrize("alpha", [0.1, 0.2, 0.5, 1.0, 4.0, 50.0])
def test_the_closed_form_is_the_beta_distribution(alpha):
    draws = np.asarray(symmetric_beta(KEY, alpha, 20_000), np.float64)
    assert ((draws >= 0) & (draws <= 1)).all()
    # Between the ends, where floats are fine enough for what is left of 20,000 draws.
    places = np.linspace(0.001, 0.999, 99)
    found = (draws[:, None] <= places).mean(axis=0)
    np.testing.assert_allclose(found, scipy.stats.beta.cdf(places, alpha, alpha), atol=0.015)


def test_one_dimensional_inputs_allow_some_parts_only(targets):
    signals = jnp.asarray(np.random.default_rng(0).uniform(size=(N, 30, 1)).astype(np.float32))
    part = augment(brightness={"strength": 0.2}, contrast={"strength": 0.2}, mixup={"alpha": 1.0})
    assert applied(part, signals, targets)[0].shape == signals.shape
    with pytest.raises(ConfigError) as caught:
        augment(random_crop={"padding": 2}, cutmix={"alpha": 1.0}).apply(signals, targets, key=KEY)
    assert str(caught.value) == (
        "augment.random_crop: must be null for one-dimensional input, got {padding: 2, padding_mode: zeros}\n"
        "augment.cutmix: must be null for one-dimensional input, got {alpha: 1.0}"
    )


def test_strengths_are_traced_and_structure_is_not():
    traced = jax.tree.leaves(augment(**EVERY))
    assert len(traced) == 1 + 4 + 2 + 1 + 1 + 2 + 1 + 1
    assert jax.tree.structure(augment(random_crop={"padding": 2})) != jax.tree.structure(
        augment(random_crop={"padding": 3})
    )


def test_impossible_strengths_are_refused():
    with pytest.raises(ValidationError) as caught:
        augment(
            random_crop={"padding": 0},
            horizontal_flip={"probability": 1.5},
            affine={"scale": 1.0, "degrees": -1.0, "rotate": 3},
            elastic={"sigma": 0.5},
            mixup={},
        )
    assert {".".join(map(str, fault["loc"])) for fault in caught.value.errors()} == {
        "random_crop.padding",
        "horizontal_flip.probability",
        "affine.degrees",
        "affine.scale",
        "affine.rotate",
        "elastic.sigma",
        "mixup.alpha",
    }
