"""Arrays divided among the devices of a mesh, along their first axis: a batch of images, or the members of a sweep.

    >>> with over(None):
    ...     spread(jax.numpy.ones((4, 2))).shape
    (4, 2)

XLA divides all that follows in the same way, and adds up over the devices what is summed over the batch: gradients,
batch statistics, losses (GSPMD: Xu et al. 2021, arXiv:2105.04663).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS: Final = "first"

_mesh: ContextVar[Mesh | None] = ContextVar("mesh", default=None)


@contextmanager
def over(mesh: Mesh | None) -> Iterator[None]:
    """Sets the mesh among whose devices arrays are divided that are traced in the block; None: they stay whole."""
    before = _mesh.set(mesh)
    try:
        yield
    finally:
        _mesh.reset(before)


def spread(x: jax.Array) -> jax.Array:
    """The same array, its first axis divided among the devices; whole where it cannot be divided evenly."""
    mesh = _mesh.get()
    if mesh is None or x.shape[0] % mesh.size:
        return x
    divided: jax.Array = jax.lax.with_sharding_constraint(x, NamedSharding(mesh, PartitionSpec(AXIS)))
    return divided
