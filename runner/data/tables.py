"""Tables as people write them: .csv, .tsv and JSON lines, of which the wanted columns are read as texts.

>>> table = read_table(b"file,label\\n1.png,cat\\n", "a.csv", lambda header: header)
>>> table.columns["label"], table.lines
(['cat'], [2])
"""

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from runner.data.class_names import nfc
from runner.errors import DataError, Fault, must

JSON_LINES: Final = (".jsonl", ".ndjson")
SUFFIXES: Final = (".csv", ".tsv", *JSON_LINES)
"""The suffixes of tables."""
Choice = Callable[[Sequence[str]], Iterable[str]]
"""Which columns of a header are read. Raises DataError if one is missing."""


class Table(NamedTuple):
    """Columns of a table, by their names, and the line on which each row begins. An empty field is ""."""

    place: str
    columns: dict[str, list[str]]
    lines: list[int]

    def at(self, row: int) -> str:
        """The place of a row, for messages."""
        return f"{self.place}, line {self.lines[row]}"

    def empty(self, column: str) -> Iterator[tuple[int, Fault]]:
        """The lines on which a column has no value, and the fault of each."""
        for row, value in enumerate(self.columns[column]):
            if not value.strip():
                yield self.lines[row], Fault(self.at(row), f"must have a {column}, got nothing")


def read_table(content: bytes, place: str, choose: Choice) -> Table:
    """Reads the columns that `choose` takes of the header of a table in UTF-8; empty lines are skipped.

    The suffix of `place` tells the form. A .csv is separated by the sign that its header has most of: comma, semicolon
    or tab. The header of JSON lines is the keys of all objects. Raises DataError that names `place` and the lines.
    """
    text = utf8_text(content, place)
    if place.lower().endswith(JSON_LINES):
        return _of_objects(text, place, choose)
    first = text.lstrip("\r\n").partition("\n")[0]
    sign = "\t" if place.lower().endswith(".tsv") else max(",;\t", key=first.count)
    return _of_rows(text, place, choose, sign)


def named(header: Sequence[str], column: str, place: str) -> str:
    """The column of this name. Raises DataError if the header lacks it, with the name that was probably meant."""
    if nfc(column) in header:
        return nfc(column)
    near = difflib.get_close_matches(column, header, n=1, cutoff=0.5)
    fault = must(place, f"have a column {column} in its header", ", ".join(header) or "no header")
    raise DataError(Fault(place, f'{fault.text}; did you mean "{near[0]}"?') if near else fault)


def _of_rows(text: str, place: str, choose: Choice, sign: str) -> Table:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=sign)
    # Long texts may exceed the default size limit of a field.
    before = csv.field_size_limit(max(len(text), 1))
    try:
        header = [nfc(name.strip()) for name in next((row for row in reader if row), [])]
        at = {column: header.index(column) for column in choose(header)}
        found, line = Table(place, {column: [] for column in at}, []), reader.line_num + 1
        for row in reader:
            if row and len(row) != len(header):
                rule = f"have {len(header)} fields, as the header has"
                raise DataError(must(f"{place}, line {line}", rule, len(row)))
            if row:  # skip empty lines
                found.lines.append(line)
                for column, index in at.items():
                    found.columns[column].append(row[index])
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            must(f"{place}, line {reader.line_num}", "be a row of a .csv", f"a broken one ({error})")
        ) from error
    finally:
        csv.field_size_limit(before)
    return found


def _of_objects(text: str, place: str, choose: Choice) -> Table:
    rows = [
        (line, _object(row, f"{place}, line {line}")) for line, row in enumerate(text.split("\n"), 1) if row.strip()
    ]
    header = dict.fromkeys(key for _, row in rows for key in row)
    columns = {column: [as_text(row.get(column)) for _, row in rows] for column in choose(list(header))}
    return Table(place, columns, [line for line, _ in rows])


def _object(line: str, place: str) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(must(place, "be a JSON object", f"a broken one ({error})")) from error
    if not isinstance(found, dict):
        raise DataError(must(place, "be a JSON object", found))
    return {nfc(key): value for key, value in found.items()}


def as_text(value: Any) -> str:
    """A value of JSON as a table has it: nothing for null, other values as JSON."""
    return "" if value is None else value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def utf8_text(content: bytes, place: str) -> str:
    """Decodes a file. Raises DataError that names the line of a byte that is not UTF-8."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise DataError(must(f"{place}, line {line}", "be UTF-8", f"the byte {content[error.start]:02x}")) from error
