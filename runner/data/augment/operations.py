"""The fourteen operations that the published policies choose from, one for each image of a batch.

    >>> images, bits = jnp.full((2, 8, 8, 1), 0.9), jnp.array([8.0, 3.0])
    >>> coarse = operated(images, jnp.full(2, NAMES.index("posterize")), bits)
    >>> [round(level) for level in (coarse[:, 0, 0, 0] * 255).tolist()]
    [230, 224]

Source: torchvision's `autoaugment`, whose operations are those of Pillow. Values are kept as they are, not rounded to
256 levels, but for the operations that are defined on levels: posterize, solarize and equalize.
"""

from collections.abc import Callable
from typing import Final

import jax
import jax.numpy as jnp

from runner.data import warp
from runner.data.augment.tones import grey

_WHITE: Final = 255
_LEVELS: Final = 256

Operation = Callable[[jax.Array, jax.Array], jax.Array]
"""An image (h, w, c) in 0 … 1 and the amount of its change → the changed image."""


def operated(images: jax.Array, operations: jax.Array, amounts: jax.Array) -> jax.Array:
    """Images (n, h, w, c) in 0 … 1, each changed by the operation of this number (n,) in `NAMES`, by its amount (n,).

    Amounts are: of a shear, the shift of a row or column for each pixel of distance; of a translation, whole pixels to
    the right or downwards; of a rotation, degrees counter-clockwise; of brightness, color, contrast and sharpness, the
    change of a factor that is 1 at 0; of posterize, the bits that are kept; of solarize, the level from which on
    values are inverted. Other operations ignore it.
    """

    def change(image: jax.Array, operation: jax.Array, amount: jax.Array) -> jax.Array:
        changed: jax.Array = jax.lax.switch(operation, tuple(_OPERATIONS.values()), image, amount)
        return changed

    def in_turn(*each: jax.Array) -> jax.Array:
        found: jax.Array = jax.lax.map(lambda one: change(*one), each)
        return found

    # A mapped switch computes every operation for every image. On a CPU one image after another takes an eighth of the
    # time, as each is changed by its own operation alone; a GPU would wait for each of so many small steps.
    found: jax.Array = jax.lax.platform_dependent(images, operations, amounts, cpu=in_turn, default=jax.vmap(change))
    return found


def _identity(image: jax.Array, amount: jax.Array) -> jax.Array:
    return image


def _shear_x(image: jax.Array, amount: jax.Array) -> jax.Array:
    return warp.moved(image, lambda y, x: (y, x + amount * y))


def _shear_y(image: jax.Array, amount: jax.Array) -> jax.Array:
    return warp.moved(image, lambda y, x: (y + amount * x, x))


def _translate_x(image: jax.Array, amount: jax.Array) -> jax.Array:
    return warp.moved(image, lambda y, x: (y, x - amount))


def _translate_y(image: jax.Array, amount: jax.Array) -> jax.Array:
    return warp.moved(image, lambda y, x: (y - amount, x))


def _rotate(image: jax.Array, amount: jax.Array) -> jax.Array:
    angle = jnp.deg2rad(amount)
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    middle, centre = (size / 2 for size in image.shape[:2])

    def turned(y: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, x = y - middle, x - centre
        return sine * x + cosine * y + middle, cosine * x - sine * y + centre

    return warp.moved(image, turned)


def _brightness(image: jax.Array, amount: jax.Array) -> jax.Array:
    return _away(jnp.zeros_like(image), image, amount)


def _color(image: jax.Array, amount: jax.Array) -> jax.Array:
    return image if image.shape[-1] == 1 else _away(grey(image), image, amount)


def _contrast(image: jax.Array, amount: jax.Array) -> jax.Array:
    return _away(grey(image).mean(), image, amount)


def _sharpness(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Away from Pillow's SMOOTH: the mean of nine neighbours, the middle one counted five times; edges stay."""
    h, w, _ = image.shape
    if min(h, w) < 3:
        return image
    rows = image[:-2] + image[1:-1] + image[2:]
    inner = (rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * image[1:-1, 1:-1]) / 13
    return _away(image.at[1:-1, 1:-1].set(inner), image, amount)


def _away(start: jax.Array, image: jax.Array, amount: jax.Array) -> jax.Array:
    """The image with its distance from `start` multiplied by 1 + amount."""
    return jnp.clip(start + (image - start) * (1 + amount), 0, 1)


def _posterize(image: jax.Array, amount: jax.Array) -> jax.Array:
    step = jnp.exp2(8 - amount)
    return jnp.floor(jnp.round(image * _WHITE) / step) * step / _WHITE


def _solarize(image: jax.Array, amount: jax.Array) -> jax.Array:
    return jnp.where(jnp.round(image * _WHITE) >= amount, 1 - image, image)


def _autocontrast(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Each channel from its least to its most; a channel of one value stays."""
    least, most = image.min(axis=(0, 1), keepdims=True), image.max(axis=(0, 1), keepdims=True)
    return jnp.where(most > least, (image - least) / jnp.where(most > least, most - least, 1), image)


def _equalize(image: jax.Array, amount: jax.Array) -> jax.Array:
    """Levels that are equally frequent, in each channel; one with fewer than 255 pixels below its highest stays."""
    h, w, channels = image.shape
    levels = jnp.round(image * _WHITE).astype(jnp.int32)
    places = levels + _LEVELS * jnp.arange(channels, dtype=jnp.int32).reshape(1, 1, channels)
    counts = jnp.zeros(_LEVELS * channels, jnp.int32).at[places.reshape(-1)].add(1).reshape(channels, _LEVELS)
    below = jnp.cumsum(counts, axis=1) - counts
    highest = jnp.take_along_axis(counts, levels.max(axis=(0, 1))[:, None], axis=1)
    step = (h * w - highest) // _WHITE  # (c, 1)
    table = jnp.clip((step // 2 + below) // jnp.maximum(step, 1), 0, _WHITE)
    found = table.reshape(-1)[places].astype(image.dtype) / _WHITE
    return jnp.where((step > 0).reshape(1, 1, channels), found, image)


_OPERATIONS: Final[dict[str, Operation]] = {
    "identity": _identity,
    "shear_x": _shear_x,
    "shear_y": _shear_y,
    "translate_x": _translate_x,
    "translate_y": _translate_y,
    "rotate": _rotate,
    "brightness": _brightness,
    "color": _color,
    "contrast": _contrast,
    "sharpness": _sharpness,
    "posterize": _posterize,
    "solarize": _solarize,
    "autocontrast": _autocontrast,
    "equalize": _equalize,
}
NAMES: Final = tuple(_OPERATIONS)
