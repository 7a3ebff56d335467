"""Where a NaN was made: the operation, and the layer by its path in the YAML."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax

from runner.errors import Fault, TrainingError
from runner.layers.passes import layer_of


@contextmanager
def located(enabled: bool) -> Iterator[None]:
    """Where `enabled`, stops at the operation that made a NaN. Raises TrainingError, which says which it was.

    JAX checks the output of every program, and runs one that made a NaN again, operation by operation.
    """
    if not enabled:
        yield
        return
    try:
        with jax.debug_nans(True):
            yield
    except FloatingPointError as error:
        operation = str(error).split(" encountered in ")[-1].split(". ")[0].split("\n")[0].rstrip(".")
        place = layer_of(error)
        text = f"must stay finite, made a NaN in {operation}"
        raise TrainingError(
            Fault(place or "train", text + ("" if place else " (in the loss, the gradient or the update)"))
        ) from error
