"""A trained network on new images and texts, with exactly the preprocessing of its training.

>>> network = Predictor(trained)
>>> [answer] = network.predict([np.zeros((30, 20, 3), np.uint8)], top_k=3)     # an image of any size
>>> len(answer.top)
3
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from runner import cores, limits, placement
from runner.answers import Choice, best, given
from runner.data import files
from runner.data.class_names import nfc
from runner.data.decode import without_warnings
from runner.data.files import FileTree, NamedFiles, open_tree
from runner.data.pixels import SUFFIXES
from runner.data.text import text_of
from runner.data.threads import in_threads
from runner.errors import ConfigError, DataError, Fault, must
from runner.tasks import MultiLabel
from runner.trained import Trained
from runner.verdicts.verdict import Verdict, judged

_TEXT_SUFFIXES: Final = (".txt",)
_AT_ONCE: Final = 1024  # inputs that are decoded and answered together


@dataclass(frozen=True)
class Answer:
    """The answer to one input: the classes with the largest probabilities, the largest first, or the labels given.

    `label` is the class of the folder that a file is in, if it is a class of the network. If a file cannot be used,
    there are no classes, and `fault` says why. `values` (k,) are the probabilities of all classes or labels, or the
    numbers of a regression, which has no `top`.
    """

    file: str
    top: tuple[Choice, ...] = ()
    label: str | None = None
    fault: str = ""
    values: np.ndarray | None = field(default=None, compare=False, repr=False)


class Predictor:
    """A trained network, ready for images of any size, or for texts."""

    def __init__(self, trained: Trained, *, device: str = "auto") -> None:
        """Puts the network on the device; the program is compiled at the first answer.

        Raises ConfigError if there is no such device.
        """
        self._here = placement.choose(device)
        self.trained = trained.on(self._here)
        self.reads_texts = bool(trained.vocabulary)
        self.task = trained.program.task
        self._classes = frozenset(trained.classes) if self.task.form == "classes" else frozenset()
        self._inputs = trained.inputs

    def predict(self, items: Sequence[Any], *, top_k: int = 1) -> list[Answer]:
        """The answers to images (paths, PIL images, or arrays (h, w[, c])), or for a text network to texts.

        Raises DataError if an item is of another kind, or if a file cannot be read.
        """
        if self.reads_texts:
            return self._answers([str(item) for item in items], self._inputs.of_texts(map(str, items)), top_k)
        found = [self.image(item) for item in items]
        names = [str(item) if isinstance(item, str | Path) else str(index) for index, item in enumerate(items)]
        return self._answers(names, self._stacked(found), top_k)

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
        found = self._answers(names, self._inputs.of_texts(kept) if self.reads_texts else self._stacked(kept), top_k)
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
        content = files.content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES)
        return self._inputs.of_file(content, f"{tree.root}/{path}")

    def image(self, item: Any) -> np.ndarray:
        """An input in the form of the data (h, w, c), from a path, a PIL image or an array.

        Raises DataError if it is of another kind, or if a file cannot be read.
        """
        from PIL import Image

        if isinstance(item, str | Path):
            path = Path(item)
            if not path.is_file():
                raise DataError(must(str(item), "be a file that exists", "nothing"))
            with without_warnings():
                return self._read(NamedFiles([path]), path.name)  # type: ignore[no-any-return]
        return self._inputs.of_image(item) if isinstance(item, Image.Image) else self._inputs.of_array(item)

    def _stacked(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs) if inputs else self._inputs.nothing()

    def _answers(self, names: list[str], inputs: np.ndarray, top_k: int) -> list[Answer]:
        answers, classes = self.trained.answers(inputs, self._here), self.trained.classes
        tops: list[tuple[Choice, ...]] = [()] * len(answers)
        if self.task.form == "classes":
            tops = best(answers, classes, top_k=top_k)
        elif isinstance(self.task, MultiLabel):
            tops = [given(row, classes, self.task.threshold) for row in answers]
        found = zip(names, tops, answers, strict=True)
        return [Answer(name, top, values=each) for name, top, each in found]

    def verdict(self, answers: Sequence[Answer]) -> Verdict | None:
        """The verdict on the answers whose class is known, with the functions of a run; None if there are none."""
        known = [(one.label, one.values) for one in answers if one.label is not None]
        if not known:
            return None
        labels = np.array([self.trained.classes.index(label) for label, _ in known])
        return judged(labels, np.stack([each for _, each in known if each is not None]), self.trained.classes)

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
