"""Patterns of mistyped names, for a schema, which knows a list of names but must accept others too.

>>> bool(re.search(pattern("max_pool"), "MaxPool")), bool(re.search(pattern("relu"), "selu"))
(True, False)
"""

import re
from typing import Final

# A name of fewer letters may well differ from another good name by one letter: relu and selu.
_LONG: Final = 6


def pattern(name: str) -> str:
    """A pattern of a name with other case or word breaks, or one letter left out, doubled or exchanged with the next.

    In names of 6 letters and more also with one other letter. The name itself matches too. The syntax is that of
    ECMA-262 and of Python; `name` has small letters, digits and underscores.
    """
    found = ["".join("[-_ ]?" if letter == "_" else _either_case(letter) for letter in name)]
    for index, letter in enumerate(name):
        before, after = name[:index], name[index + 1 :]
        found.append(f"{before}({letter}{letter})?{after}")
        if len(name) >= _LONG:
            found.append(f"{before}[a-z_]{letter}?{after}")
        if after:
            found.append(f"{before}{after[0]}{letter}{after[1:]}")
    return f"^({'|'.join(found)})$"


def _either_case(letter: str) -> str:
    return f"[{letter}{letter.upper()}]" if letter.isalpha() else re.escape(letter)
