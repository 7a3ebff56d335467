"""The same images before and after every part of the augmentation, each part alone and then all together.

>>> from runner.data.augment import HorizontalFlip
>>> images = np.zeros((4, 8, 8, 1), np.float32)
>>> [(row.name, row.strengths) for row in changed(Augment(horizontal_flip=HorizontalFlip()), images)]
[('horizontal_flip', 'probability 0.5')]
"""

from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner.data.augment import Augment
from runner.data.fit import Fit, fit
from runner.data.value_range import UNIT, Range
from runner.errors import shown

_LONGEST: Final = 120


class Row(NamedTuple):
    """What one part of the augmentation, with its strength, makes of the images: float32 (n, h, w, c) in 0 … 1."""

    name: str
    strengths: str
    images: np.ndarray[Any, Any]


def seen(images: np.ndarray[Any, Any], size: tuple[int, int], how: Fit, values: Range) -> np.ndarray[Any, Any]:
    """Images of the data as a network sees them, before its normalisation: float32 in 0 (black) … 1 (white)."""
    black, white = (np.asarray(end, np.float32) for end in values)
    fitted = np.asarray(fit(jnp.asarray(images), size, how, black=black))
    return (fitted - black) / (white - black)


def changed(augment: Augment, images: np.ndarray[Any, Any], *, seed: int = 0) -> list[Row]:
    """A row for each part that is on, and one for all of them if there are several.

    Windows of files are shown as windows of these images.
    """
    augment = augment.of_decoded()
    parts = {name: part for name in type(augment).model_fields if (part := getattr(augment, name)) is not None}
    rows = [
        Row(name, _strengths(part), _applied(Augment().model_copy(update={name: part}), images, seed))
        for name, part in parts.items()
    ]
    return [*rows, Row("all of them", "", _applied(augment, images, seed))] if len(rows) > 1 else rows


def _applied(augment: Augment, images: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
    @jax.jit
    def apply(values: jax.Array, key: jax.Array) -> jax.Array:
        return augment.apply(values, jnp.eye(len(images), dtype=jnp.float32), key=key, values=UNIT)[0]

    return np.asarray(apply(jnp.asarray(images, jnp.float32), jax.random.key(seed)))


def _strengths(part: Any) -> str:
    """The settings of a part: `padding 4, padding_mode zeros`."""
    return ", ".join(f"{field} {shown(value, _LONGEST)}" for field, value in part.model_dump().items())
