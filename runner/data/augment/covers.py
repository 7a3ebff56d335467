"""Parts of images that are covered."""

from typing import Annotated

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data.draws import random_box
from runner.records import TRACED, Record


class Cutout(Record):
    """Covers a square of each image, centred on any of its pixels (DeVries & Taylor 2017, arXiv:1708.04552)."""

    size: Annotated[float, TRACED] = Field(gt=0, description="Side of the square, in pixels.", examples=[4])
    fill: Annotated[float, TRACED] = Field(
        default=0.0, ge=0, le=1, description="Grey level of the square: 0 is black, 1 is white."
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        side = jnp.broadcast_to(jnp.asarray(self.size, jnp.float32), (len(images),))
        inside = random_box(images.shape, side, side, key)
        return jnp.where(inside, jnp.asarray(self.fill, images.dtype), images)
