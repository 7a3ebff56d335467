"""A trained model as a self-contained folder: an exported program, its variables, facts, and the code that loads it.

    save_model(folder, function=probabilities, variables=params, images=images, classes=("0", ...))
    ServedModel(folder).predict(images)   # [{"class": "3", "probability": 0.9, "top": [...]}, ...]

Loading it needs neither the YAML of the experiment nor this project: the folder has copies of the modules that do it.
Serialisation: jax.export, https://docs.jax.dev/en/latest/export/export.html.
"""

import contextlib
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from runner.data.inputs import Inputs
from runner.serving import shipping
from runner.serving.model import BLOCK, ModelFacts, write

_PLATFORMS = ("cpu", "cuda", "tpu")
# What jax.export raises for a program that can be exported for one platform or a fixed number of images only.
_NOT_EXPORTABLE = (
    NotImplementedError,  # an operation that a platform does not have
    jax.errors.InconclusiveDimensionOperation,  # a result that depends on the number of images
    TypeError,  # an array of NumPy, which needs that number
    ValueError,  # a Pallas kernel
)


def save_model(
    folder: Path,
    *,
    function: Callable[[Any, jax.Array], jax.Array],
    variables: Any,
    images: "np.ndarray[Any, Any]",
    classes: tuple[str, ...],
    inputs: Inputs | None = None,
    form: str = "classes",
    threshold: float = 0.5,
) -> ModelFacts:
    """Writes a function of (variables, images (n, h, w, c)) that returns answers (n, k) to a folder.

    Answers are probabilities of classes, or of labels, which are given from `threshold` on, or numbers, as `form` says.

    `images` give the size and type of inputs; the first is the model's input example. `inputs` says how files and texts
    become inputs. The program is lowered for CPU, CUDA and TPU and any number of images, if possible; else for this
    platform or a fixed number.
    """
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, variables))

    def program(leaves: list[jax.Array], images: jax.Array) -> jax.Array:
        return function(jax.tree.unflatten(structure, leaves), images)

    made, batch_size = exported(program, (leaves,), images.shape[1:], images.dtype)
    facts = ModelFacts(
        inputs=inputs or Inputs(images.shape[1:], str(images.dtype)),
        output_dtype=str(made.out_avals[0].dtype),
        classes=tuple(classes),
        platforms=tuple(made.platforms),
        batch_size=batch_size,
        form=form,
        threshold=threshold,
    )
    write(folder, facts, bytes(made.serialize()), list(map(np.asarray, leaves)), images[:1])
    shipping.write(folder)
    return facts


def exported(
    program: Callable[..., Any], before: tuple[Any, ...], input_shape: tuple[int, ...], dtype: np.dtype[Any]
) -> tuple[export.Exported, int | None]:
    """The exported program of (*before, images (n, *input_shape)), and its batch size if that is fixed.

    `before` are pytrees of arrays or of their shapes. Lowered for CPU, CUDA and TPU and any n if possible.
    """
    specs = jax.tree.map(lambda leaf: _array(leaf.shape, leaf.dtype), before)
    (any_number,) = export.symbolic_shape("n")

    def attempt(size: Any, platforms: tuple[str, ...]) -> tuple[export.Exported, int | None]:
        images = _array((size, *input_shape), dtype)
        made = export.export(jax.jit(program), platforms=platforms)(*specs, images)
        return made, None if size is any_number else size

    this_platform = (export.default_export_platform(),)
    *earlier, last = itertools.product((any_number, BLOCK), (_PLATFORMS, this_platform))
    for size, platforms in earlier:
        with contextlib.suppress(*_NOT_EXPORTABLE):
            return attempt(size, platforms)
    return attempt(*last)


def _array(shape: tuple[Any, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)
