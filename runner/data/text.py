"""Labelled texts in a .csv or in class folders of .txt files, converted to tokens by the training vocabulary."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, model_validator

from runner import limits
from runner.data.broken import LISTED, grouped
from runner.data.class_folders import Kind, class_folders, names_in
from runner.data.class_names import nfc
from runner.data.digests import content_of
from runner.data.examples import Examples, Part, Parts, Report
from runner.data.files import FileTree, content, open_tree
from runner.data.labels import LabelColumn, labels_of
from runner.data.part_tables import part_tables
from runner.data.source import Name, Undivided
from runner.data.splits import first_names, part_of
from runner.data.tables import Table, named, read_table, utf8_text
from runner.data.vocabulary import SPECIAL, tokens, vocabulary, words
from runner.errors import DataError, Fault, must

_TEXTS = Kind("texts", (".txt",))


class _Texts(NamedTuple):
    """The texts and labels of each part, and the names of the classes, or of the columns of numbers."""

    parts: dict[str, Part]
    classes: tuple[str, ...]


class Text(Undivided):
    """A .csv of texts and labels, or a folder or .zip of class folders of .txt files, or of train.csv and test.csv."""

    source: Literal["text"]
    name: Name = "text"
    length: int = Field(
        default=64,
        ge=1,
        description="Number of words of an input: longer texts are cut, shorter ones padded at the end.",
    )
    vocabulary: int | None = Field(
        default=None,
        ge=len(SPECIAL) + 1,
        description="Number of tokens: the most frequent words, plus padding and unknown; null = all words of the "
        "training texts.",
    )
    min_count: int = Field(
        default=1, ge=1, description="Words that occur less often in the training texts become unknown."
    )
    text_column: str = Field(default="text", min_length=1, description="The .csv column of the texts.")
    label_column: str = Field(default="label", min_length=1, description="The .csv column of the classes.")

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
        """Reads the texts; `encoded` converts them to tokens."""
        if self.folder is None:
            raise DataError(must("data.root", "be a .csv, or a folder or a .zip of texts", None))
        if self.folder.is_file() and self.folder.suffix.lower() == ".csv":
            parts, classes = self._of_tables(
                {"train": (str(self.folder), content_of(self.folder, max_bytes=limits.TABLE_BYTES))}
            )
        else:
            tree = open_tree(self.folder)
            tables = _tables(tree, report)
            parts, classes = self._of_tables(tables) if tables else self._of_folders(tree, report)
        return Parts(train=parts["train"], val=parts.get("val"), test=parts.get("test"), classes=classes)

    def encoded(self, parts: list[Examples]) -> tuple[list[Examples], tuple[str, ...]]:
        """Converts texts to tokens. Words outside the vocabulary become unknown."""
        # Training texts are split into words twice, because keeping the words of long texts could fill the memory.
        known = vocabulary(map(words, parts[0].inputs), min_count=self.min_count, size=self.vocabulary)
        if len(known) == len(SPECIAL):
            raise DataError(must("data.min_count", "leave words of the training texts", self.min_count))
        numbered = (tokens(map(words, part.inputs), known, length=self.length) for part in parts)
        return [Examples(inputs, part.labels) for inputs, part in zip(numbered, parts, strict=True)], known

    def _of_tables(self, files: dict[str, tuple[str, bytes]]) -> _Texts:
        tables = {part: self._table(content, place) for part, (place, content) in files.items()}
        columns = {
            part: [
                LabelColumn(column, table.columns[column], table.at, Path(table.place).name)
                for column in map(nfc, self._label_columns)
            ]
            for part, table in tables.items()
        }
        classes, labels = labels_of(columns, of_classes=self.has_classes, declared=self.class_names)
        texts = nfc(self.text_column)
        return _Texts(
            {part: _part(table.columns[texts], labels[part], table.place) for part, table in tables.items()}, classes
        )

    @property
    def _label_columns(self) -> tuple[str, ...]:
        return self.target_columns or (self.label_column,)

    def _table(self, content: bytes, place: str) -> Table:
        """The columns of the texts and of their labels."""
        columns = (self.text_column, *self._label_columns)
        found = read_table(content, place, lambda header: [named(header, column, place) for column in columns])
        if not found.lines:
            raise DataError(Fault(place, "must hold texts, got only a header"))
        if faults := sorted(_empty(found), key=lambda fault: fault[0]):
            raise DataError(*(fault for _, fault in faults[:LISTED]))
        return found

    def _of_folders(self, tree: FileTree, report: Report) -> _Texts:
        found = class_folders(tree, _TEXTS, declared=self.class_names, report=report)
        other = [must(f"{tree.root}/{path}", "be a text (.txt)", "another kind of file") for path in found.other]
        if found.faults or other:
            raise DataError(*grouped(tree.root, [*found.faults, *other]))
        parts = {}
        for name, files in found.parts.items():
            parts[name] = _part([text_of(tree, path) for path in files.paths], files.labels, f"{tree.root}, {name}")
        return _Texts(parts, found.names)


def text_of(tree: FileTree, path: str) -> str:
    """The text of a file. Raises DataError that names it if it cannot be read, is no UTF-8, or holds no text."""
    place = f"{tree.root}/{path}"
    text = utf8_text(content(tree, path, max_bytes=limits.TEXT_FILE_BYTES), place)
    if not text.strip():
        raise DataError(Fault(place, "must hold a text, got nothing"))
    return text


def _tables(tree: FileTree, report: Report) -> dict[str, tuple[str, bytes]]:
    """The path and the content of each part's table; empty if the texts are not in tables."""
    found = part_tables(tree, (".csv",), report)
    if found and (folders := [name for name in names_in(tree, found.top) if part_of(name)]):
        got = f"{first_names(found.names.values())} beside {first_names(folders)}"
        raise DataError(must(f"{tree.root}/{found.top}".rstrip("/"), "hold tables of texts or folders of texts", got))
    return {} if found is None else found.contents(tree)


def _empty(table: Table) -> Iterator[tuple[int, Fault]]:
    for column in table.columns:
        yield from table.empty(column)


def _part(texts: list[str], labels: np.ndarray, place: str) -> Part:
    return Part(np.array(texts, dtype=object), labels, place)
