"""Rules for class names: one Unicode form (NFC), one order, and only characters that can be recorded.

Unicode encodes many letters in two ways: é as one character (NFC), or as e followed by an accent (NFD). Both look the
same, and programs convert between them (macOS lists folders in NFD), so both must be one class.
"""

import unicodedata
from collections.abc import Sequence

from runner.errors import DataError, must

# Control characters, lone surrogates (Python reads bytes that are not UTF-8 as these), line and paragraph separators.
_UNRECORDABLE = {"Cc", "Cs", "Zl", "Zp"}


def nfc(name: str) -> str:
    """Converts a name to Unicode normalisation form C (UAX #15): `"e\\u0301"` becomes `"é"`."""
    return unicodedata.normalize("NFC", name)


def class_order(found: Sequence[str], declared: Sequence[str] | None) -> tuple[str, ...]:
    """Returns the class names of the files in the order of their labels: as in `data.class_names`, else as `found`.

    Raises DataError if the declared names differ from those found.
    """
    if declared is None:
        return tuple(found)
    missing = sorted(set(found) - set(declared))
    surplus = [name for name in declared if name not in found]
    if missing or surplus:
        parts = (f"no {', '.join(missing)}" if missing else "", f"unknown {', '.join(surplus)}" if surplus else "")
        got = " and ".join(part for part in parts if part)
        rule = f"hold the {len(found)} classes of the files, in the order of their labels"
        raise DataError(must("data.class_names", rule, got))
    return tuple(declared)


def check_recordable(names: Sequence[str], place: str) -> None:
    """Raises DataError if a name contains characters that files, figures or MLflow cannot show on one line."""
    for name in names:
        if any(unicodedata.category(sign) in _UNRECORDABLE for sign in name) or not name.strip():
            rule = "name its classes in UTF-8, on one line, without control characters"
            raise DataError(must(place, rule, repr(name)))
