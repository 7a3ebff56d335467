"""Converts texts to tokens: splits them into words and numbers the words by their frequency in the training texts.

>>> words("It's NOT bad!")
["it's", 'not', 'bad', '!']
>>> known = vocabulary([["not", "bad"], ["bad"]])  # <padding>, <unknown>, bad, not
>>> tokens([["bad", "film"]], known, length=3).ravel()
array([2, 1, 0], dtype=int32)
"""

import functools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

FILE = "vocabulary.txt"
"""The name of a vocabulary file; see `vocabulary_text`."""
SPECIAL = ("<padding>", "<unknown>")
"""Tokens 0 and 1: the padding of short texts, and any word outside the vocabulary."""
_UNKNOWN = 1

# Letters and digits with apostrophes between them (it's), or one other visible character.
_PLAIN_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s\x00-\x1f\x7f]")
_ZERO_WIDTH_SPACE = "\u200b"
_JOINERS = "\u200c\u200d"  # zero width non-joiner and joiner
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"
_SKIN_TONES = "\U0001f3fb-\U0001f3ff"
_TAGS = "\U000e0020-\U000e007f"  # the letters of regional flags
# Visible format characters: Arabic and Kaithi number signs, drawn over the digits after them, and a Syriac sign.
_VISIBLE_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# The planes of all marks and format characters: searching every code point would take a quarter of a second.
PLANES = (range(0x80, 0x20000), range(0xE0000, 0xE0200))


def words(text: str) -> list[str]:
    """Splits a text into lower-case words; each punctuation mark is a word of its own.

    A word consists of letters and digits, with apostrophes between them ("don't" is one word). Letters are normalised
    to NFC, and ’ becomes '. Vowel signs, accents and joiners belong to the word around them. An emoji with its skin
    tone, or a joined sequence of emoji, is one word. A zero-width space separates words; other format characters, such
    as soft hyphens, are removed. Scripts without spaces between words, such as Thai, are not split.
    Source: Unicode's word boundaries (UAX #29, rules WB3c, WB4 and WB15).
    """
    composed = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    if composed.isascii():
        return _PLAIN_WORD.findall(composed)
    rules = _rules()
    if rules.special.isdisjoint(composed):
        return _PLAIN_WORD.findall(composed)
    return rules.word.findall(rules.removed.sub("", composed.replace(_ZERO_WIDTH_SPACE, " ")))


class _Rules(NamedTuple):
    """Patterns for texts with marks, joiners or emoji; needed if a text contains a character of `special`."""

    special: frozenset[str]
    removed: re.Pattern[str]
    word: re.Pattern[str]


@functools.cache
def _rules() -> _Rules:
    """The patterns for all scripts, made once from Unicode's categories."""
    signs = {sign: unicodedata.category(sign) for plane in PLANES for sign in map(chr, plane)}
    marks = [sign for sign, category in signs.items() if category[0] == "M"]
    formats = [sign for sign, category in signs.items() if category == "Cf" and sign not in _VISIBLE_FORMATS]
    controls = [sign for sign, category in signs.items() if category == "Cc"]
    tones, flags, tags = (_from_range(text) for text in (_SKIN_TONES, _FLAG_LETTERS, _TAGS))
    mark = "".join(marks)
    part = rf"\w[\w{mark}]*(?:[{_JOINERS}]+[\w{mark}]+)*"
    sign = rf"[^\w\s\x00-\x1f\x7f-\x9f{_JOINERS}{_TAGS}{mark}][{mark}{_SKIN_TONES}{_TAGS}]*"
    picture = rf"(?![\x00-\u2189]){sign}"  # pictographs begin at U+2194, except ©, ®, ‼, ⁉, ™ and ℹ
    word = rf"{part}(?:'{part})*|[{_FLAG_LETTERS}]{{2}}|{sign}(?:\u200d{picture})*|[{mark}]+"
    removed = "".join(sorted(set(formats) - set(_JOINERS) - tags))
    return _Rules(
        special=frozenset([*marks, *formats, *controls, *tones, *flags]),
        removed=re.compile(f"[{removed}]+"),
        word=re.compile(word),
    )


def _from_range(ends: str) -> set[str]:
    return {chr(code) for code in range(ord(ends[0]), ord(ends[-1]) + 1)}


def vocabulary(texts: Iterable[Sequence[str]], *, min_count: int = 1, size: int | None = None) -> tuple[str, ...]:
    """The word of each token: `SPECIAL`, then the words of the texts, the most frequent first.

    Words that occur fewer than `min_count` times are left out. `size` limits the number of tokens, `SPECIAL` included.
    """
    counts = Counter(word for text in texts for word in text)
    frequent = [word for word, count in counts.items() if count >= min_count]
    frequent.sort(key=lambda word: (-counts[word], word))
    return (*SPECIAL, *frequent)[:size]


def tokens(texts: Iterable[Sequence[str]], known: tuple[str, ...], *, length: int) -> np.ndarray:
    """The first `length` words of each text as tokens, padded at the end: int32 (n, length, 1)."""
    numbers = {word: number for number, word in enumerate(known)}
    rows = [np.array([numbers.get(word, _UNKNOWN) for word in text[:length]], np.int32) for text in texts]
    found = np.zeros((len(rows), length, 1), np.int32)
    for whole, row in zip(found, rows, strict=True):
        whole[: len(row), 0] = row
    return found


def vocabulary_text(known: tuple[str, ...]) -> str:
    """The content of a vocabulary file: one line for each token, starting with token 0. Lines end in \\n only.

    No word contains a line end, because `words` treats all of them (U+0085 and U+2028 too) as spaces.
    """
    return "".join(f"{word}\n" for word in known)


def vocabulary_from(text: str) -> tuple[str, ...]:
    """The words of a vocabulary file; the inverse of `vocabulary_text`."""
    return tuple(text.split("\n")[:-1])


def token_text(row: np.ndarray, known: tuple[str, ...]) -> str:
    """The words of the tokens (length, 1) of one text, without padding."""
    return " ".join(known[number] for number in row.ravel() if number)
