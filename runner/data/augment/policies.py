"""Policies: each image is changed by operations that are drawn for it."""

from typing import Annotated, Any, Final

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data.augment.operations import NAMES, operated
from runner.data.draws import uniform
from runner.records import TRACED, Record

_STEPS: Final = 30  # magnitudes are 0 … 30


class TrivialAugment(Record):
    """Changes each image by one of fourteen operations, as strongly as a draw says; nothing is to be tuned.

    The wide ranges of the paper, as torchvision has them. Source: Müller & Hutter 2021, arXiv:2103.10158.
    """

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        draws = uniform(key, 3 * len(images)).reshape(3, -1)
        operations, magnitude = _of(draws[0], len(NAMES)), _of(draws[1], _STEPS + 1).astype(jnp.float32)
        pixels = jnp.asarray(32.0)
        most = _largest(shear=0.99, right=pixels, down=pixels, degrees=135.0, tone=0.99)
        return operated(images, operations, _amounts(operations, magnitude, draws[2], most, bits=6))


class RandAugment(Record):
    """Changes each image by a few operations, one after another, each drawn from fourteen, all of one magnitude.

    The ranges are torchvision's. Source: Cubuk, Zoph, Shlens & Le 2019, arXiv:1909.13719.
    """

    num_ops: int = Field(default=2, ge=1, le=14, description="Operations for each image, one after another.")
    magnitude: Annotated[float, TRACED] = Field(
        default=9.0, ge=0, le=_STEPS, description="Strength of every operation, from 0 to 30."
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        n, h, w, _ = images.shape
        shares = 150 / 331  # of the image's side: the paper's 150 pixels of 331
        most = _largest(shear=0.3, right=shares * w, down=shares * h, degrees=30.0, tone=0.9)
        magnitude = jnp.broadcast_to(jnp.asarray(self.magnitude, jnp.float32), (n,))

        def change(number: jax.Array, images: jax.Array) -> jax.Array:
            draws = uniform(jax.random.fold_in(key, number), 2 * n).reshape(2, n)
            operations = _of(draws[0], len(NAMES))
            return operated(images, operations, _amounts(operations, magnitude, draws[1], most, bits=4))

        found: jax.Array = jax.lax.fori_loop(0, self.num_ops, change, images)
        return found


def _of(draws: jax.Array, count: int) -> jax.Array:
    """Whole numbers below `count` from draws in 0 … 1."""
    return jnp.minimum(jnp.floor(draws * count).astype(jnp.int32), count - 1)


def _largest(*, shear: float, right: Any, down: Any, degrees: float, tone: float) -> jax.Array:
    """The amount of each operation at the largest magnitude; 0 where it has no sign, or no amount."""
    ranges = {"shear_x": shear, "shear_y": shear, "translate_x": right, "translate_y": down, "rotate": degrees}
    ranges |= dict.fromkeys(("brightness", "color", "contrast", "sharpness"), tone)
    return jnp.stack([jnp.asarray(ranges.get(name, 0.0), jnp.float32) for name in NAMES])


def _amounts(operations: jax.Array, magnitude: jax.Array, sign: jax.Array, most: jax.Array, *, bits: int) -> jax.Array:
    """The amount of each image's operation (n,), for magnitudes 0 … 30; posterize takes off at most so many `bits`."""

    def drew(name: str) -> jax.Array:
        return operations == NAMES.index(name)

    share = magnitude / _STEPS
    amounts = jnp.where(sign < 0.5, -1, 1) * share * most[operations]
    amounts = jnp.where(drew("translate_x") | drew("translate_y"), jnp.trunc(amounts), amounts)
    amounts = jnp.where(drew("posterize"), 8 - jnp.round(share * bits), amounts)
    return jnp.where(drew("solarize"), 255 * (1 - share), amounts)
