"""Labelled texts in a .csv with a header and one row for each text."""

import csv
import io
from typing import NamedTuple

from runner.data.class_names import nfc
from runner.errors import DataError, Fault, must

_MOST_FAULTS = 10


class Rows(NamedTuple):
    """The content of a table: texts, their labels (normalised by `nfc`), and the line on which each begins."""

    texts: list[str]
    labels: list[str]
    lines: list[int]


def read_table(content: bytes, place: str, *, text: str, label: str) -> Rows:
    """Reads the columns `text` and `label` of a table in UTF-8; other columns are ignored.

    Raises DataError that names `place` and the lines.
    """
    found, faults = Rows([], [], []), []
    for line, row in _records(content, place, (text, label)):
        for column, value in row.items():
            if not value.strip():
                faults.append(Fault(f"{place}, line {line}", f"must have a {column}, got nothing"))
        found.texts.append(row[text])
        found.labels.append(nfc(row[label].strip()))
        found.lines.append(line)
    if not found.texts:
        raise DataError(Fault(place, "must hold texts, got only a header"))
    if faults:
        raise DataError(*faults[:_MOST_FAULTS])
    return found


def _records(content: bytes, place: str, columns: tuple[str, str]) -> list[tuple[int, dict[str, str]]]:
    """The wanted columns of every row, with the line on which the row begins."""
    reader = csv.reader(io.StringIO(utf8_text(content, place), newline=""), strict=True)
    # Long texts may exceed the default size limit of a field.
    before = csv.field_size_limit(max(len(content), 1))
    try:
        header = [nfc(name.strip()) for name in next(reader, [])]
        for column in columns:
            if nfc(column) not in header:
                raise DataError(must(place, f"have a column {column} in its header", ", ".join(header) or "no header"))
        at = {column: header.index(nfc(column)) for column in columns}
        records, line = [], reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                rule = f"have {len(header)} fields, as the header has"
                raise DataError(must(f"{place}, line {line}", rule, len(row)))
            if row:  # skip empty lines
                records.append((line, {column: row[index] for column, index in at.items()}))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            must(f"{place}, line {reader.line_num}", "be a row of a .csv", f"a broken one ({error})")
        ) from error
    finally:
        csv.field_size_limit(before)
    return records


def utf8_text(content: bytes, place: str) -> str:
    """Decodes a file. Raises DataError that names the line of a byte that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(must(f"{place}, line {line}", "be UTF-8", f"the byte {content[error.start]:02x}")) from error
