"""Random changes to every training batch, made inside the compiled program.

    >>> augment = Augment(random_crop=RandomCrop(padding=4), horizontal_flip=HorizontalFlip())
    >>> images, targets = augment.apply(images, targets, key=key)

The key of each part is derived from its name, so adding a part does not change the draws of the others. Strengths are
traced: changing one does not recompile. Batches must be shuffled, because mixup and cutmix combine neighbours.
"""

import zlib
from typing import Any, Final

import jax
import jax.numpy as jnp
from pydantic import Field

from runner.data import warp
from runner.data.augment.covers import Cutout, RandomErasing
from runner.data.augment.mixes import Cutmix, Mixup
from runner.data.augment.moves import (
    Affine,
    Elastic,
    HorizontalFlip,
    QuarterTurns,
    RandomCrop,
    RandomResizedCrop,
    VerticalFlip,
)
from runner.data.augment.policies import RandAugment, TrivialAugment
from runner.data.augment.tones import Brightness, Contrast, GaussianBlur, GaussianNoise, Hue, Lighting, Saturation
from runner.data.value_range import UNIT, value_range
from runner.errors import ConfigError, Fault, must
from runner.records import Record

__all__ = [
    "Affine",
    "Augment",
    "Brightness",
    "Contrast",
    "Cutmix",
    "Cutout",
    "Elastic",
    "GaussianBlur",
    "GaussianNoise",
    "HorizontalFlip",
    "Hue",
    "Lighting",
    "Mixup",
    "QuarterTurns",
    "RandAugment",
    "RandomCrop",
    "RandomErasing",
    "RandomResizedCrop",
    "Saturation",
    "TrivialAugment",
    "VerticalFlip",
]


_OF_COLOURS: Final = (
    "trivial_augment",
    "rand_augment",
    "saturation",
    "hue",
    "lighting",
)  # they need three channels; grey images have no colours
_COLOURS: Final = (Saturation, Hue, Lighting)
_OF_SIGNALS: Final = ("brightness", "contrast", "gaussian_noise", "mixup")  # they need no rows and columns


class Augment(Record):
    """Random changes to the training images, applied in this order; each is null (off) or a mapping."""

    random_crop: RandomCrop | None = Field(default=None, description="Shifts by whole pixels.")
    horizontal_flip: HorizontalFlip | None = Field(default=None, description="Exchanges left and right.")
    vertical_flip: VerticalFlip | None = Field(default=None, description="Exchanges top and bottom.")
    quarter_turns: QuarterTurns | None = Field(default=None, description="Turns square images by right angles.")
    random_resized_crop: RandomResizedCrop | None = Field(
        default=None, description="A window of random area and shape, resized; shares affine's interpolation."
    )
    affine: Affine | None = Field(default=None, description="Rotation, shift, scale and shear.")
    elastic: Elastic | None = Field(default=None, description="Smooth distortions; shares affine's interpolation.")
    trivial_augment: TrivialAugment | None = Field(
        default=None, description="One change of fourteen, drawn for each image with its strength."
    )
    rand_augment: RandAugment | None = Field(
        default=None, description="A few changes of fourteen, drawn for each image, of one strength."
    )
    brightness: Brightness | None = Field(default=None, description="Makes images lighter or darker.")
    contrast: Contrast | None = Field(default=None, description="Makes contrast stronger or weaker.")
    saturation: Saturation | None = Field(default=None, description="Makes colours stronger or weaker.")
    hue: Hue | None = Field(default=None, description="Turns colours along the colour circle.")
    lighting: Lighting | None = Field(default=None, description="Adds a colour, as AlexNet was trained.")
    gaussian_blur: GaussianBlur | None = Field(default=None, description="Makes some images less sharp.")
    gaussian_noise: GaussianNoise | None = Field(default=None, description="Adds noise to every value.")
    cutout: Cutout | None = Field(default=None, description="A covered square.")
    random_erasing: RandomErasing | None = Field(default=None, description="A covered rectangle, in some images.")
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
        Inputs (n, length, c) allow brightness, contrast, gaussian_noise and mixup.
        Raises ConfigError for parts that need images.
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
        for part in (self.random_crop, self.horizontal_flip, self.vertical_flip, self.quarter_turns):
            if part is not None:
                images = part.apply(images, key=_named(key, part))
        # Each finds where its pixels come from in what the next one makes: the last is the first to change the image.
        crop = None if self.cuts_files else self.random_resized_crop
        warps = [part for part in (self.elastic, self.affine, crop) if part is not None]
        if warps:
            # One interpolation for all, so that the image is blurred only once.
            positions = warp.grid(images.shape)
            for bend in warps:
                positions = bend.positions(positions, key=_named(key, bend))
            images = warp.look_up(images, positions)
        for policy in (self.trivial_augment, self.rand_augment):
            if policy is not None:
                images = policy.apply(images, key=_named(key, policy))
        if self.brightness is not None:
            # Images are scaled from black. Signals oscillate about 0, so they are scaled from 0.
            rest = jnp.clip(zero, 0, 1) if images.ndim != 4 else jnp.zeros_like(zero)
            images = self.brightness.apply(images, key=_named(key, self.brightness), rest=rest)
        tones = (self.contrast, self.saturation, self.hue, self.lighting, self.gaussian_blur, self.gaussian_noise)
        for tone in (*tones, self.cutout, self.random_erasing):
            if tone is not None and not (images.shape[-1] == 1 and isinstance(tone, _COLOURS)):
                images = tone.apply(images, key=_named(key, tone))
        for mix in (self.mixup, self.cutmix):
            if mix is not None:
                images, targets = mix.apply(images, targets, key=_named(key, mix))
        return images, targets

    @property
    def cuts_files(self) -> bool:
        """Whether images are windows of their files: `random_resized_crop.original`."""
        return self.random_resized_crop is not None and self.random_resized_crop.original

    def of_decoded(self) -> "Augment":
        """The same with windows of decoded images in place of those of files."""
        crop = self.random_resized_crop
        if crop is None or not crop.original:
            return self
        return self.model_copy(update={"random_resized_crop": crop.model_copy(update={"original": False})})

    def faults(self, shape: tuple[int, ...]) -> list[Fault]:
        """What does not fit images of this shape, (h, w, c)."""
        height, width, channels = shape
        crop, turns, blur, found = self.random_crop, self.quarter_turns, self.gaussian_blur, []
        smaller = min(height, width)
        if crop is not None and crop.padding > smaller:  # most crops would show only padding
            rule = f"be at most {smaller}, the smaller side of the image"
            found.append(must("augment.random_crop.padding", rule, crop.padding))
        if turns is not None and height != width:
            found.append(must("augment.quarter_turns", "be null for images that are not square", f"{height}×{width}"))
        if blur is not None and blur.size // 2 >= smaller:
            rule = f"be less than twice the smaller side of the image ({smaller})"
            found.append(must("augment.gaussian_blur.size", rule, blur.size))
        found += [
            must(
                f"augment.{name}",
                "be null for images that are neither grey nor of three colours",
                f"{channels} channels",
            )
            for name in _OF_COLOURS
            if getattr(self, name) is not None and channels not in (1, 3)
        ]
        return found

    def _check_flat(self) -> None:
        faults = [
            must(f"augment.{name}", "be null for one-dimensional input", getattr(self, name).model_dump())
            for name in Augment.model_fields
            if name not in _OF_SIGNALS and getattr(self, name) is not None
        ]
        if faults:
            raise ConfigError(*faults)


def _named(key: jax.Array, part: Record) -> jax.Array:
    return jax.random.fold_in(key, zlib.crc32(type(part).__name__.encode()))
