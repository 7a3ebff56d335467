"""Changes of place: crops, flips, turns and smooth distortions."""

from typing import Annotated, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data import warp
from runner.data.draws import along_batch, bytes_of, random_sides, uniform
from runner.records import TRACED, Record


class RandomCrop(Record):
    """Shifts by up to `padding` pixels in each direction (He et al. 2015, arXiv:1512.03385, §4.2)."""

    padding: int = Field(
        ge=1, description="Pixels added on each side, before a random window is cut out.", examples=[4]
    )
    padding_mode: Literal["zeros", "reflect", "replicate"] = Field(
        default="zeros",
        description="The added pixels: zeros (black), reflect (mirrored image) or replicate (its edge).",
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        n, p = len(images), self.padding
        starts = jax.random.randint(key, (n, 2), 0, 2 * p + 1)
        mode = {"zeros": "constant", "reflect": "reflect", "replicate": "edge"}[self.padding_mode]
        padded = jnp.pad(images, ((0, 0), (p, p), (p, p), (0, 0)), mode=mode)

        def window(image: jax.Array, start: jax.Array) -> jax.Array:
            return jax.lax.dynamic_slice(image, (start[0], start[1], 0), images.shape[1:])

        return jax.vmap(window)(padded, starts)


class HorizontalFlip(Record):
    """Exchanges left and right."""

    probability: Annotated[float, TRACED] = Field(default=0.5, ge=0, le=1, description="Share of images flipped.")

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        flipped = uniform(key, len(images)) < jnp.asarray(self.probability, jnp.float32)
        return jnp.where(along_batch(flipped, images), jnp.flip(images, axis=2), images)


class VerticalFlip(Record):
    """Exchanges top and bottom."""

    probability: Annotated[float, TRACED] = Field(default=0.5, ge=0, le=1, description="Share of images flipped.")

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        flipped = uniform(key, len(images)) < jnp.asarray(self.probability, jnp.float32)
        return jnp.where(along_batch(flipped, images), jnp.flip(images, axis=1), images)


class QuarterTurns(Record):
    """Turns square images by 0, 90, 180 or 270 degrees, each as often: for images without an upper side."""

    probability: Annotated[float, TRACED] = Field(
        default=1.0, ge=0, le=1, description="Share of images for which a turn is drawn; others stay."
    )

    def apply(self, images: jax.Array, *, key: jax.Array) -> jax.Array:
        chosen, drawn = jax.random.split(key)
        turns = jax.random.randint(drawn, (len(images),), 0, 4)
        turns = jnp.where(uniform(chosen, len(images)) < jnp.asarray(self.probability, jnp.float32), turns, 0)
        turned = [jnp.rot90(images, quarters, axes=(1, 2)) for quarters in range(4)]
        return jax.lax.select_n(jnp.broadcast_to(along_batch(turns, images), images.shape), *turned)


class RandomResizedCrop(Record):
    """Cuts a window of random area and shape out of each image, and resizes it to the image's size.

    The image is the one that the data set has decoded and fitted to the network, or with `original` that of the file.
    Source: Szegedy et al. 2014, arXiv:1409.4842, with torchvision's ranges; see `draws.random_sides`.
    """

    least_area: Annotated[float, TRACED] = Field(
        default=0.08, gt=0, le=1, description="Smallest share of the image's area."
    )
    ratio: Annotated[float, TRACED] = Field(
        default=1.3333, ge=1, description="Largest ratio of its sides, of either to the other."
    )

    original: bool = Field(
        default=False,
        description="true: the window is cut out of the image file in its own size when it is decoded, before all "
        "other changes, and resized to the network's input with antialiasing. Images are streamed for it.",
    )

    def positions(self, positions: warp.Positions, *, key: jax.Array) -> warp.Positions:
        """The source position of each pixel: bilinear, with pixel centres as Pillow has them."""
        top, left, height, width = self.windows(positions[0].shape, key=key)
        return tuple(  # type: ignore[return-value]
            _within(place, start, side, size)
            for place, start, side, size in zip(
                positions, (top, left), (height, width), positions[0].shape[1:], strict=True
            )
        )

    def windows(self, shape: tuple[int, ...], *, key: jax.Array) -> tuple[jax.Array, ...]:
        """Top, left, height and width of the window of each image in whole pixels, (n,) each; `shape` is (n, h, w)."""
        n, h, w = shape
        sides, places = jax.random.split(key)
        height, width, _ = random_sides(sides, n, (h, w), least=self.least_area, most=1, ratio=self.ratio)
        down, right = uniform(places, 2 * n).reshape(2, n)
        return jnp.floor(down * (h - height + 1)), jnp.floor(right * (w - width + 1)), height, width


def _within(place: jax.Array, start: jax.Array, side: jax.Array, size: int) -> jax.Array:
    """Positions (n, h, w) in an image of `size` pixels as those in a window of it; outside they stay outside."""
    start, side = (value.reshape(-1, 1, 1) for value in (start, side))
    inside = (place >= -0.5) & (place <= size - 0.5)
    moved = jnp.clip(start + (place + 0.5) * side / size - 0.5, start, start + side - 1)
    return jnp.where(inside, moved, jnp.where(place < 0, -1.0, float(size)))


class Affine(Record):
    """Rotates, shifts, scales and shears each image about its centre; each amount x is drawn uniformly from −x … x."""

    degrees: Annotated[float, TRACED] = Field(
        default=0.0, ge=0, le=180, description="Largest rotation, in degrees, in either direction."
    )
    translate: Annotated[float, TRACED] = Field(
        default=0.0, ge=0, le=1, description="Largest shift, as a share of the height and of the width."
    )
    scale: Annotated[float, TRACED] = Field(
        default=0.0, ge=0, lt=1, description="Largest change of scale: 0.1 draws factors from 0.9 … 1.1."
    )
    shear: Annotated[float, TRACED] = Field(default=0.0, ge=0, lt=90, description="Largest shear, in degrees.")

    def positions(self, positions: warp.Positions, *, key: jax.Array) -> warp.Positions:
        """The source position of each pixel. Follows torchvision's RandomAffine."""
        n, h, w = positions[0].shape
        draws = uniform(key, 5 * n, -1, 1).reshape(5, n)
        degrees, translate, scale, shear = (
            jnp.asarray(value, jnp.float32) for value in (self.degrees, self.translate, self.scale, self.shear)
        )
        return warp.affine(
            positions,
            angle=jnp.deg2rad(degrees * draws[0]),
            shear=jnp.deg2rad(shear * draws[1]),
            scale=1 + scale * draws[2],
            down=translate * draws[3] * h,
            right=translate * draws[4] * w,
        )


class Elastic(Record):
    """Moves every pixel by a smooth random field (Simard, Steinkraus & Platt 2003, doi:10.1109/ICDAR.2003.1227801)."""

    alpha: Annotated[float, TRACED] = Field(
        default=34.0, ge=0, description="Factor of the smoothed noise, in pixels; Simard used 34 for 29×29 digits."
    )
    sigma: Annotated[float, TRACED] = Field(
        default=4.0, ge=1, description="Smoothness: the Gaussian's standard deviation in pixels."
    )

    def positions(self, positions: warp.Positions, *, key: jax.Array) -> warp.Positions:
        n, h, w = positions[0].shape
        levels = bytes_of(key, 2 * n * h * w)  # 256 levels are enough for noise that is smoothed
        noise = (levels.astype(jnp.float32).reshape(2 * n, h, w) + 0.5) / 128 - 1
        moved = warp.smoothed(noise, jnp.asarray(self.sigma, jnp.float32)) * jnp.asarray(self.alpha, jnp.float32)
        return positions[0] + moved[:n], positions[1] + moved[n:]
