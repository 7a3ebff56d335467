"""A trained model as a self-contained folder: an exported program, its variables, and facts about inputs and outputs.

    save_model(folder, function=probabilities, variables=params, images=images, classes=("0", ...))
    ServedModel(folder).predict(images)   # (n, h, w, c) → (n, k)

Loading it needs neither the YAML of the experiment nor the code of its layers. MLflow's pyfunc calls `_load_pyfunc`.
Serialisation: jax.export, https://docs.jax.dev/en/latest/export/export.html.
"""

import contextlib
import itertools
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

_PROGRAM, _VARIABLES, _FACTS, _EXAMPLE = "model.jax_export", "variables.npz", "model.json", "example.npy"
_PLATFORMS = ("cpu", "cuda", "tpu")
# Images are predicted in blocks of at most this size, padded to a power of two: few sizes mean few compilations.
_BLOCK = 256
# What jax.export raises for a program that can be exported for one platform or a fixed number of images only.
_NOT_EXPORTABLE = (
    NotImplementedError,  # an operation that a platform does not have
    jax.errors.InconclusiveDimensionOperation,  # a result that depends on the number of images
    TypeError,  # an array of NumPy, which needs that number
    ValueError,  # a Pallas kernel
)


@dataclass(frozen=True)
class ModelFacts:
    """The inputs of a saved model, images of `input_shape` (h, w, c), and its outputs, one value per class.

    `input_range` has the values of black and white in training, or the first and last token of a vocabulary; None for
    bytes, or if unknown. `batch_size` is None if the program accepts any number of images.
    """

    input_shape: tuple[int, ...]
    input_dtype: str
    output_dtype: str
    classes: tuple[str, ...]
    platforms: tuple[str, ...]
    batch_size: int | None = None
    input_range: tuple[float, float] | None = None

    @property
    def reads(self) -> str:
        """The rule for inputs as text, for errors and the model's metadata in MLflow."""
        if self.input_dtype == "uint8":
            return "whole numbers from 0 to 255, of any integer type"
        if self.input_dtype == "int32":
            last = "" if self.input_range is None else f" to {self.input_range[1]:g}"
            return f"tokens, whole numbers from 0{last}, of any integer type"
        trained = "" if self.input_range is None else f", in the unit of training: {_ends(self.input_range)}"
        return f"finite numbers that fit float32{trained}"


def save_model(
    folder: Path,
    *,
    function: Callable[[Any, jax.Array], jax.Array],
    variables: Any,
    images: "np.ndarray[Any, Any]",
    classes: tuple[str, ...],
    input_range: tuple[float, float] | None = None,
) -> ModelFacts:
    """Writes a function of (variables, images (n, h, w, c)) that returns probabilities (n, k) to a folder.

    `images` give the size and type of inputs; the first is the model's input example. The program is lowered for CPU,
    CUDA and TPU and any number of images, if possible; else for this platform or a fixed number.
    """
    leaves, structure = jax.tree.flatten(jax.tree.map(jnp.asarray, variables))

    def program(leaves: list[jax.Array], images: jax.Array) -> jax.Array:
        return function(jax.tree.unflatten(structure, leaves), images)

    made, batch_size = exported(program, (leaves,), images.shape[1:], images.dtype)
    facts = ModelFacts(
        input_shape=images.shape[1:],
        input_dtype=str(images.dtype),
        output_dtype=str(made.out_avals[0].dtype),
        classes=tuple(classes),
        platforms=tuple(made.platforms),
        batch_size=batch_size,
        input_range=input_range,
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PROGRAM).write_bytes(made.serialize())
    arrays = {f"leaf_{index}": np.asarray(leaf) for index, leaf in enumerate(leaves)}
    np.savez(folder / _VARIABLES, allow_pickle=False, **arrays)
    np.save(folder / _EXAMPLE, images[:1], allow_pickle=False)
    (folder / _FACTS).write_text(json.dumps(asdict(facts), indent=2), encoding="utf-8")
    return facts


