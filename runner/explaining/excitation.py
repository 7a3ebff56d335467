"""What excites the filters of a layer most: images of the data, and images that are made for it.

>>> values, positions = responses(sight, images, "0_conv")      # of the largest response of each filter to each image
>>> values.shape, positions.shape
((5, 4), (5, 4, 2))
"""

from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from runner import train
from runner.experiment import Program
from runner.explaining.sight import Array, Sight, output_of
from runner.layers.base import Tree

_STEPS: Final = 96
_STEP_SIZE: Final = 0.04  # of the way from black to white, for the mean pixel
_SHIFT: Final = 2  # pixels by which the image is moved at random before each step


def responses(sight: Sight, inputs: Array, path: str) -> tuple[Array, Array]:
    """The largest value of each filter's map for each image (n, c), and its position (n, c, 2) as row and column.

    `inputs` are in the form of the data.
    """
    values, flat, width = sight.in_batches(_responses, inputs, static=(path,))
    return values, np.stack([flat // width[:, None], flat % width[:, None]], axis=-1)


def _responses(
    program: Program, path: str, params: Tree, statistics: Tree, inputs: jax.Array
) -> tuple[jax.Array, jax.Array, jax.Array]:
    images = program.network.fitted(inputs, train.value_range_of(program)[0])
    maps = output_of(program, path, params, statistics, images)
    n, _, width, channels = maps.shape
    flat = maps.reshape(n, -1, channels)
    return flat.max(axis=1), flat.argmax(axis=1), jnp.full(n, width)


def lively(values: Array, count: int) -> list[int]:
    """The filters, in order, whose responses (n, c) to images differ most; dead ones come last."""
    spread = values.std(axis=0)
    return sorted(int(place) for place in np.argsort(-spread, kind="stable")[:count])


def made(sight: Sight, path: str, channels: list[int], *, steps: int = _STEPS, seed: int = 0) -> tuple[Array, Array]:
    """An image (n, h, w, c) for each of these filters, made to excite it by gradient ascent from grey noise.

    Beside it the mean of the filter's map for its image, (n,).

    The image is moved and smoothed a little between the steps, else it becomes noise of high frequency.
    Source: Erhan et al. 2009, Montréal TR 1341; Olah, Mordvintsev & Schubert 2017, doi:10.23915/distill.00007.
    """
    shape = sight.trained.program.network.input_shape
    noise = np.random.default_rng(seed).normal(0, 0.02, (len(channels), *shape)).astype(np.float32)
    low, high = (np.broadcast_to(end, (shape[-1],)) for end in sight.ends)
    began = sight.grey + noise * (high - low)
    images, means = sight.call(
        _made,
        began.astype(np.float32),
        np.array(channels, np.int32),
        np.int32(steps),
        np.uint32(seed),
        static=(path,),
    )
    return np.asarray(images), np.asarray(means)


def _made(
    program: Program,
    path: str,
    params: Tree,
    statistics: Tree,
    began: jax.Array,
    channels: jax.Array,
    steps: jax.Array,
    seed: jax.Array,
) -> tuple[jax.Array, jax.Array]:
    ends = train.value_range_of(program)
    low, high = (jnp.broadcast_to(jnp.asarray(end, jnp.float32), began.shape[-1:]).reshape(1, 1, 1, -1) for end in ends)

    def means(images: jax.Array) -> jax.Array:  # (n,)
        maps = output_of(program, path, params, statistics, images)
        own = jnp.take_along_axis(maps, channels[:, None, None, None], axis=-1)
        return own.mean(axis=(1, 2, 3))

    def step(number: jax.Array, images: jax.Array) -> jax.Array:
        key = jax.random.fold_in(jax.random.key(seed), number)
        shift = jax.random.randint(key, (2,), -_SHIFT, _SHIFT + 1)
        moved = jnp.roll(images, shift, axis=(1, 2))
        gradient = jax.grad(lambda images: means(images).sum())(moved)
        size = jnp.sqrt(jnp.mean(gradient**2, axis=(1, 2, 3), keepdims=True)) + 1e-12
        moved = moved + _STEP_SIZE * (high - low) * gradient / size
        moved = jnp.roll(moved, -shift, axis=(1, 2))
        return jnp.clip(jnp.where(number % 4 == 3, _smoothed(moved), moved), low, high)

    images = lax.fori_loop(0, steps, step, began)
    return images, means(images)


def _smoothed(images: jax.Array) -> jax.Array:
    """Each pixel with an eighth of each of its four neighbours."""
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    neighbours = padded[:, :-2, 1:-1] + padded[:, 2:, 1:-1] + padded[:, 1:-1, :-2] + padded[:, 1:-1, 2:]
    return images / 2 + neighbours / 8
