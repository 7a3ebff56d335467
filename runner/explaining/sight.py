"""A network as it is explained: its scores and the outputs of its layers for images in the size of its input.

>>> sight = Sight(trained, placement)
>>> seen = sight.seen(images)          # (n, h, w, c), as the network's input, before normalisation
>>> sight.probabilities(seen).shape
(5, 10)

Views of an image at evaluation (`train.test_time`) are left out: the image itself is explained.
"""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import jax
import jax.numpy as jnp
import numpy as np

from runner import compiling, train
from runner.experiment import Program
from runner.layers import sequence
from runner.layers.base import Tree
from runner.layers.passes import Pass, Tap
from runner.placement import Placement
from runner.trained import Trained

Array = np.ndarray[Any, Any]
_VALUES: Final = 2**23  # of the inputs that are computed together: 32 MB


@dataclass(frozen=True, eq=False)
class Sight:
    """A trained network on a device."""

    trained: Trained
    placement: Placement

    def call(self, function: Callable[..., Any], *args: Any, static: tuple[Any, ...] = ()) -> Any:
        """Calls `function(program, *static, params, statistics, *args)`, compiled once for each value of `static`."""
        trained = self.trained
        compiled = compiling.special(trained.program, self.placement, function, static)
        return compiled(compiling.leaves(trained.program), trained.params, trained.statistics, *args)

    def in_batches(
        self, function: Callable[..., Any], images: Array, *args: Array, static: tuple[Any, ...] = ()
    ) -> Any:
        """`call` for many images with one of each of `args`, some at a time; the arrays of the results are joined."""
        size = max(1, min(len(images), 64, _VALUES // max(images[0].size, 1)))
        parts = []
        for start in range(0, len(images), size):
            some = [array[start : start + size] for array in (images, *args)]
            count = len(some[0])
            # Filled up to one size, so that all batches use one program.
            full = [np.concatenate([array, np.repeat(array[-1:], size - count, axis=0)]) for array in some]
            found = self.call(function, *full, static=static)
            parts.append(jax.tree.map(lambda array, count=count: np.asarray(array)[:count], found))
        return jax.tree.map(lambda *arrays: np.concatenate(arrays), *parts)

    def seen(self, inputs: Array) -> Array:
        """Inputs in the form of the data as images of the network's input, float32 (n, h, w, c); bytes become 0 … 1."""
        found: Array = self.in_batches(_seen, inputs)
        return found

    def scores(self, images: Array) -> Array:
        """The outputs (n, k) for such images, before a softmax."""
        found: Array = self.in_batches(_scores, images)
        return found

    def probabilities(self, images: Array) -> Array:
        """Class probabilities (n, k) of such images."""
        found: Array = self.in_batches(_probabilities, images)
        return found

    def outputs(self, images: Array, path: str) -> Array:
        """The output (n, …) of the layer at a path."""
        found: Array = self.in_batches(_output, images, static=(path,))
        return found

    @property
    def grey(self) -> Array:
        """The mean of the training images for each channel (c,), which normalisation makes zero."""
        return np.asarray(self.trained.program.mean, np.float32)

    @property
    def ends(self) -> tuple[Array, Array]:
        """The values of black and of white for each channel, or one for all."""
        black, white = (np.asarray(values, np.float32) for values in self.trained.value_range)
        return black, white

    def shuffled(self, seed: int = 0) -> "Sight":
        """The same network with the values of each parameter in a random order: it has learnt nothing.

        Their sizes stay the same, so that the activations stay in their range.
        Source: the model parameter randomisation test of Adebayo et al. 2018, arXiv:1810.03292.
        """
        generator = np.random.default_rng(seed)

        def shuffle(leaf: Any) -> Array:
            values = np.asarray(leaf)
            return generator.permutation(values.ravel()).reshape(values.shape)

        return Sight(
            dataclasses.replace(self.trained, params=jax.tree.map(shuffle, self.trained.params)), self.placement
        )


def apply(program: Program, params: Tree, statistics: Tree, images: jax.Array, tap: Tap | None = None) -> jax.Array:
    """The scores (n, k), float32, for images of the network's input (n, h, w, c); `tap` sees every layer's output.

    Scores are what the last layer gives, or its input if it is a softmax.
    """
    network = program.network
    last = len(network.layers) - 1
    before = (
        sequence.name(last - 1, network.layers[last - 1]) if last and network.layers[last].kind == "softmax" else ""
    )
    scores: list[jax.Array] = []

    def noted(path: str, y: jax.Array) -> jax.Array:
        y = y if tap is None else tap(path, y)
        if path == before:
            scores.append(y)
        return y

    at = Pass(training=False, key=jax.random.key(0), tap=noted)
    y, _ = network.apply(params, statistics, train.normalised(program, images), at)
    return (scores[0] if scores else y).astype(jnp.float32)


def output_of(program: Program, path: str, params: Tree, statistics: Tree, images: jax.Array) -> jax.Array:
    """The output of the layer at a path, float32."""
    found: list[jax.Array] = []

    def tap(own: str, y: jax.Array) -> jax.Array:
        if own == path:
            found.append(y)
        return y

    apply(program, params, statistics, images, tap)
    return found[0].astype(jnp.float32)


def _seen(program: Program, params: Tree, statistics: Tree, inputs: jax.Array) -> jax.Array:
    return program.network.fitted(inputs, train.value_range_of(program)[0])


def _scores(program: Program, params: Tree, statistics: Tree, images: jax.Array) -> jax.Array:
    return apply(program, params, statistics, images)


def _probabilities(program: Program, params: Tree, statistics: Tree, images: jax.Array) -> jax.Array:
    network = program.network
    y, _ = network.apply(
        params, statistics, train.normalised(program, images), Pass(training=False, key=jax.random.key(0))
    )
    return program.loss.probabilities(y.astype(jnp.float32))


def _output(program: Program, path: str, params: Tree, statistics: Tree, images: jax.Array) -> jax.Array:
    return output_of(program, path, params, statistics, images)
