"""A trained network on new images and texts, with exactly the preprocessing of its training.

>>> network = Predictor(trained)
>>> [answer] = network.predict([np.zeros((30, 20, 3), np.uint8)], top_k=3)     # an image of any size
>>> len(answer.top)
3
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from runner import cores, placement
from runner.data.class_names import nfc
from runner.data.decode import SUFFIXES, FileFit, opened, pixels_of, without_warnings
from runner.data.files import FileTree, NamedFiles, open_tree
from runner.data.source import ImageSize
from runner.data.text import text_of
from runner.data.threads import in_threads
from runner.data.vocabulary import tokens, words
from runner.errors import ConfigError, DataError, Fault, must
from runner.trained import Trained

_TEXT_SUFFIXES: Final = (".txt",)
_AT_ONCE: Final = 1024  # inputs that are decoded and answered together


class Choice(NamedTuple):
    """A class with its probability."""

    name: str
    probability: float


@dataclass(frozen=True)
class Answer:
    """The answer to one input: the classes with the largest probabilities, the largest first.

    `label` is the class of the folder that a file is in, if it is a class of the network. If a file cannot be used,
    there are no classes, and `fault` says why.
    """

    file: str
    top: tuple[Choice, ...] = ()
    label: str | None = None
    fault: str = ""


class Predictor:
    """A trained network, ready for images of any size, or for texts."""

    def __init__(self, trained: Trained, *, device: str = "auto") -> None:
        """Chooses the device; the program is compiled at the first answer. Raises ConfigError if there is none."""
        self.trained = trained
        self.reads_texts = bool(trained.vocabulary)
        self._classes = frozenset(trained.classes)
        self._here = placement.choose(device)
        shape = trained.program.network.data_shape
        self._size = ImageSize(height=shape[0], width=shape[1], channels=shape[2]) if len(shape) == 3 else None
        self._how: FileFit = getattr(trained.experiment.data, "fit", "resize")

    def predict(self, items: Sequence[Any], *, top_k: int = 1) -> list[Answer]:
        """The answers to images (paths, PIL images, or arrays (h, w[, c])), or for a text network to texts.

        Raises ConfigError if an item is of another kind, and DataError if a file cannot be read.
        """
        if self.reads_texts:
            return self._answers([str(item) for item in items], self._of_texts([str(item) for item in items]), top_k)
        found = [self.image(item) for item in items]
        names = [str(item) if isinstance(item, str | Path) else str(index) for index, item in enumerate(items)]
        return self._answers(names, np.stack(found) if found else self._nothing(), top_k)

    def files(self, named: str, *, top_k: int = 1) -> Iterator[list[Answer]]:
        """The answers to the files of a name (a file, a folder, a .zip or a glob pattern), some at a time.

        Files that cannot be read are answered with their fault. Raises ConfigError if there are none.
        """
        suffixes = _TEXT_SUFFIXES if self.reads_texts else SUFFIXES
        tree, paths = _files(named, suffixes, "texts" if self.reads_texts else "images")
        for start in range(0, len(paths), _AT_ONCE):
            yield self._of_files(tree, paths[start : start + _AT_ONCE], top_k)

    def _of_files(self, tree: FileTree, paths: list[str], top_k: int) -> list[Answer]:
        """The answers to some files, decoded in threads."""
        inputs: list[Any] = [None] * len(paths)
        faults = [""] * len(paths)

        def read(index: int) -> None:
            try:
                inputs[index] = self._read(tree, paths[index])
            except DataError as error:
                faults[index] = str(error.faults[0])

        with without_warnings():
            in_threads(len(paths), read, threads=min(cores.available(), 16))
        good = [index for index, fault in enumerate(faults) if not fault]
        names = [f"{tree.root}/{paths[index]}" for index in good]
        kept = [inputs[index] for index in good]
        found = self._answers(names, self._of_texts(kept) if self.reads_texts else self._stacked(kept), top_k)
        answers = {
            index: replace(answer, label=self.label_of(paths[index])) for index, answer in zip(good, found, strict=True)
        }
        return [
            answers[index] if index in answers else Answer(f"{tree.root}/{path}", fault=faults[index])
            for index, path in enumerate(paths)
        ]

    def _read(self, tree: FileTree, path: str) -> Any:
        if self.reads_texts:
            return text_of(tree, path)
        size = self._image_size()
        return self._in_units(opened(tree, path, lambda image: pixels_of(image, size, self._how)))

    def image(self, item: Any) -> np.ndarray:
        """An input in the form of the data (h, w, c), from a path, a PIL image or an array.

        Raises ConfigError if it is of another kind, and DataError if a file cannot be read.
        """
        from PIL import Image

        size = self._image_size()
        if isinstance(item, str | Path):
            path = Path(item)
            if not path.is_file():
                raise DataError(must(str(item), "be a file that exists", "nothing"))
            with without_warnings():
                return self._read(NamedFiles([path]), path.name)  # type: ignore[no-any-return]
        if isinstance(item, Image.Image):
            return self._in_units(pixels_of(item, size, self._how))
        array = np.asarray(item)
        array = array[..., None] if array.ndim == 2 else array
        if array.shape == size.shape and array.dtype == self.trained.input_dtype:
            return array
        if array.dtype == np.uint8 and array.ndim == 3 and array.shape[-1] in (1, 3, 4):
            return self._in_units(
                pixels_of(Image.fromarray(array.squeeze(-1) if array.shape[-1] == 1 else array), size, self._how)
            )
        rule = f"be a path, a PIL image, or an array of uint8 (h, w[, c]) or {self.trained.input_dtype} {size.shape}"
        raise ConfigError(must("images", rule, f"{array.dtype} {array.shape}"))

    def _image_size(self) -> ImageSize:
        if self._size is None:
            shape = self.trained.program.network.data_shape
            raise ConfigError(must("run", "be a network that reads images or texts", f"one that reads {shape}"))
        return self._size

    def _in_units(self, pixels: np.ndarray) -> np.ndarray:
        """Bytes in the type and unit of the training data: black and white are what they were there."""
        if self.trained.input_dtype == "uint8":
            return pixels
        black, white = (np.asarray(values, np.float32) for values in self.trained.value_range)
        return (black + pixels.astype(np.float32) / 255 * (white - black)).astype(self.trained.input_dtype)

    def _of_texts(self, texts: Sequence[str]) -> np.ndarray:
        length = self.trained.program.network.data_shape[0]
        return tokens(map(words, texts), self.trained.vocabulary, length=length)

    def _stacked(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs) if inputs else self._nothing()

    def _nothing(self) -> np.ndarray:
        return np.zeros((0, *self.trained.program.network.data_shape), self.trained.input_dtype)

    def _answers(self, names: list[str], inputs: np.ndarray, top_k: int) -> list[Answer]:
        probabilities = self.trained.probabilities(inputs, self._here)
        classes = self.trained.classes
        best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top_k]
        return [
            Answer(name, tuple(Choice(classes[place], float(row[place])) for place in places))
            for name, row, places in zip(names, probabilities, best, strict=True)
        ]

    def label_of(self, path: str) -> str | None:
        """The class that the nearest folder above a file names; None if no folder does."""
        return next((name for name in map(nfc, path.split("/")[-2::-1]) if name in self._classes), None)


def _files(named: str, suffixes: tuple[str, ...], what: str) -> tuple[FileTree, list[str]]:
    """The files of a name with these endings, and the tree that reads them."""
    path = Path(os.path.expanduser(named))  # noqa: PTH111 - as in `Source.folder`
    if path.is_dir() or (path.is_file() and path.suffix.lower() == ".zip"):
        tree = open_tree(path)
        paths = [file for file in tree.files if file.lower().endswith(suffixes)]
    else:
        base = Path(path.anchor)
        try:
            found = [path] if path.is_file() else sorted(filter(Path.is_file, base.glob(str(path.relative_to(base)))))
        except ValueError:  # Python 3.11 refuses patterns such as a**b
            found = []
        if not found:
            raise ConfigError(must(what, "be a file, a folder, a .zip or a pattern with files", named))
        tree = NamedFiles(found)
        paths = tree.files
    if not paths:
        raise ConfigError(Fault(what, f"must hold files that end in {', '.join(suffixes)}, got {named}"))
    return tree, paths
