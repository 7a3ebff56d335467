"""The part of an image that a unit sees: its receptive field by the windows of the layers, and the part that counts.

>>> theoretical(FeatureMap((5, 5, 16), (ReceptiveField((-2,), (13,), 4),) * 2), (0, 2))
Rectangle(top=-2, left=6, bottom=14, right=22)
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner.experiment import Program
from runner.explaining.sight import Array, Sight, output_of
from runner.layers.base import FeatureMap, Tree


class Rectangle(NamedTuple):
    """Pixels from `top` and `left` to before `bottom` and `right`; those outside of the image are padding."""

    top: int
    left: int
    bottom: int
    right: int

    def within(self, height: int, width: int) -> "Rectangle":
        """The part inside an image of this size."""
        return Rectangle(max(self.top, 0), max(self.left, 0), min(self.bottom, height), min(self.right, width))


def theoretical(at: FeatureMap, position: tuple[int, int]) -> Rectangle:
    """The pixels of the network's input on which the values at a position of a feature map can depend."""
    (top, bottom), (left, right) = (
        (field.first(place), field.last(place) + 1) for field, place in zip(at.fields, position, strict=True)
    )
    return Rectangle(top, left, bottom, right)


def effective(sight: Sight, images: Array, path: str, position: tuple[int, int]) -> Array:
    """How much the values at a position really depend on each pixel: the mean size of the gradient over images (h, w).

    The gradient is that of the sum of all channels there, summed over the channels of the pixel.
    Source: Luo, Li, Urtasun & Zemel 2016, arXiv:1701.04128.
    """
    where = np.broadcast_to(np.array(position, np.int32), (len(images), 2))
    gradients = sight.in_batches(_gradient_of_position, images, where, static=(path,))
    found: Array = np.abs(gradients).sum(axis=-1).mean(axis=0)
    return found


def _gradient_of_position(
    program: Program, path: str, params: Tree, statistics: Tree, images: jax.Array, where: jax.Array
) -> jax.Array:
    def total(images: jax.Array) -> jax.Array:
        maps = output_of(program, path, params, statistics, images)
        return jnp.sum(maps[jnp.arange(len(maps)), where[:, 0], where[:, 1]])

    found: jax.Array = jax.grad(total)(images)
    return found
