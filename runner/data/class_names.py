"""What names of classes are, wherever they come from: one spelling (NFC), one order, and signs that can be recorded.

Unicode has two spellings of many letters: é as one sign (NFC) and as e with an accent after it (NFD). They look alike,
and file systems and programs change one into the other (macOS lists folders in NFD), so both must be one class.
"""

import unicodedata
from collections.abc import Sequence

from runner.errors import DataError, must

# Control signs, halves of signs that no encoding can store (what is not UTF-8 is read as these), and ends of lines.
_UNRECORDABLE = {"Cc", "Cs", "Zl", "Zp"}


def composed(name: str) -> str:
    """A name in Unicode's normalisation form C (UAX #15): `"e\\u0301"` becomes `"é"`."""
    return unicodedata.normalize("NFC", name)


def ordered(found: Sequence[str], declared: Sequence[str] | None) -> tuple[str, ...]:
    """The classes that files name, in the order of their labels: as `data.class_names` declares it, else sorted.

    Raises DataError where the declared names are not those of the files.
    """
    if declared is None:
        return tuple(sorted(found))
    known = set(found)
    missing = sorted(known - set(declared))
    surplus = [name for name in declared if name not in known]
    if missing or surplus:
        parts = (f"no {', '.join(missing)}" if missing else "", f"unknown {', '.join(surplus)}" if surplus else "")
        got = " and ".join(part for part in parts if part)
        rule = f"hold the {len(found)} classes of the files, in the order of their labels"
        raise DataError(must("data.class_names", rule, got))
    return tuple(declared)


def check_recordable(names: Sequence[str], place: str) -> None:
    """Raises DataError where a name has a sign that files, figures and MLflow cannot hold on one line."""
    for name in names:
        if any(unicodedata.category(sign) in _UNRECORDABLE for sign in name) or not name.strip():
            rule = "name its classes in UTF-8, on one line, without control characters"
            raise DataError(must(place, rule, repr(name)))
