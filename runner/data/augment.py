"""Random changes to every training batch, made inside the compiled program.

    >>> augment = Augment(random_crop=RandomCrop(padding=4), horizontal_flip=HorizontalFlip())
    >>> images, targets = augment.apply(images, targets, key=key)

The key of each part is derived from its name, so adding a part does not change the draws of the others. Strengths are
traced: changing one does not recompile. Batches must be shuffled, because mixup and cutmix combine neighbours.
"""

import zlib
from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data import warp
from runner.data.draws import along_batch, random_box, symmetric_beta, uniform
from runner.data.value_range import UNIT, value_range
from runner.errors import ConfigError, must
from runner.records import TRACED, Record

_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as Pillow converts RGB to grey


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
        # 256 levels are enough for noise that is smoothed, and need a quarter of the random bits of float32.
        words = jax.random.bits(key, (-(-2 * n * h * w // 4),), jnp.uint32)
        levels = jax.lax.bitcast_convert_type(words, jnp.uint8).reshape(-1)[: 2 * n * h * w]
        noise = (levels.astype(jnp.float32).reshape(2 * n, h, w) + 0.5) / 128 - 1
        moved = warp.smoothed(noise, jnp.asarray(self.sigma, jnp.float32)) * jnp.asarray(self.alpha, jnp.float32)
        return positions[0] + moved[:n], positions[1] + moved[n:]


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


class Augment(Record):
    """Random changes to the training images, applied in this order; each is null (off) or a mapping."""

    random_crop: RandomCrop | None = Field(default=None, description="Shifts by whole pixels.")
    horizontal_flip: HorizontalFlip | None = Field(default=None, description="Exchanges left and right.")
    affine: Affine | None = Field(default=None, description="Rotation, shift, scale and shear.")
    elastic: Elastic | None = Field(default=None, description="Smooth distortions; shares affine's interpolation.")
    brightness: Brightness | None = Field(default=None, description="Makes images lighter or darker.")
    contrast: Contrast | None = Field(default=None, description="Makes contrast stronger or weaker.")
    cutout: Cutout | None = Field(default=None, description="A covered square.")
    mixup: Mixup | None = Field(default=None, description="Averages two images and their targets.")
    cutmix: Cutmix | None = Field(default=None, description="Pastes a box of another image; mixes targets by area.")

    def apply(
        self,
        images: jax.Array,
        targets: jax.Array,
        *,
        key: jax.Array,
        values: Any = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Returns changed images, float32 (n, h, w, c), and targets, float32 (n, k), each row of which sums to 1.

        `values` are the values of black and white: `UNIT`, or two arrays (c,) or (1,), or None for those of the batch
        (see `value_range`). Every part works on images scaled to 0 (black) … 1 (white): pixels that move in are black,
        and brightness and contrast are clipped to this range.
        Inputs (n, length, c) allow brightness, contrast and mixup. Raises ConfigError for parts that need images.
        """
        if images.ndim != 4:
            self._check_flat()
        if all(getattr(self, name) is None for name in Augment.model_fields):
            return images, targets
        if values is UNIT:
            return self._applied(images, targets, key=key, zero=jnp.zeros((1,) * images.ndim))
        ends = value_range(images) if values is None else values
        black, white = (end.reshape(*(1,) * (images.ndim - 1), -1) for end in ends)
        width = white - black
        changed, targets = self._applied((images - black) / width, targets, key=key, zero=-black / width)
        return black + changed * width, targets

    def _applied(
        self, images: jax.Array, targets: jax.Array, *, key: jax.Array, zero: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """The same for images scaled to 0 … 1; `zero` (1, …, c) is the scaled value of 0."""
        for part in (self.random_crop, self.horizontal_flip):
            if part is not None:
                images = part.apply(images, key=_named(key, part))
        warps = [part for part in (self.elastic, self.affine) if part is not None]
        if warps:
            # One interpolation for both, so that the image is blurred only once.
            positions = warp.grid(images.shape)
            for bend in warps:
                positions = bend.positions(positions, key=_named(key, bend))
            images = warp.look_up(images, positions)
        if self.brightness is not None:
            # Images are scaled from black. Signals oscillate about 0, so they are scaled from 0.
            rest = jnp.clip(zero, 0, 1) if images.ndim != 4 else jnp.zeros_like(zero)
            images = self.brightness.apply(images, key=_named(key, self.brightness), rest=rest)
        for tone in (self.contrast, self.cutout):
            if tone is not None:
                images = tone.apply(images, key=_named(key, tone))
        for mix in (self.mixup, self.cutmix):
            if mix is not None:
                images, targets = mix.apply(images, targets, key=_named(key, mix))
        return images, targets

    def _check_flat(self) -> None:
        names = ("random_crop", "horizontal_flip", "affine", "elastic", "cutout", "cutmix")
        faults = [
            must(f"augment.{name}", "be null for one-dimensional input", getattr(self, name).model_dump())
            for name in names
            if getattr(self, name) is not None
        ]
        if faults:
            raise ConfigError(*faults)


def _named(key: jax.Array, part: Record) -> jax.Array:
    return jax.random.fold_in(key, zlib.crc32(type(part).__name__.encode()))


def _factor(strength: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    draws = uniform(key, len(images), -1, 1)
    return along_batch(1 + jnp.asarray(strength, jnp.float32) * draws, images)


def _neighbours(values: jax.Array, distance: int) -> jax.Array:
    # take, not roll: XLA would compute the input of a roll once for each of its two halves.
    return jnp.take(values, (jnp.arange(len(values)) - distance) % len(values), axis=0, mode="clip")
