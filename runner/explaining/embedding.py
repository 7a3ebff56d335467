"""The outputs of the last hidden layer in two dimensions: examples that the network finds alike lie together.

>>> principal(np.array([[0.0, 0.0], [2.0, 0.0], [4.0, 0.1]])).shape
(3, 2)
"""

import jax
import jax.numpy as jnp
import numpy as np

from runner import train
from runner.experiment import Program
from runner.explaining.sight import Array, Sight, apply
from runner.layers.base import Tree
from runner.network import Network


def last_weighted(network: Network) -> str | None:
    """The path of the last layer that multiplies by weights: what it reads is the output of the last hidden layer."""
    weighted = [row.located.path for row in network.rows if row.multiply_adds]
    return weighted[-1] if weighted else None


def hidden(sight: Sight, inputs: Array) -> Array:
    """The outputs (n, k) of the layer before the last one with weights; feature maps as the mean of their positions.

    `inputs` are in the form of the data.
    """
    path = last_weighted(sight.trained.program.network)
    found: Array = sight.in_batches(_hidden, inputs, static=(path,))
    return found


def _hidden(program: Program, path: str | None, params: Tree, statistics: Tree, inputs: jax.Array) -> jax.Array:
    images = program.network.fitted(inputs, train.value_range_of(program)[0])
    before: list[jax.Array] = []
    found: list[jax.Array] = []

    def tap(own: str, y: jax.Array) -> jax.Array:
        if own == path:
            found.extend(before[-1:])
        before.append(y)
        return y

    apply(program, params, statistics, images, tap)
    values = (found or before[:1] or [images])[0].astype(jnp.float32)
    return values.mean(axis=tuple(range(1, values.ndim - 1))) if values.ndim > 2 else values


def principal(values: Array) -> Array:
    """The two principal components (n, 2) of values (n, k); each axis points to where its largest value lies."""
    centred = values.astype(np.float64) - values.mean(axis=0)
    left, sizes, _ = np.linalg.svd(centred, full_matrices=False)
    found = left[:, :2] * sizes[:2]
    if found.shape[1] < 2:
        found = np.pad(found, ((0, 0), (0, 2 - found.shape[1])))
    signs = np.sign(found[np.abs(found).argmax(axis=0), range(2)])
    turned: Array = found * np.where(signs == 0, 1, signs)
    return turned


def neighbours(values: Array, *, seed: int = 0) -> Array:
    """The embedding (n, 2) of values (n, k) by t-SNE, which keeps neighbours together; n must be at least 4.

    Source: van der Maaten & Hinton 2008, JMLR 9.
    """
    from sklearn.manifold import TSNE  # takes a second to import

    perplexity = min(30.0, (len(values) - 1) / 3)
    method = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    found: Array = method.fit_transform(values.astype(np.float32))
    return found


def nearest(values: Array, others: Array, count: int) -> Array:
    """The places (n, count) in `others` (m, k) of those nearest to values (n, k), the nearest first; at most m.

    >>> nearest(np.array([[0.0], [5.0]]), np.array([[4.0], [1.0], [8.0]]), 2).tolist()
    [[1, 0], [0, 2]]
    """
    own, theirs = (each.astype(np.float64) for each in (values, others))
    squares = (own**2).sum(axis=1)[:, None] + (theirs**2).sum(axis=1) - 2 * own @ theirs.T
    found: Array = np.argsort(squares, axis=1, kind="stable")[:, :count]
    return found
