"""Images looked up at moved positions: where each pixel comes from, and the bilinear look-up itself.

Positions are pixel centres, rows downwards and columns to the right; what lies outside an image is zero.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp

Positions = tuple[jax.Array, jax.Array]
"""Rows and columns, each (n, h, w), at which an image is looked up."""


def grid(shape: tuple[int, ...]) -> Positions:
    """The positions of the pixels themselves, for images of shape (n, h, w, c)."""
    n, h, w, _ = shape
    rows = jnp.broadcast_to(jnp.arange(h, dtype=jnp.float32).reshape(1, h, 1), (n, h, w))
    columns = jnp.broadcast_to(jnp.arange(w, dtype=jnp.float32).reshape(1, 1, w), (n, h, w))
    return rows, columns


def affine(positions: Positions, *, angle: Any, shear: Any, scale: Any, down: Any, right: Any) -> Positions:
    """Where an image that is sheared, turned, scaled about its middle and shifted takes its pixels from.

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
    """Fields (m, h, w) convolved with a Gaussian of standard deviation `sigma` pixels, zeros outside."""
    for axis in (1, 2):
        size = noise.shape[axis]
        steps = jnp.arange(-(size - 1), size, dtype=noise.dtype)
        # Divided by the integral, which the sum over all pixels meets to seven digits from sigma = 1 on.
        bell = jnp.exp(-0.5 * jnp.square(steps / sigma)) / (sigma * math.sqrt(2 * math.pi))
        offsets = jnp.arange(size).reshape(size, 1) - jnp.arange(size).reshape(1, size)
        kernel = bell[offsets + size - 1]
        noise = jnp.einsum("mhw,hk->mkw" if axis == 1 else "mhw,wk->mhk", noise, kernel)
    return noise


def look_up(images: jax.Array, positions: Positions) -> jax.Array:
    """Images (n, h, w, c) at the positions, between pixels by bilinear interpolation, zero outside."""
    n, h, w, c = images.shape
    # A frame of zeros before and two after: every position has four neighbours without a bound to check.
    tall, wide = h + 3, w + 3
    pixels = jnp.pad(images, ((0, 0), (1, 2), (1, 2), (0, 0))).reshape(n * tall * wide, c)
    rows = jnp.clip(positions[0], -1, h) + 1
    columns = jnp.clip(positions[1], -1, w) + 1
    above, left = jnp.floor(rows), jnp.floor(columns)
    first = above.astype(jnp.int32) * wide + left.astype(jnp.int32)
    first = first + (jnp.arange(n, dtype=jnp.int32) * (tall * wide)).reshape(n, 1, 1)
    low, across = ((value)[..., None].astype(images.dtype) for value in (rows - above, columns - left))

    # A loop over the neighbours, because XLA would fuse the plain sum into whatever reads it, once for each reader:
    # mixup behind it took five times as long.
    def add_neighbour(corner: jax.Array, total: jax.Array) -> jax.Array:
        below, right = corner // 2, corner % 2
        weight = jnp.where(below == 1, low, 1 - low) * jnp.where(right == 1, across, 1 - across)
        return total + weight * pixels.at[first + below * wide + right].get(mode="promise_in_bounds")

    total: jax.Array = jax.lax.fori_loop(0, 4, add_neighbour, jnp.zeros_like(images))
    return total
