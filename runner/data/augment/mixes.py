"""Several images in one, with the mixture of their targets."""

from typing import Annotated

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data.draws import along_batch, random_box, symmetric_beta
from runner.records import TRACED, Record


class Mixup(Record):
    """Averages pairs of images and their targets, one weight per image (Zhang et al. 2018, arXiv:1710.09412)."""

    alpha: Annotated[float, TRACED] = Field(
        gt=0, description="The weight is drawn from Beta(alpha, alpha).", examples=[0.2]
    )

    def apply(self, images: jax.Array, targets: jax.Array, *, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        weight = symmetric_beta(key, self.alpha, len(images))
        return tuple(  # type: ignore[return-value]
            along_batch(weight, values) * values + (1 - along_batch(weight, values)) * _neighbours(values, 1)
            for values in (images, targets)
        )


class Cutmix(Record):
    """Replaces a box of each image by another image; mixes targets by area (Yun et al. 2019, arXiv:1905.04899)."""

    alpha: Annotated[float, TRACED] = Field(
        gt=0, description="The share kept is drawn from Beta(alpha, alpha).", examples=[1.0]
    )

    def apply(self, images: jax.Array, targets: jax.Array, *, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        n, h, w, _ = images.shape
        share_key, box_key = jax.random.split(key)
        side = jnp.sqrt(1 - symmetric_beta(share_key, self.alpha, n))
        inside = random_box(images.shape, side * h, side * w, box_key)
        # The box may reach over the edge: the targets are mixed by its area inside the image.
        area = inside.astype(targets.dtype).reshape(n, h * w).mean(axis=1).reshape(n, 1)
        # A different neighbour than mixup's, so that both together mix three images.
        other_images, other_targets = _neighbours(images, 2), _neighbours(targets, 2)
        return jnp.where(inside, other_images, images), (1 - area) * targets + area * other_targets


def _neighbours(values: jax.Array, distance: int) -> jax.Array:
    # take, not roll: XLA would compute the input of a roll once for each of its two halves.
    return jnp.take(values, (jnp.arange(len(values)) - distance) % len(values), axis=0, mode="clip")
