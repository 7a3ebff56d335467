"""Where a NaN was made: the operation, and the layer by its path in the YAML."""

from runner.errors import Fault, TrainingError
from runner.layers.passes import layer_of


def located(error: FloatingPointError) -> TrainingError:
    """The error for a NaN that JAX found with `jax_debug_nans`: which operation made it, and in which layer.

    JAX then checks the output of every program, and runs one that made a NaN again, operation by operation.
    """
    operation = str(error).split(" encountered in ")[-1].split(". ")[0].split("\n")[0].rstrip(".")
    place = layer_of(error)
    text = f"must stay finite, made a NaN in {operation}"
    return TrainingError(
        Fault(place or "train", text + ("" if place else " (in the loss, the gradient or the update)"))
    )
