"""Changes of colour and of sharpness."""

from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from pydantic import Field, field_validator

from runner.data.draws import along_batch, uniform
from runner.errors import must
from runner.records import TRACED, Record

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts RGB to grey


def grey(images: jax.Array) -> jax.Array:
    """The grey level of each pixel of images (n, …, c): (n, …, 1); of others than three channels the mean."""
    channels = images.shape[-1]
    weights = jnp.asarray(_LUMA if channels == 3 else (1 / channels,) * channels, images.dtype)
    return jnp.einsum("n...c,c->n...", images, weights)[..., None]


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
        mean = along_batch(grey(images).reshape(len(images), -1).mean(axis=1), images)
        return jnp.clip(mean + (images - mean) * _factor(self.strength, images, key), 0, 1)


class Saturation(Record):
    """Multiplies the distance of every pixel from its grey by one factor per image (torchvision's ColorJitter)."""

    strength: Annotated[float, TRACED] = Field(
        ge=0,
        le=1,
        description="The factor is drawn from 1 ± this; 0 makes an image grey. Grey ones stay.",
        examples=[0.4],
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        shades = grey(images)
        return jnp.clip(shades + (images - shades) * _factor(self.strength, images, key), 0, 1)


class Hue(Record):
    """Turns the colours of each image along the colour circle by one angle (torchvision's ColorJitter)."""

    strength: Annotated[float, TRACED] = Field(
        ge=0,
        le=0.5,
        description="The angle is drawn from ± this share of the circle. Grey images stay.",
        examples=[0.1],
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        turns = jnp.asarray(self.strength, jnp.float32) * uniform(key, len(images), -1, 1)
        return turned(images, turns)


def turned(images: jax.Array, turns: jax.Array) -> jax.Array:
    """Images (n, h, w, 3) in 0 … 1 with their hue moved by `turns` (n,) circles; their HSV value and saturation stay.

    Source: Smith 1978, doi:10.1145/965139.807361, as Python's colorsys has it.
    """
    value, least = jnp.max(images, axis=-1), jnp.min(images, axis=-1)
    spread = value - least
    red, green, blue = (images[..., place] for place in range(3))
    by = jnp.where(spread > 0, spread, 1)
    sector = jnp.where(
        red == value, (green - blue) / by, jnp.where(green == value, 2 + (blue - red) / by, 4 + (red - green) / by)
    )
    hue = (sector / 6 + turns.reshape(-1, 1, 1)) % 1 * 6  # in sixths of the circle
    # How far a channel is from the value, by its distance on the circle: red from 0, green from 2, blue from 4.
    channels = [value - spread * jnp.clip(jnp.abs((hue - at + 3) % 6 - 3) - 1, 0, 1) for at in (0, 2, 4)]
    return jnp.stack(channels, axis=-1)


# The principal components of the colours of ImageNet's pixels in 0 … 1, as published with fb.resnet.torch.
_EIGENVALUES = (0.2175, 0.0188, 0.0045)
_EIGENVECTORS = ((-0.5675, 0.7192, 0.4009), (-0.5808, -0.0045, -0.8140), (-0.5836, -0.6948, 0.4203))


class Lighting(Record):
    """Adds one colour to each image, along the principal components of ImageNet's colours.

    Source: Krizhevsky, Sutskever & Hinton 2012, Advances in Neural Information Processing Systems 25, §4.1.
    """

    strength: Annotated[float, TRACED] = Field(
        default=0.1, ge=0, description="Standard deviation of the factor of each component. Grey images stay."
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        factors = jnp.asarray(self.strength, jnp.float32) * jax.random.normal(key, (len(images), 3), jnp.float32)
        colours = np.asarray(_EIGENVECTORS, np.float32) * np.asarray(_EIGENVALUES, np.float32)  # (3, component)
        added = jnp.einsum("np,cp->nc", factors, jnp.asarray(colours))
        return jnp.clip(images + added.reshape(-1, 1, 1, 3), 0, 1)


class GaussianBlur(Record):
    """Convolves each image with a Gaussian of its own width (Chen et al. 2020, arXiv:2002.05709, appendix A)."""

    sigma: Annotated[float, TRACED] = Field(
        default=2.0, ge=0.1, description="Largest standard deviation in pixels; it is drawn from 0.1 … this."
    )
    size: int = Field(default=9, ge=3, description="Side of the window in pixels: an odd number.")
    probability: Annotated[float, TRACED] = Field(default=0.5, ge=0, le=1, description="Share of images blurred.")

    @field_validator("size")
    @classmethod
    def _is_odd(cls, size: int) -> int:
        if size % 2 == 0:
            raise ValueError(must("", "be odd", size).text)
        return size

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        chosen, drawn = jax.random.split(key)
        sigma = 0.1 + (jnp.asarray(self.sigma, jnp.float32) - 0.1) * uniform(drawn, len(images))
        is_blurred = uniform(chosen, len(images)) < jnp.asarray(self.probability, jnp.float32)
        return jnp.where(along_batch(is_blurred, images), blurred(images, sigma, self.size), images)


def blurred(images: jax.Array, sigma: jax.Array, size: int) -> jax.Array:
    """Images (n, h, w, c) convolved with Gaussians of standard deviations `sigma` (n,), mirrored at their edges."""
    reach = size // 2
    steps = jnp.arange(-reach, reach + 1, dtype=jnp.float32)
    taps = jnp.exp(-0.5 * jnp.square(steps[None, :] / sigma[:, None]))
    taps = taps / jnp.sum(taps, axis=1, keepdims=True)  # (n, size)
    for axis in (1, 2):
        around = [(reach, reach) if place == axis else (0, 0) for place in range(4)]
        padded, side = jnp.pad(images, around, mode="reflect"), images.shape[axis]
        parts = (
            along_batch(taps[:, tap], images) * jax.lax.slice_in_dim(padded, tap, tap + side, axis=axis)
            for tap in range(size)
        )
        images = sum(parts, start=jnp.zeros_like(images))
    return images


class GaussianNoise(Record):
    """Adds a normal number to every value of each image."""

    sigma: Annotated[float, TRACED] = Field(
        default=0.1, ge=0, description="Standard deviation, for values from 0 (black) to 1 (white)."
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        noise = jax.random.normal(key, images.shape, images.dtype)
        return jnp.clip(images + jnp.asarray(self.sigma, images.dtype) * noise, 0, 1)


def _factor(strength: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    draws = uniform(key, len(images), -1, 1)
    return along_batch(1 + jnp.asarray(strength, jnp.float32) * draws, images)
