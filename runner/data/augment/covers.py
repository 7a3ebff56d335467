"""Parts of images that are covered."""

from typing import Annotated, Literal, Self

import jax
import jax.numpy as jnp
from pydantic import Field, model_validator

from runner.data.draws import along_batch, bytes_of, random_box, random_sides, uniform
from runner.errors import must
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

    Source: Zhong et al. 2017, arXiv:1708.04896, with torchvision's ranges; see `draws.random_sides`.
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
        default="noise", description="What covers it: a random number for every value, black or white."
    )

    @model_validator(mode="after")
    def _has_areas(self) -> Self:
        areas = (self.least_area, self.most_area)
        if all(isinstance(area, int | float) for area in areas) and areas[0] > areas[1]:
            raise ValueError(must("", f"have a least_area of at most most_area ({areas[1]})", areas[0]).text)
        return self

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        n, h, w, _ = images.shape
        side_key, box_key, fill_key = jax.random.split(key, 3)
        height, width, fits = random_sides(
            side_key, n, (h, w), least=self.least_area, most=self.most_area, ratio=self.ratio
        )
        draws = uniform(box_key, 3 * n).reshape(3, n)
        covered = along_batch(fits & (draws[0] < jnp.asarray(self.probability, jnp.float32)), images)
        for axis, (side, draw, size) in enumerate(((height, draws[1], h), (width, draws[2], w)), start=1):
            start = jnp.floor(draw * (size - side + 1))
            place = jnp.arange(size, dtype=jnp.float32).reshape(tuple(-1 if i == axis else 1 for i in range(4)))
            covered = covered & (place >= along_batch(start, images)) & (place < along_batch(start + side, images))
        if self.fill == "noise":
            noise = bytes_of(fill_key, images.size).astype(images.dtype).reshape(images.shape) / 255
            return jnp.where(covered, noise, images)
        return jnp.where(covered, jnp.asarray(self.fill == "white", images.dtype), images)
