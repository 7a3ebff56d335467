"""Parts of images that are covered."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data.draws import along_batch, random_box, uniform
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


class RandomErasing(Record):
    """Covers a rectangle of random area, shape and place inside some images.

    Source: Zhong et al. 2017, arXiv:1708.04896. A rectangle that would reach beyond the image is cut off there, where
    the paper draws again.
    """

    probability: Annotated[float, TRACED] = Field(default=0.5, ge=0, le=1, description="Share of images covered.")
    least_area: Annotated[float, TRACED] = Field(
        default=0.02, gt=0, le=1, description="Smallest share of the image's area."
    )
    most_area: Annotated[float, TRACED] = Field(
        default=0.33, gt=0, le=1, description="Largest share of the image's area."
    )
    ratio: Annotated[float, TRACED] = Field(
        default=3.3333, ge=1, description="Largest ratio of the rectangle's sides, of either to the other."
    )
    fill: Literal["noise", "black", "white"] = Field(
        default="noise", description="What covers it: a random grey for every value, black or white."
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        n, h, w, _ = images.shape
        box_key, fill_key = jax.random.split(key)
        draws = uniform(box_key, 5 * n).reshape(5, n)
        least, most, ratio, share = (
            jnp.asarray(value, jnp.float32) for value in (self.least_area, self.most_area, self.ratio, self.probability)
        )
        area = (least + draws[0] * (most - least)) * h * w
        shape_ratio = jnp.exp((2 * draws[1] - 1) * jnp.log(ratio))
        height = jnp.clip(jnp.round(jnp.sqrt(area * shape_ratio)), 1, h)
        width = jnp.clip(jnp.round(jnp.sqrt(area / shape_ratio)), 1, w)
        covered = along_batch(draws[4] < share, images)
        for axis, (side, draw, size) in enumerate(((height, draws[2], h), (width, draws[3], w)), start=1):
            start = jnp.floor(draw * (size - side + 1))
            place = jnp.arange(size, dtype=jnp.float32).reshape(tuple(-1 if i == axis else 1 for i in range(4)))
            covered = covered & (place >= along_batch(start, images)) & (place < along_batch(start + side, images))
        if self.fill == "noise":
            return jnp.where(covered, jax.random.uniform(fill_key, images.shape, images.dtype), images)
        return jnp.where(covered, jnp.asarray(self.fill == "white", images.dtype), images)
