"""The one spelling of a class's name: composed (NFC), wherever a name becomes a class.

Unicode has two spellings of many letters: é as one sign (NFC) and as e with an accent after it (NFD). They look alike,
and file systems and programs change one into the other (macOS lists folders in NFD), so both must be one class.
"""

import unicodedata


def composed(name: str) -> str:
    """A name in Unicode's normalisation form C (UAX #15): `"e\\u0301"` becomes `"é"`."""
    return unicodedata.normalize("NFC", name)
