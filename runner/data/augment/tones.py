"""Changes of colour and of sharpness."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data.draws import along_batch, uniform
from runner.records import TRACED, Record

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts RGB to grey


class Brightness(Record):
    """Multiplies the distance from black (signals: from 0) by one factor per image (torchvision's ColorJitter)."""

    strength: Annotated[float, TRACED] = Field(
        ge=0, le=1, description="The factor is drawn from 1 ± this.", examples=[0.2]
    )

    def apply(self, images: jax.Array, *, key: jax.Array, rest: jax.Array) -> jax.Array:
        return jnp.clip(rest + (images - rest) * _factor(self.strength, images, key), 0, 1)


class Contrast(Record):
    """Multiplies the distance from the image's mean grey by one factor per image (torchvision's ColorJitter)."""

    strength: Annotated[float, TRACED] = Field(
        ge=0, le=1, description="The factor is drawn from 1 ± this.", examples=[0.2]
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        channels = images.shape[-1]
        weights = jnp.asarray(_LUMA if channels == 3 else (1 / channels,) * channels, images.dtype)
        grey = jnp.einsum("n...c,c->n...", images, weights).reshape(len(images), -1).mean(axis=1)
        grey = along_batch(grey, images)
        return jnp.clip(grey + (images - grey) * _factor(self.strength, images, key), 0, 1)


def _factor(strength: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    draws = uniform(key, len(images), -1, 1)
    return along_batch(1 + jnp.asarray(strength, jnp.float32) * draws, images)
