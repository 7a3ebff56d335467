"""Geometric distortions of images: computes source positions and interpolates images there.

Positions are pixel centres, rows downwards and columns to the right. Pixels outside an image are zero.
"""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

Positions = tuple[jax.Array, jax.Array]
"""Rows and columns, each (n, h, w), at which an image is interpolated."""


def grid(shape: tuple[int, ...]) -> Positions:
    """The positions of all pixels of images of shape (n, h, w, c)."""
    n, h, w, _ = shape
    rows = jnp.broadcast_to(jnp.arange(h, dtype=jnp.float32).reshape(1, h, 1), (n, h, w))
    columns = jnp.broadcast_to(jnp.arange(w, dtype=jnp.float32).reshape(1, 1, w), (n, h, w))
    return rows, columns


def affine(positions: Positions, *, angle: Any, shear: Any, scale: Any, down: Any, right: Any) -> Positions:
    """The source positions of images that are sheared, rotated and scaled about their centre, then shifted.

    Each amount is (n,): `angle` in radians counter-clockwise, `shear` in radians along the rows, `scale` as a
    factor, `down` and `right` in pixels.
    """
    rows, columns = positions
    _, h, w = rows.shape
    angle, shear, scale, down, right = (value.reshape(-1, 1, 1) for value in (angle, shear, scale, down, right))
    y = (rows - (h - 1) / 2 - down) / scale
    x = (columns - (w - 1) / 2 - right) / scale
    sine, cosine = jnp.sin(angle), jnp.cos(angle)
    x, y = x * cosine - y * sine, x * sine + y * cosine
    return y + (h - 1) / 2, x - jnp.tan(shear) * y + (w - 1) / 2


def smoothed(noise: jax.Array, sigma: Any) -> jax.Array:
    """Convolves fields (m, h, w) with a Gaussian of standard deviation `sigma` pixels, with zeros outside."""
    for axis in (1, 2):
        size = noise.shape[axis]
        steps = jnp.arange(-(size - 1), size, dtype=noise.dtype)
        # Divided by the integral, which equals the sum over all pixels to seven digits if sigma ≥ 1.
        bell = jnp.exp(-0.5 * jnp.square(steps / sigma)) / (sigma * math.sqrt(2 * math.pi))
        offsets = jnp.arange(size).reshape(size, 1) - jnp.arange(size).reshape(1, size)
        kernel = bell[offsets + size - 1]
        noise = jnp.einsum("mhw,hk->mkw" if axis == 1 else "mhw,wk->mhk", noise, kernel)
    return noise


def moved(image: jax.Array, source: Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]) -> jax.Array:
    """An image (h, w, c) of the nearest pixels to where `source` says that each comes from; zero outside.

    `source` takes and returns rows and columns (h, w) as Pillow has them: pixel 0 reaches from 0 to 1.
    """
    h, w, c = image.shape
    centres = (jnp.arange(size, dtype=jnp.float32) + 0.5 for size in (h, w))
    rows, columns = (jnp.floor(place) for place in source(*jnp.meshgrid(*centres, indexing="ij")))
    inside = (rows >= 0) & (rows < h) & (columns >= 0) & (columns < w)
    places = jnp.where(inside, rows * w + columns, 0).astype(jnp.int32)
    found = image.reshape(h * w, c).at[places].get(mode="promise_in_bounds")
    return jnp.where(inside[..., None], found, 0)


def look_up(images: jax.Array, positions: Positions) -> jax.Array:
    """Interpolates images (n, h, w, c) bilinearly at the positions; zero outside."""
    n, h, w, c = images.shape
    # Padded by one zero before and two after, so that every position has four neighbours without bounds checks.
    tall, wide = h + 3, w + 3
    pixels = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0))).reshape(n * tall * wide, c)
    rows = jnp.clip(positions[0], -1, h) + 1
    columns = jnp.clip(positions[1], -1, w) + 1
    above, left = jnp.floor(rows), jnp.floor(columns)
    first = above.astype(jnp.int32) * wide + left.astype(jnp.int32)
    first = first + (jnp.arange(n, dtype=jnp.int32) * (tall * wide)).reshape(n, 1, 1)
    low, across = ((value)[..., None].astype(images.dtype) for value in (rows - above, columns - left))

    # A loop over the neighbours, because XLA would recompute a plain sum for each operation that reads it: with mixup
    # after it, that took five times as long.
    def add_neighbour(corner: jax.Array, total: jax.Array) -> jax.Array:
        below, right = corner // 2, corner % 2
        weight = jnp.where(below == 1, low, 1 - low) * jnp.where(right == 1, across, 1 - across)
        return total + weight * pixels.at[first + below * wide + right].get(mode="promise_in_bounds")

    total: jax.Array = jax.lax.fori_loop(0, 4, add_neighbour, jnp.zeros_like(images))
    return total
