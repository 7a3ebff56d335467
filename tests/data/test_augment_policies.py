"""TrivialAugment and RandAugment: each operation against Pillow, and the draws against torchvision's tables."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from runner.data import Augment
from runner.data.augment import RandAugment, TrivialAugment
from runner.data.augment.operations import NAMES, operated

KEY = jax.random.key(7)
SIDES = (33, 40)
APPLIED = jax.jit(operated)
STRENGTHS = 9  # images of each operation, from its weakest to its strongest change
AFFINE = Image.Transform.AFFINE


def pictures():
    """Smooth colours with some noise: uint8 (9, 33, 40, 3)."""
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIDES[0], : SIDES[1]]
    waves = [np.sin(rows / (3 + n) + c) * np.cos(columns / 5 + n) for n in range(STRENGTHS) for c in range(3)]
    waves = np.stack(waves).reshape(STRENGTHS, 3, *SIDES).transpose(0, 2, 3, 1)
    return np.clip(110 + 80 * waves + random.normal(0, 12, waves.shape), 0, 255).astype(np.uint8)


def transformed(image, *numbers):
    return image.transform(image.size, AFFINE, numbers, Image.Resampling.NEAREST)


PILLOW = {
    "identity": lambda image, _: image,
    "shear_x": lambda image, v: transformed(image, 1, v, 0, 0, 1, 0),
    "shear_y": lambda image, v: transformed(image, 1, 0, 0, v, 1, 0),
    "translate_x": lambda image, v: transformed(image, 1, 0, -v, 0, 1, 0),
    "translate_y": lambda image, v: transformed(image, 1, 0, 0, 0, 1, -v),
    "rotate": lambda image, v: image.rotate(v),
    "brightness": lambda image, v: ImageEnhance.Brightness(image).enhance(1 + v),
    "color": lambda image, v: ImageEnhance.Color(image).enhance(1 + v),
    "contrast": lambda image, v: ImageEnhance.Contrast(image).enhance(1 + v),
    "sharpness": lambda image, v: ImageEnhance.Sharpness(image).enhance(1 + v),
    "posterize": lambda image, v: ImageOps.posterize(image, int(v)),
    "solarize": lambda image, v: ImageOps.solarize(image, v),
    "autocontrast": lambda image, _: ImageOps.autocontrast(image),
    "equalize": lambda image, _: ImageOps.equalize(image),
}
AMOUNTS = {
    "shear_x": (-0.99, 0.99),
    "shear_y": (-0.99, 0.99),
    "translate_x": (-32, 32),
    "translate_y": (-32, 32),
    "rotate": (-135, 135),
    "brightness": (-0.99, 0.99),
    "color": (-0.99, 0.99),
    "contrast": (-0.99, 0.99),
    "sharpness": (-0.99, 0.99),
    "posterize": (8, 1),
    "solarize": (255, 0),
}
MOVES = {"shear_x", "shear_y", "translate_x", "translate_y", "rotate"}
# Pillow rounds to bytes in between: the grey and the smoothed image, and then the result.
LEVELS_OFF = {"color": 2.0, "contrast": 1.5, "sharpness": 2.0, "brightness": 1.0, "autocontrast": 1.0}


def amounts(name):
    found = np.linspace(*AMOUNTS.get(name, (0, 0)), STRENGTHS)
    return np.trunc(found) if name in ("translate_x", "translate_y", "posterize") else found


@pytest.fixture(scope="module")
def changed():
    """Each operation on each picture in one call: float (14, 9, 33, 40, 3) levels."""
    images = np.tile(pictures(), (len(NAMES), 1, 1, 1)) / np.float32(255)
    numbers, values = np.repeat(np.arange(len(NAMES)), STRENGTHS), np.concatenate([amounts(name) for name in NAMES])
    found = APPLIED(jnp.asarray(images), jnp.asarray(numbers), jnp.asarray(values, jnp.float32))
    return np.asarray(found).reshape(len(NAMES), STRENGTHS, *SIDES, 3) * 255


@pytest.mark.parametrize("name", NAMES)
def test_an_operation_is_that_of_pillow(changed, name):
    found = changed[NAMES.index(name)]
    for image, value, after in zip(pictures(), amounts(name).tolist(), found, strict=True):
        expected = np.asarray(PILLOW[name](Image.fromarray(image), value), np.float64)
        if name in MOVES:  # Pillow computes places in fixed point: a few borders between pixels round differently
            assert np.mean(np.abs(after - expected).max(axis=-1) > 0.01) < 0.003, value
        else:
            np.testing.assert_allclose(after, expected, atol=LEVELS_OFF.get(name, 0.01))
    if name != "identity":
        assert np.abs(found - pictures()).max() > 5


def test_images_that_have_nothing_to_change_stay():
    flat = jnp.full((len(NAMES) * STRENGTHS, *SIDES, 3), 0.4)
    found = np.asarray(APPLIED(flat, jnp.repeat(jnp.arange(len(NAMES)), STRENGTHS), jnp.zeros(len(flat))))
    kept = [name for name, image in zip(NAMES, found[::STRENGTHS], strict=True) if np.array_equal(image, flat[0])]
    assert set(NAMES) - set(kept) == {"posterize", "solarize"}  # no bits are kept, and all levels are inverted


def outcomes(image, table):
    """What Pillow makes of an image by each operation and amount of a table: their names, and levels (m, h, w, c)."""
    pairs = [(name, value) for name, values in table.items() for value in dict.fromkeys(values)]
    found = [np.asarray(PILLOW[name](Image.fromarray(image), value), np.float32) for name, value in pairs]
    return np.array([name for name, _ in pairs]), np.array([abs(value) for _, value in pairs]), np.stack(found)


def matched(found, expected):
    """The place of the outcome (m, …) that each image (n, …) is; all are one within rounding."""
    distances = np.stack([np.abs(found - one).mean(axis=(1, 2, 3)) for one in expected])  # (m, n)
    assert distances.min(axis=0).max() < 1.2  # levels
    return distances.argmin(axis=0)


def signed(values):
    return [sign * value for value in values for sign in (1, -1)]


@pytest.mark.slow
def test_trivial_augment_draws_every_operation_and_strength_of_torchvision_s_table_as_often():
    image, steps = pictures()[0, 8:24, 8:24], np.arange(31)
    table = {
        "identity": [0],
        **dict.fromkeys(("shear_x", "shear_y"), signed(np.linspace(0, 0.99, 31))),
        **dict.fromkeys(("translate_x", "translate_y"), signed(np.trunc(np.linspace(0, 32, 31)))),
        "rotate": signed(np.linspace(0, 135, 31)),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), signed(np.linspace(0, 0.99, 31))),
        "posterize": 8 - (steps / (30 / 6)).round(),
        "solarize": np.linspace(255, 0, 31),
        "autocontrast": [0],
        "equalize": [0],
    }
    names, values, expected = outcomes(image, table)
    images = jnp.asarray(image[None].repeat(700, axis=0) / np.float32(255))
    found = np.asarray(jax.jit(lambda images: TrivialAugment().apply(images, key=KEY))(images)) * 255
    places = matched(found, expected)
    counts = {name: int(np.sum(names[places] == name)) for name in table}
    # 50 each, but that what changes nothing looks like identity, and what is moved out is black in either direction.
    assert all(counts[name] >= 22 for name in table), counts
    rotated = values[places][names[places] == "rotate"]
    assert rotated.min() < 25 < 110 < rotated.max()


def test_rand_augment_s_strength_is_torchvision_s_table():
    image, share = pictures()[0, 8:24, 8:28], 18 / 30
    table = {
        "identity": [0],
        **dict.fromkeys(("shear_x", "shear_y"), signed([0.3 * share])),
        "translate_x": signed([int(share * 150 / 331 * 20)]),
        "translate_y": signed([int(share * 150 / 331 * 16)]),
        "rotate": signed([30 * share]),
        **dict.fromkeys(("brightness", "color", "contrast", "sharpness"), signed([0.9 * share])),
        "posterize": [8 - round(4 * share)],
        "solarize": [255 * (1 - share)],
        "autocontrast": [0],
        "equalize": [0],
    }
    _, _, expected = outcomes(image, table)
    images = jnp.asarray(image[None].repeat(300, axis=0) / np.float32(255))
    part = RandAugment(num_ops=1, magnitude=18.0)
    found = np.asarray(jax.jit(lambda images: part.apply(images, key=KEY))(images)) * 255
    assert len(np.unique(matched(found, expected))) == len(expected)
    both = jax.jit(lambda images: RandAugment(magnitude=18.0).apply(images, key=KEY))(images)
    # The second operation follows on the first: an image is that of the first alone where the second is identity.
    same = np.mean([np.array_equal(one, other) for one, other in zip(found, np.asarray(both) * 255, strict=True)])
    assert 0.02 < same < 0.2


@pytest.mark.slow
def test_a_policy_keeps_the_range_follows_its_key_and_maps_over_strengths():
    images = jnp.asarray(pictures()[:, :12, :12, :1] / np.float32(255))

    traced = []

    def apply(part, key):
        traced.append(part)
        return part.apply(images, key=key)

    compiled = jax.jit(apply)
    weak, strong = RandAugment(magnitude=4.0), RandAugment(magnitude=20.0)
    first, again, other = (np.asarray(compiled(strong, jax.random.key(seed))) for seed in (7, 7, 8))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1
    compiled(weak, KEY)
    assert len(traced) == 1
    stacked = jax.tree.map(lambda *leaves: jnp.stack([jnp.asarray(leaf, jnp.float32) for leaf in leaves]), weak, strong)
    together = jax.jit(jax.vmap(apply, in_axes=(0, None)))(stacked, jax.random.key(7))
    for found, member in zip(together, (weak, strong), strict=True):
        np.testing.assert_allclose(found, compiled(member, jax.random.key(7)), atol=2e-6)


def test_a_policy_needs_grey_or_coloured_images():
    augment = Augment(trivial_augment=TrivialAugment())
    assert [fault.path for fault in augment.faults((8, 8, 4))] == ["augment.trivial_augment"]
    assert augment.faults((8, 8, 1)) == augment.faults((8, 6, 3)) == []
