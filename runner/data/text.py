"""Labelled texts: a .csv, or .txt files in class folders, made into tokens by the vocabulary of the training texts."""

from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from runner import limits
from runner.data.class_folders import Kind, class_folders, levels, names_in
from runner.data.class_names import ordered
from runner.data.contents import content_of
from runner.data.examples import Examples, Part, Parts, Report
from runner.data.files import Tree, tree_of
from runner.data.source import Undivided
from runner.data.splits import listed, part_of, parts_of
from runner.data.tables import decoded, read_table
from runner.data.vocabulary import SPECIAL, tokens, vocabulary, words
from runner.errors import DataError, Fault, must, printable

_TEXTS = Kind("a text", "texts", (".txt",))


class _Found(NamedTuple):
    """The texts of each part with their labels, and the classes in the order of the labels."""

    parts: dict[str, Part]
    classes: tuple[str, ...]


class Text(Undivided):
    """A .csv of texts and their labels, or a folder or .zip of class folders of .txt, or of train.csv and test.csv."""

    source: Literal["text"]
    name: str = Field(default="text", min_length=1, description="What the data set is called.")
    length: int = Field(
        default=64, ge=1, description="Words that a text is cut to after its start, or padded to at its end."
    )
    vocabulary: int | None = Field(
        default=None,
        ge=len(SPECIAL) + 1,
        description="Number of tokens: the most frequent words, padding and unknown; null = all words of the training "
        "texts.",
    )
    min_count: int = Field(default=1, ge=1, description="How often the training texts must have a word to know it.")
    text_column: str = Field(default="text", min_length=1, description="The column of a .csv that holds the texts.")
    label_column: str = Field(default="label", min_length=1, description="The column that holds their classes.")

    @model_validator(mode="after")
    def _has_no_pixels(self) -> Self:
        for name in ("image", "mean", "std"):
            value = getattr(self, name)
            if value is not None:
                raise ValueError(must("", f"leave {name} null for texts", value).text)
        return self

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input: (length, 1)."""
        return (self.length, 1)

    @property
    def vocabulary_size(self) -> int | None:
        return self.vocabulary

    @property
    def undeclared(self) -> str | None:
        return super().undeclared or ("vocabulary" if self.vocabulary is None else None)

    def read(self, report: Report) -> Parts:
        """The texts as they are written, still to be made into tokens."""
        if self.folder is None:
            raise DataError(must("data.root", "be a .csv, or a folder or a .zip of texts", None))
        if self.folder.is_file() and self.folder.suffix.lower() == ".csv":
            parts, classes = self._of_tables(
                {"train": (str(self.folder), content_of(self.folder, most=limits.TABLE_BYTES))}
            )
        else:
            tree = tree_of(self.folder)
            tables = _tables(tree, report)
            parts, classes = self._of_tables(tables) if tables else self._of_folders(tree, report)
        return Parts(train=parts["train"], val=parts.get("val"), test=parts.get("test"), classes=classes)

    def encoded(self, parts: list[Examples]) -> tuple[list[Examples], tuple[str, ...]]:
        """Tokens in place of texts. Validation and test texts may have words that the vocabulary lacks."""
        # Split where it is asked for, twice for the training texts: as words, long texts would fill the memory.
        known = vocabulary(map(words, parts[0].inputs), min_count=self.min_count, size=self.vocabulary)
        if len(known) == len(SPECIAL):
            raise DataError(must("data.min_count", "leave words of the training texts", self.min_count))
        numbered = (tokens(map(words, part.inputs), known, length=self.length) for part in parts)
        return [Examples(inputs, part.labels) for inputs, part in zip(numbered, parts, strict=True)], known

    def _of_tables(self, tables: dict[str, tuple[str, bytes]]) -> _Found:
        rows = {
            part: read_table(content, place, text=self.text_column, label=self.label_column)
            for part, (place, content) in tables.items()
        }
        classes = ordered(tuple(set(rows["train"].labels)), self.class_names)
        number = {name: label for label, name in enumerate(classes)}
        parts = {}
        for part, (place, _) in tables.items():
            texts, labels, lines = rows[part]
            for label, line in zip(labels, lines, strict=True):
                if label not in number:
                    training = Path(tables["train"][0]).name
                    raise DataError(must(f"{place}, line {line}", f"have a {self.label_column} of {training}", label))
            parts[part] = _part(texts, np.array([number[label] for label in labels], np.int32), place)
        return _Found(parts, classes)

    def _of_folders(self, tree: Tree, report: Report) -> _Found:
        classes, found = class_folders(tree, _TEXTS, declared=self.class_names, report=report)
        parts = {}
        for name, (paths, labels) in found.items():
            texts = [decoded(tree.read(path, most=limits.TEXT_FILE_BYTES), f"{tree.root}/{path}") for path in paths]
            for path, text in zip(paths, texts, strict=True):
                if not text.strip():
                    raise DataError(Fault(f"{tree.root}/{path}", "must hold a text, got nothing"))
            parts[name] = _part(texts, labels, f"{tree.root}, {name}")
        return _Found(parts, classes)


def _tables(tree: Tree, report: Report) -> dict[str, tuple[str, bytes]]:
    """Where each part's table lies and what it holds, if the texts are in tables."""
    for top in levels(tree):
        beside = [path[len(top) :] for path in tree.files if path.startswith(top) and "/" not in path[len(top) :]]
        tables = [name for name in beside if name.lower().endswith(".csv")]
        place = f"{tree.root}/{top}".rstrip("/")
        parts = parts_of(tables, place, ending=".csv")
        if "train" not in parts:
            continue
        if folders := [name for name in names_in(tree, top) if part_of(name)]:
            got = f"{listed(parts.values())} beside {listed(folders)}"
            raise DataError(must(place, "hold tables of texts or folders of texts", got))
        if others := set(beside) - set(parts.values()):
            report(f"left out beside {', '.join(parts.values())}: {printable(listed(others))}")
        return {
            part: (f"{place}/{name}", tree.read(top + name, most=limits.TABLE_BYTES)) for part, name in parts.items()
        }
    return {}


def _part(texts: list[str], labels: np.ndarray, place: str) -> Part:
    return Part(np.array(texts, dtype=object), labels, place)