def exported(
    program: Callable[..., jax.Array], before: tuple[Any, ...], input_shape: tuple[int, ...], dtype: np.dtype[Any]
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
    *earlier, last = itertools.product((any_number, _BLOCK), (_PLATFORMS, this_platform))
    for size, platforms in earlier:
        with contextlib.suppress(*_NOT_EXPORTABLE):
            return attempt(size, platforms)
    return attempt(*last)


def _array(shape: tuple[Any, ...], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, dtype)


def described(folder: Path) -> ModelFacts:
    """The facts of the model in a folder."""
    stored: dict[str, Any] = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    facts: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in stored.items()}
    return ModelFacts(**facts)


def example(folder: Path) -> "np.ndarray[Any, Any]":
    """The input example of the model in a folder: (1, h, w, c)."""
    images: np.ndarray[Any, Any] = np.load(folder / _EXAMPLE, allow_pickle=False)
    return images


class ServedModel:
    """A saved model, ready to predict."""

    def __init__(self, folder: Path) -> None:
        """Reads the folder; the program is compiled at the first prediction."""
        self.facts = described(folder)
        stored_program = export.deserialize(bytearray((folder / _PROGRAM).read_bytes()))
        with np.load(folder / _VARIABLES, allow_pickle=False) as stored:
            leaves = [stored[f"leaf_{index}"] for index in range(len(stored.files))]
        # An .npz stores bfloat16 as two raw bytes; the program has the type.
        self._leaves = [leaf.view(aval.dtype) for leaf, aval in zip(leaves, stored_program.in_avals[:-1], strict=True)]
        self._call = jax.jit(stored_program.call)

    def predict(self, inputs: Any, params: dict[str, Any] | None = None) -> "np.ndarray[Any, Any]":
        """Probabilities (n, k) of images (n, h, w, c). `params` is MLflow's, and unused.

        Raises ValueError if the images have another size than in training, or values in another unit (see `converted`).
        """
        images = np.asarray(inputs)
        if images.shape[1:] != self.facts.input_shape:
            raise ValueError(f"images: must have the shape (n, {str(self.facts.input_shape)[1:]}, got {images.shape}")
        images = converted(images, self.facts)
        answers = [self._block(images[start : start + _BLOCK]) for start in range(0, len(images), _BLOCK)]
        empty = np.zeros((0, len(self.facts.classes)), self.facts.output_dtype)
        return np.concatenate([empty, *answers])

    def _block(self, images: "np.ndarray[Any, Any]") -> "np.ndarray[Any, Any]":
        size = self.facts.batch_size or 1 << (len(images) - 1).bit_length()
        padding = [(0, size - len(images)), *[(0, 0)] * (images.ndim - 1)]
        return np.asarray(self._call(self._leaves, np.pad(images, padding)))[: len(images)]


def converted(inputs: "np.ndarray[Any, Any]", facts: ModelFacts) -> "np.ndarray[Any, Any]":
    """Converts inputs to the type of the model's inputs; values are unchanged.

    Raises ValueError if that is impossible: fractions or 300 for bytes, tokens beyond the vocabulary, infinities. Also
    rejects floats farther from black and white than these are from each other: another unit, 0 … 255 for 0 … 1.
    """
    dtype = np.dtype(facts.input_dtype)
    if dtype.kind in "ui":
        if inputs.dtype.kind not in "ui":
            hint = "; multiply 0 … 1 by 255 and round" if facts.input_dtype == "uint8" else ""
            raise ValueError(f"images: must be {facts.reads}, got {inputs.dtype}{hint}")
        limits = np.iinfo(dtype)
        least, most = (0, limits.max) if facts.input_range is None else facts.input_range
    else:
        if inputs.dtype.kind not in "uif":
            raise ValueError(f"images: must be {facts.reads}, got {inputs.dtype}")
        largest = float(np.finfo(np.float32).max)
        least, most = -largest, largest
        if facts.input_range is not None:
            black, white = facts.input_range
            least, most = max(least, 2 * black - white), min(most, 2 * white - black)
    if inputs.size and not (least <= inputs.min() and inputs.max() <= most):
        raise ValueError(f"images: must be {facts.reads}, got {inputs.min():g} to {inputs.max():g}")
    return inputs.astype(dtype, copy=False)


def _ends(values: tuple[float, float]) -> str:
    return f"{values[0]:g} … {values[1]:g}"


def _load_pyfunc(path: str) -> ServedModel:
    """The entry point of MLflow, whose `loader_module` is this module."""
    return ServedModel(Path(path))
