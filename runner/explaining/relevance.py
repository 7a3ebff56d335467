"""Which pixels matter for a class: Grad-CAM, occlusion, saliency and integrated gradients.

>>> sight = Sight(trained, placement)
>>> [image] = sight.seen(images[:1])
>>> saliency(sight, image, 3).shape
(8, 8)

Each takes an image of the network's input (h, w, c) and a class, and returns a map (h, w) of its pixels.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import jax
import jax.numpy as jnp
import numpy as np

from runner.experiment import Program
from runner.explaining.sight import Array, Sight, apply
from runner.layers.base import Tree

_STEPS: Final = 64


def grad_cam(sight: Sight, image: Array, label: int, path: str) -> Array:
    """Where the maps of the layer at `path` speak for a class: their sum, each weighted by its mean gradient, above 0.

    Source: Selvaraju et al. 2016, arXiv:1610.02391. Enlarged to the image by bilinear interpolation.
    """
    [found] = sight.in_batches(_grad_cam, image[None], np.array([label], np.int32), static=(path,))
    resized = jax.image.resize(found, image.shape[:2], "linear")
    return np.asarray(resized)


def _grad_cam(
    program: Program, path: str, params: Tree, statistics: Tree, images: jax.Array, labels: jax.Array
) -> jax.Array:
    maps, gradients = _maps_and_gradients(program, path, params, statistics, images, labels)
    weights = gradients.mean(axis=(1, 2), keepdims=True)  # (n, 1, 1, c)
    return jax.nn.relu((weights * maps).sum(axis=-1))


def _maps_and_gradients(
    program: Program, path: str, params: Tree, statistics: Tree, images: jax.Array, labels: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The output of a layer, and the gradient of the score of each image's class by it, both float32 (n, h, w, c)."""

    def score(shift: jax.Array | None) -> tuple[jax.Array, jax.Array]:
        maps: list[jax.Array] = []

        def tap(own: str, y: jax.Array) -> jax.Array:
            if own != path:
                return y
            moved = y if shift is None else (y.astype(jnp.float32) + shift).astype(y.dtype)
            maps.append(moved)
            return moved

        scores = apply(program, params, statistics, images, tap)
        return jnp.take_along_axis(scores, labels[:, None], axis=1).sum(), maps[0].astype(jnp.float32)

    shape = jax.eval_shape(lambda: score(None)[1])
    gradients, maps = jax.grad(score, has_aux=True)(jnp.zeros(shape.shape, jnp.float32))
    return maps, gradients


def saliency(sight: Sight, image: Array, label: int) -> Array:
    """The size of the gradient of the score of a class by each pixel, the largest of its channels.

    Source: Simonyan, Vedaldi & Zisserman 2013, arXiv:1312.6034, §3.
    """
    [found] = sight.in_batches(_gradient, image[None], np.array([label], np.int32))
    largest: Array = np.abs(found).max(axis=-1)
    return largest


def _gradient(program: Program, params: Tree, statistics: Tree, images: jax.Array, labels: jax.Array) -> jax.Array:
    def score(images: jax.Array) -> jax.Array:
        scores = apply(program, params, statistics, images)
        return jnp.take_along_axis(scores, labels[:, None], axis=1).sum()

    found: jax.Array = jax.grad(score)(images)
    return found


def integrated_gradients(sight: Sight, image: Array, label: int, *, steps: int = _STEPS) -> Array:
    """How much each pixel adds to the score of a class on the straight way from black to the image; (h, w).

    All together are the score of the image less that of black, up to the error of `steps` steps (completeness).
    Source: Sundararajan, Taly & Yan 2017, arXiv:1703.01365; the integral by the midpoint rule.
    """
    black = np.broadcast_to(sight.ends[0], image.shape)
    shares = ((np.arange(steps) + 0.5) / steps).astype(np.float32).reshape(-1, 1, 1, 1)
    way = black + shares * (image - black)
    gradients = sight.in_batches(_gradient, way.astype(np.float32), np.full(steps, label, np.int32))
    found: Array = ((image - black) * gradients.mean(axis=0)).sum(axis=-1)
    return found


def occlusion(sight: Sight, image: Array, label: int, *, size: int = 0, stride: int = 0) -> Array:
    """How much the probability of a class falls if a grey square covers a pixel, the mean over such squares.

    `size` and `stride` of the square are in pixels; 0 chooses a sixth of the shorter side, and half of the square.
    Source: Zeiler & Fergus 2013, arXiv:1311.2901, §4.2.
    """
    height, width, _ = image.shape
    size = size or max(1, round(min(height, width) / 6))
    stride = stride or max(1, size // 2)
    corners = [(top, left) for top in starts(height, size, stride) for left in starts(width, size, stride)]
    covered = np.repeat(image[None], len(corners) + 1, axis=0)
    for one, (top, left) in zip(covered[1:], corners, strict=True):
        one[top : top + size, left : left + size] = sight.grey
    whole, *rest = sight.probabilities(covered)[:, label]
    falls, counts = np.zeros((height, width)), np.zeros((height, width))
    for share, (top, left) in zip(rest, corners, strict=True):
        falls[top : top + size, left : left + size] += whole - share
        counts[top : top + size, left : left + size] += 1
    return (falls / counts).astype(np.float32)


def starts(length: int, size: int, stride: int) -> list[int]:
    """The first pixels of windows along an axis; the last window ends with the axis, so that every pixel is covered."""
    return sorted({*range(0, max(length - size, 0) + 1, stride), max(length - size, 0)})


Method = Callable[[Sight, Array, int, str], Array]
METHODS: Final[Mapping[str, Method]] = MappingProxyType(
    {
        "grad_cam": grad_cam,
        "occlusion": lambda sight, image, label, path: occlusion(sight, image, label),
        "saliency": lambda sight, image, label, path: saliency(sight, image, label),
        "integrated_gradients": lambda sight, image, label, path: integrated_gradients(sight, image, label),
    }
)
"""The methods by name; each takes the sight, the image, the class and the path of a layer."""
