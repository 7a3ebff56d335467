"""Random draws for a batch, one per image: uniform numbers, symmetric beta numbers, and boxes."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_TRIES = 10
_TINY = float(np.finfo(np.float32).tiny)


def uniform(key: jax.Array, count: int, low: float = 0, high: float = 1) -> jax.Array:
    """`count` uniform draws from low … high: (count,)."""
    return jax.random.uniform(key, (count,), jnp.float32, low, high)


def bytes_of(key: jax.Array, count: int) -> jax.Array:
    """`count` uniform bytes, uint8 (count,), of a quarter of the random bits that float32 needs."""
    words = jax.random.bits(key, (-(-count // 4),), jnp.uint32)
    return jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[:count]


def along_batch(per_image: jax.Array, like: jax.Array) -> jax.Array:
    """Reshapes one value per image, (n,), to the rank of `like`: (n, 1, …)."""
    return per_image.reshape(-1, *(1,) * (like.ndim - 1))


def symmetric_beta(key: jax.Array, alpha: Any, count: int) -> jax.Array:
    """`count` draws from Beta(alpha, alpha), in closed form: (count,).

    Source: Bailey 1994, doi:10.1090/S0025-5718-1994-1203020-7, draws Student's t in polar form. With 2 alpha degrees
    of freedom, ½ + t / (2 √(2 alpha + t²)) follows the symmetric beta distribution. JAX's own beta draws by
    rejection, which takes a second to compile.
    """
    radius, angle = uniform(key, 2 * count).reshape(2, count)
    exponent = jnp.log1p(-radius) / jnp.asarray(alpha, jnp.float32)
    cosine = jnp.cos(2 * jnp.pi * angle)
    far = -jnp.expm1(exponent) * jnp.square(cosine)
    distance = jnp.sqrt(far / jnp.maximum(jnp.exp(exponent) + far, _TINY))
    return 0.5 + 0.5 * jnp.sign(cosine) * distance


def random_sides(
    key: jax.Array, count: int, size: tuple[int, int], *, least: Any, most: Any, ratio: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Heights and widths of rectangles in images of `size`, in whole pixels, and which of them fit: (count,) each.

    The share of the image's area is uniform in least … most, the logarithm of width / height in ±log(ratio). Of ten
    draws the first that fits is taken, as torchvision does; where none does, the last one, cut off at the image.
    """
    h, w = size
    draws = uniform(key, 2 * _TRIES * count).reshape(2, _TRIES, count)
    least, most, ratio = (jnp.asarray(value, jnp.float32) for value in (least, most, ratio))
    area = (least + draws[0] * (most - least)) * h * w
    shape = jnp.exp((2 * draws[1] - 1) * jnp.log(ratio))
    heights, widths = jnp.round(jnp.sqrt(area / shape)), jnp.round(jnp.sqrt(area * shape))  # (tries, count)
    fit = (heights >= 1) & (heights <= h) & (widths >= 1) & (widths <= w)
    first = jnp.where(jnp.any(fit, axis=0), jnp.argmax(fit, axis=0), _TRIES - 1)[None, :]
    height, width = (jnp.take_along_axis(sides, first, axis=0)[0] for sides in (heights, widths))
    return jnp.clip(height, 1, h), jnp.clip(width, 1, w), jnp.any(fit, axis=0)


def random_box(shape: tuple[int, ...], height: jax.Array, width: jax.Array, key: jax.Array) -> jax.Array:
    """A mask of a random box of whole pixels for each image, centred on any of its pixels: (n, h, w, 1) bool."""
    n = shape[0]
    inside = jnp.ones((n, 1, 1, 1), bool)
    draws = uniform(key, 2 * n).reshape(2, n)
    for axis, (side, draw) in enumerate(zip((height, width), draws, strict=True), start=1):
        side = jnp.floor(side)
        start = jnp.floor(draw * shape[axis]) - jnp.floor(side / 2)
        start, side = start.reshape(n, 1, 1, 1), side.reshape(n, 1, 1, 1)
        place = jnp.arange(shape[axis], dtype=jnp.float32).reshape(tuple(-1 if i == axis else 1 for i in range(4)))
        inside = inside & (place >= start) & (place < start + side)
    return inside
