"""Accuracy of the network on validation images that are shifted, rotated and scaled; side heads have a line each."""

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner import train
from runner.data import warp
from runner.experiment import Program
from runner.layers.base import Array, Tree
from runner.layers.merging import Auxiliary
from runner.layers.passes import Pass
from runner.network import Network
from runner.run_figures.subject import RunFigure, Subject, has_images

if TYPE_CHECKING:
    from runner.figures.distortions import Distortion

_IMAGES: Final = 1000
_BATCH: Final = 250


class _Kind(NamedTuple):
    """A kind of distortion, and what each amount means as arguments of `warp.affine`: one set for each direction."""

    title: str
    unit: str
    amounts: tuple[float, ...]
    ways: Callable[[float], list[dict[str, float]]]


def _shifts(pixels: float) -> list[dict[str, float]]:
    return [{"down": 0.0, "right": pixels}, {"down": 0.0, "right": -pixels},
            {"down": pixels, "right": 0.0}, {"down": -pixels, "right": 0.0}]  # fmt: skip


def _turns(degrees: float) -> list[dict[str, float]]:
    return [{"angle": math.radians(degrees)}, {"angle": -math.radians(degrees)}]


_KINDS: Final = (
    _Kind("shifted", "pixels, mean of four directions", tuple(range(7)), _shifts),
    _Kind("rotated", "degrees, mean of both directions", (0, 10, 20, 30, 40, 50, 60), _turns),
    _Kind("scaled", "factor", (0.5, 0.6, 0.8, 1, 1.2, 1.4, 1.6), lambda factor: [{"scale": factor}]),
)


def draw(subject: Subject) -> bytes:
    """A panel for each kind of distortion, in pixels of the network's input."""
    from runner.figures import png
    from runner.figures.distortions import distortions

    count = min(_IMAGES, len(subject.dataset.val))
    return png(distortions(measured(subject), names(subject), of=f"validation images ({count:,})"))


def measured(subject: Subject) -> "list[Distortion]":
    """The accuracies of the network and of its side heads under each kind of distortion."""
    from runner.figures.distortions import Distortion

    val = subject.dataset.val
    inputs, labels = val.inputs[:_IMAGES], val.labels[:_IMAGES]
    kinds = []
    for kind in _KINDS:
        found = [[_predicted(subject, inputs, way) for way in kind.ways(amount)] for amount in kind.amounts]
        accuracies = [np.mean([(own == labels).mean(axis=1) for own, _ in ways], axis=0) for ways in found]
        images = [ways[0][1] for ways in found]
        kinds.append(Distortion(kind.title, kind.unit, kind.amounts, images, np.transpose(accuracies).tolist()))
    return kinds


def _predicted(subject: Subject, inputs: Array, way: Mapping[str, float]) -> tuple[Array, Array]:
    """The classes (networks, n) of distorted images, and the first image, from 0 (black) to 1 (white)."""
    trained = subject.trained
    neutral = {"angle": 0.0, "shear": 0.0, "scale": 1.0, "down": 0.0, "right": 0.0}
    amounts = {name: jnp.full((1,), value, jnp.float32) for name, value in (neutral | dict(way)).items()}
    classes, firsts = [], []
    for start in range(0, len(inputs), _BATCH):
        batch = inputs[start : start + _BATCH]
        found, seen = _classified(trained.program, trained.params, trained.statistics, batch, amounts)
        classes.append(np.asarray(found))
        firsts.append(np.asarray(seen[0]))
    black, white = (np.asarray(one, np.float32) for one in trained.value_range)
    return np.concatenate(classes, axis=1), (firsts[0] - black) / (white - black)


@jax.jit
def _classified(
    program: Program, params: Tree, statistics: Tree, inputs: jax.Array, amounts: dict[str, jax.Array]
) -> tuple[jax.Array, jax.Array]:
    """The classes that the network and its side heads give distorted images, and these images."""
    values = train.value_range_of(program)
    black = jnp.asarray(values[0], jnp.float32).reshape(1, 1, 1, -1)
    fitted = program.network.fitted(inputs, values[0])
    images = warp.look_up(fitted - black, warp.affine(warp.grid(fitted.shape), **amounts)) + black
    # Only side heads are in training, as they are left out otherwise; the layers in them are not.
    at = Pass(training=True, key=jax.random.key(0), held=_held(program.network))
    outputs, _ = program.network.apply(params, statistics, train.normalised(program, images), at)
    heads = [outputs, *(side for side, _ in at.side_outputs.values())]
    return jnp.stack([jnp.argmax(head, axis=-1) for head in heads]), images


def _side_heads(network: Network) -> list[str]:
    """The paths of the side heads, in the order in which they are computed."""
    return [here.path for here in network.located() if here.path.rpartition("_")[2] == Auxiliary.kind]


def _held(network: Network) -> frozenset[str]:
    """The paths of all layers but side heads and the layers around them."""
    heads = _side_heads(network)
    return frozenset(
        here.path for here in network.located() if not any(f"{head}.".startswith(f"{here.path}.") for head in heads)
    )


def names(subject: Subject) -> list[str]:
    """The network and its side heads in words: whether they convolve, and their parameters."""
    network = subject.network
    sizes = {path: math.prod(shape) for path, shape in network.shapes()[0].items()}
    heads = _side_heads(network)
    convolving = network.kernels()

    def inside(path: str, head: str) -> bool:
        return path.startswith(f"{head}.")

    own = [path for path in sizes if not any(inside(path, head) for head in heads)]
    groups = [own, *([path for path in sizes if inside(path, head)] for head in heads)]
    return [
        f"{'convolutional' if any(path in convolving for path in group) else 'fully connected'}, "
        f"{sum(sizes[path] for path in group):,} parameters"
        for group in groups
    ]


FIGURE = RunFigure(draw, "accuracy on shifted, rotated and scaled validation images", suits=has_images)
