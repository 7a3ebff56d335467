"""Texts as tokens: split into words by one rule, and each word numbered by how often the training texts have it.

>>> words("It's NOT bad!")
["it's", 'not', 'bad', '!']
>>> known = vocabulary([["not", "bad"], ["bad"]])  # <padding>, <unknown>, bad, not
>>> tokens([["bad", "film"]], known, length=3).ravel()
array([2, 1, 0], dtype=int32)
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

SPECIAL = ("<padding>", "<unknown>")
"""What tokens 0 and 1 stand for: the rest of a text that is short, and a word that the vocabulary lacks."""
_UNKNOWN = 1

# Letters, digits and marks between them that are part of a word (it's), or one sign of anything else that is visible.
_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s\x00-\x1f\x7f]")


def words(text: str) -> list[str]:
    """The words of a text in lower case, and its punctuation, each sign a word of its own.

    A word is what `\\w+(?:'\\w+)*` matches, so that "don't" is one; letters are composed (NFC), and ’ is '.
    """
    return _WORD.findall(unicodedata.normalize("NFC", text).lower().replace("’", "'"))


def vocabulary(texts: Iterable[Sequence[str]], *, min_count: int = 1, size: int | None = None) -> tuple[str, ...]:
    """What every token stands for: `SPECIAL`, then the words of the texts, the most frequent first.

    Words that occur less than `min_count` times are left out, and those beyond the first `size` tokens in all.
    """
    counts = Counter(word for text in texts for word in text)
    frequent = [word for word, count in counts.items() if count >= min_count]
    frequent.sort(key=lambda word: (-counts[word], word))
    return (*SPECIAL, *frequent)[:size]


def tokens(texts: Iterable[Sequence[str]], known: tuple[str, ...], *, length: int) -> np.ndarray:
    """Each text's first `length` words as numbers, padded at its end: int32 (n, length, 1)."""
    numbers = {word: number for number, word in enumerate(known)}
    rows = [np.array([numbers.get(word, _UNKNOWN) for word in text[:length]], np.int32) for text in texts]
    found = np.zeros((len(rows), length, 1), np.int32)
    for whole, row in zip(found, rows, strict=True):
        whole[: len(row), 0] = row
    return found


def listed(known: tuple[str, ...]) -> str:
    """A vocabulary as a file: a line for each token, the first for token 0."""
    return "".join(f"{word}\n" for word in known)


def spelt(row: np.ndarray, known: tuple[str, ...]) -> str:
    """The words that the tokens (length, 1) of one text stand for, without its padding."""
    return " ".join(known[number] for number in row.ravel() if number)
