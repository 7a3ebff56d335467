"""Labelled texts in a .csv: a header that names the columns, and a row for each text."""

import csv
import io
from typing import NamedTuple

from runner.data.class_names import composed
from runner.errors import DataError, Fault, must

_MOST_FAULTS = 10


class Rows(NamedTuple):
    """What a table holds: texts, their labels in one spelling (`composed`), and the lines on which they begin."""

    texts: list[str]
    labels: list[str]
    lines: list[int]


def read_table(content: bytes, place: str, *, text: str, label: str) -> Rows:
    """The columns `text` and `label` of a table in UTF-8; its other columns are left out.

    Raises DataError, which names `place` and the lines.
    """
    found, faults = Rows([], [], []), []
    for line, row in _records(content, place, (text, label)):
        for column, value in row.items():
            if not value.strip():
                faults.append(Fault(f"{place}, line {line}", f"must have a {column}, got nothing"))
        found.texts.append(row[text])
        found.labels.append(composed(row[label].strip()))
        found.lines.append(line)
    if not found.texts:
        raise DataError(Fault(place, "must hold texts, got a header alone"))
    if faults:
        raise DataError(*faults[:_MOST_FAULTS])
    return found


def _records(content: bytes, place: str, columns: tuple[str, str]) -> list[tuple[int, dict[str, str]]]:
    """The wanted columns of every row, with the line that it begins on."""
    reader = csv.reader(io.StringIO(decoded(content, place), newline=""), strict=True)
    # A field of a long text may be longer than what the reader takes by itself.
    before = csv.field_size_limit(max(len(content), 1))
    try:
        header = [composed(name.strip()) for name in next(reader, [])]
        for column in columns:
            if composed(column) not in header:
                raise DataError(must(place, f"have a column {column} in its header", ", ".join(header) or "no header"))
        at = {column: header.index(composed(column)) for column in columns}
        records, line = [], reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                rule = f"have {len(header)} fields, as the header has"
                raise DataError(must(f"{place}, line {line}", rule, len(row)))
            if row:  # an empty line is none
                records.append((line, {column: row[index] for column, index in at.items()}))
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            must(f"{place}, line {reader.line_num}", "be a row of a .csv", f"a broken one ({error})")
        ) from error
    finally:
        csv.field_size_limit(before)
    return records


def decoded(content: bytes, place: str) -> str:
    """The text of a file; raises DataError that names the line with a byte that is no UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(must(f"{place}, line {line}", "be UTF-8", f"the byte {content[error.start]:02x}")) from error
