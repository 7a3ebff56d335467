"""The views of a test image: evaluation takes the mean of what the network answers to them.

>>> views = Views(views="ten_crops", margin=4)
>>> [(place.top, place.left) for place in views.places[:5]]
[(0, 0), (0, 4), (4, 0), (4, 4), (2, 2)]
"""

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge
from pydantic import Field

from runner.errors import Fault, must
from runner.graph import Graph
from runner.records import Record


class Place(NamedTuple):
    """Where a view lies in a larger image, in pixels, and whether it is mirrored."""

    top: int
    left: int
    mirrored: bool


class Views(Record):
    """What evaluation and prediction look at in each image. The network is trained without it."""

    views: Literal["one", "mirror", "five_crops", "ten_crops"] = Field(
        "one",
        description="one: the image. mirror: the mean of the outputs for an image and its mirror image. five_crops: "
        "the mean of the probabilities for the corners and the middle of a larger image; ten_crops: and for their "
        "mirror images, as Krizhevsky, Sutskever & Hinton 2012 (§4.1).",
    )
    margin: Annotated[int, Ge(1)] | None = Field(
        None,
        description="For crops: images are fitted to this many rows and columns more than the network's input has. "
        "Krizhevsky took windows of 224 from 256 pixels: 32.",
    )

    @property
    def places(self) -> tuple[Place, ...]:
        """The places of crops; there are none for other views."""
        if not self.views.endswith("crops") or self.margin is None:
            return ()
        far, middle = self.margin, self.margin // 2
        corners = [(0, 0), (0, far), (far, 0), (far, far), (middle, middle)]
        mirrors = (False, True) if self.views == "ten_crops" else (False,)
        return tuple(Place(top, left, mirrored) for mirrored in mirrors for top, left in corners)

    def faults(self) -> list[Fault]:
        """What does not fit together in it, by the paths of `train`."""
        if self.views.endswith("crops") == (self.margin is not None):
            return []
        rule = f"be {'given' if self.margin is None else 'null'} for {self.views}"
        return [must("train.test_time.margin", rule, self.margin)]


def crop(images: jax.Array, place: jax.Array, margin: int) -> jax.Array:
    """The view (n, h, w, c) of images (n, h + margin, w + margin, c) at a `Place`, given as its three numbers (3,)."""
    for axis, start in ((1, place[0]), (2, place[1])):
        images = jax.lax.dynamic_slice_in_dim(images, start, images.shape[axis] - margin, axis=axis)
    return jnp.where(place[2] > 0, jnp.flip(images, axis=2), images)


def nodes(graph: Graph, x: str, views: Views, shape: tuple[int, ...]) -> str:
    """Adds the views of images to an ONNX graph, one after another: (views · n, c, h, w) for a `shape` (h, w, c)."""
    if views.views == "one":
        return x
    found = [x] if views.views == "mirror" else []
    for top, left, mirrored in views.places:
        bounds = ([top, left], [top + shape[0], left + shape[1]], [2, 3])
        view = graph.node("Slice", x, *map(graph.constant, bounds))
        found.append(_mirrored(graph, view) if mirrored else view)
    if views.views == "mirror":
        found.append(_mirrored(graph, x))
    return graph.node("Concat", *found, axis=0)


def _mirrored(graph: Graph, x: str) -> str:
    bounds = ([-1], [np.iinfo(np.int64).min], [3], [-1])
    return graph.node("Slice", x, *map(graph.constant, bounds))
