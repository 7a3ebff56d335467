"""The errors for a file that cannot be read: its name, what it must be, and the reader's reason, on one line."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Final

from runner.errors import DataError, Fault, must

LISTED: Final = 10
"""How many files with faults of one sort are named."""


class BadFileError(DataError):
    """One file of a folder cannot be used."""


class BadSizeError(BadFileError):
    """An image has another size than the first one, and no size is given that both are fitted to."""


def broken(path: object, rule: str, error: Exception) -> DataError:
    """The error for a file at `path` that must follow `rule`, but whose reader raised `error`."""
    reason = next(iter(str(error).strip().splitlines()), "").rstrip(":") or type(error).__name__
    return DataError(must(str(path), rule, f"a broken one ({reason})"))


def grouped(root: object, faults: Iterable[Fault]) -> Iterator[Fault]:
    """The first faults of each sort, and the number of all if there are more. Faults with one rule are of one sort."""
    sorts: dict[str, list[Fault]] = defaultdict(list)
    for fault in faults:
        sorts[fault.text.partition(", got ")[0]].append(fault)
    for rule, found in sorts.items():
        yield from found[:LISTED]
        if len(found) > LISTED:
            yield Fault(str(root), f"{rule}, got {len(found):,} with this fault, the first {LISTED} above")
