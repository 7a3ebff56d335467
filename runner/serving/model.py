"""A saved model: its folder, and its answers to what clients send.

>>> served = ServedModel(folder)
>>> [answer] = served.predict(images[:1], params={"top_k": 2})
>>> len(answer["top"])
2

Needs JAX, NumPy and Pillow only: this module is part of every logged model.
"""

import base64
import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jax import export

from runner import cores
from runner.answers import as_json, best, labels_as_json, numbers_as_json
from runner.data.inputs import Inputs
from runner.data.pixels import MODES
from runner.data.threads import in_threads
from runner.data.vocabulary import FILE as VOCABULARY
from runner.data.vocabulary import token_text, vocabulary_from, vocabulary_text
from runner.errors import DataError, must
from runner.serving import requests

BLOCK: Final = 256
"""Inputs are predicted in blocks of at most this size, padded to a power of two: few sizes mean few compilations."""
_PROGRAM, _VARIABLES, _FACTS, _EXAMPLE = "model.jax_export", "variables.npz", "model.json", "example.npy"


@dataclass(frozen=True)
class ModelFacts:
    """What a saved model reads and answers: one probability for each class or label, or numbers, as `form` says.

    A label is given from the probability `threshold` on. `batch_size` is None if the program accepts any number of
    inputs.
    """

    inputs: Inputs
    output_dtype: str
    classes: tuple[str, ...]
    platforms: tuple[str, ...]
    batch_size: int | None = None
    form: str = "classes"
    threshold: float = 0.5


def write(folder: Path, facts: ModelFacts, program: bytes, leaves: list[np.ndarray], example: np.ndarray) -> None:
    """Writes the folder of a model, all but the code that loads it; `example` is an input (1, …)."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _PROGRAM).write_bytes(program)
    np.savez(folder / _VARIABLES, allow_pickle=False, **{f"leaf_{index}": leaf for index, leaf in enumerate(leaves)})
    np.save(folder / _EXAMPLE, example, allow_pickle=False)
    if facts.inputs.vocabulary:
        (folder / VOCABULARY).write_text(vocabulary_text(facts.inputs.vocabulary), encoding="utf-8")
    known = asdict(replace(facts, inputs=replace(facts.inputs, vocabulary=())))
    (folder / _FACTS).write_text(json.dumps(known, indent=2), encoding="utf-8")


def described(folder: Path) -> ModelFacts:
    """The facts of the model in a folder."""
    stored = _tuples(json.loads((folder / _FACTS).read_text(encoding="utf-8")))
    known = folder / VOCABULARY
    words = vocabulary_from(known.read_text(encoding="utf-8")) if known.exists() else ()
    return ModelFacts(**stored | {"inputs": Inputs(**stored["inputs"] | {"vocabulary": words})})


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _tuples(item) for name, item in value.items()}
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def example(folder: Path) -> np.ndarray:
    """The input example of the model in a folder: (1, …)."""
    images: np.ndarray = np.load(folder / _EXAMPLE, allow_pickle=False)
    return images


def sent_example(folder: Path) -> "np.ndarray | dict[str, list[str]]":
    """The input example as a client sends it: a column of files or texts, or an array if there is no file of it."""
    from PIL import Image

    inputs, array = described(folder).inputs, example(folder)
    if inputs.vocabulary:
        return {inputs.what: [token_text(array[0], inputs.vocabulary)]}
    if inputs.what != "image" or inputs.dtype != "uint8" or inputs.shape[-1] not in MODES:
        return array
    file = io.BytesIO()
    Image.fromarray(array[0].squeeze(-1) if inputs.shape[-1] == 1 else array[0]).save(file, "PNG")
    return {inputs.what: [base64.b64encode(file.getvalue()).decode("ascii")]}


class ServedModel:
    """A saved model, ready to predict."""

    def __init__(self, folder: Path) -> None:
        """Reads the folder and puts the variables on the device; the program is compiled at the first prediction."""
        self.facts = described(folder)
        stored_program = export.deserialize(bytearray((folder / _PROGRAM).read_bytes()))
        with np.load(folder / _VARIABLES, allow_pickle=False) as stored:
            leaves = [stored[f"leaf_{index}"] for index in range(len(stored.files))]
        # An .npz stores bfloat16 as two raw bytes; the program has the type.
        typed = [leaf.view(aval.dtype) for leaf, aval in zip(leaves, stored_program.in_avals[:-1], strict=True)]
        # Arrays of NumPy would be copied for each block: of a network of 200 MB that takes longer than its answer.
        self._leaves: list[jax.Array] = jax.device_put(typed)
        self._call = jax.jit(stored_program.call)

    def predict(self, data: Any, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """The answers to files in base64, texts or arrays, in any of the forms of `requests.items`.

        `params["top_k"]` is the number of classes in each, where the answers are classes.
        Raises DataError if an input cannot be used.
        """
        top_k = (params or {}).get("top_k", 1)
        if top_k < 1:
            raise DataError(must("top_k", "be ≥ 1", top_k))
        found = self._read(requests.items(data, self.facts.inputs))
        answers, names = self.answers(found), self.facts.classes
        if self.facts.form == "classes":
            return [as_json(top) for top in best(answers, names, top_k=int(top_k))]
        if top_k != 1:
            raise DataError(must("top_k", f"be 1 for a model that answers {self.facts.form}", top_k))
        if self.facts.form == "labels":
            return [labels_as_json(row, names, self.facts.threshold) for row in answers]
        return [numbers_as_json(row, names) for row in answers]

    def answers(self, inputs: np.ndarray) -> np.ndarray:
        """Answers (n, k) to inputs in the form of the training data: probabilities, or numbers."""
        answers = [self._block(inputs[start : start + BLOCK]) for start in range(0, len(inputs), BLOCK)]
        return np.concatenate([np.zeros((0, len(self.facts.classes)), self.facts.output_dtype), *answers])

    def _block(self, inputs: np.ndarray) -> np.ndarray:
        size = self.facts.batch_size or 1 << (len(inputs) - 1).bit_length()
        padding = [(0, size - len(inputs)), *[(0, 0)] * (inputs.ndim - 1)]
        return np.asarray(self._call(self._leaves, np.pad(inputs, padding)))[: len(inputs)]

    def _read(self, items: "list[Any] | np.ndarray") -> np.ndarray:
        """The inputs (n, …) of what was sent."""
        inputs = self.facts.inputs
        if isinstance(items, np.ndarray):
            return inputs.of_arrays(items)
        if inputs.vocabulary and any(isinstance(item, str | bytes) for item in items):
            return inputs.of_texts(requests.text(item, f"texts[{index}]") for index, item in enumerate(items))
        found: list[Any] = [None] * len(items)

        def read(index: int) -> None:
            item, place = items[index], f"{inputs.what}s[{index}]"
            if isinstance(item, str | bytes) and inputs.what == "image":
                found[index] = inputs.of_file(requests.file(item, place), place)
            else:
                found[index] = inputs.of_array(item, place)

        in_threads(len(items), read, threads=min(cores.available(), 16))
        return np.stack(found) if found else inputs.nothing()
