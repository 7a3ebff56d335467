"""Texts as tokens: split into words by one rule, and each word numbered by how often the training texts have it.

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

SPECIAL = ("<padding>", "<unknown>")
"""What tokens 0 and 1 stand for: the rest of a text that is short, and a word that the vocabulary lacks."""
_UNKNOWN = 1

# Letters and digits with apostrophes between them (it's), or one sign of anything else that is visible.
_PLAIN_WORD = re.compile(r"\w+(?:'\w+)*|[^\w\s\x00-\x1f\x7f]")
_ZERO_WIDTH_SPACE = "\u200b"
_JOINERS = "\u200c\u200d"  # zero width non-joiner and joiner
_FLAG_LETTERS = "\U0001f1e6-\U0001f1ff"
_SKIN_TONES = "\U0001f3fb-\U0001f3ff"
_TAGS = "\U000e0020-\U000e007f"  # the letters of regional flags
# Format characters that are seen: number signs of Arabic and Kaithi over the digits after them, and Syriac's sign.
_SEEN_FORMATS = frozenset("\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd")
# All marks and format characters of Unicode lie here: going over every code point would take a quarter of a second.
_PLANES = (range(0x80, 0x20000), range(0xE0000, 0xE0200))


def words(text: str) -> list[str]:
    """The words of a text in lower case, and its punctuation, each sign a word of its own.

    A word is letters and digits, with apostrophes between them ("don't" is one); letters are composed (NFC), ’ is '.
    Vowel signs, accents and joiners belong to the word that they stand in, and an emoji with its skin tone, or of
    several joined ones, is one sign. A zero-width space separates; other format characters, such as soft hyphens, are
    left out. Source: Unicode's word boundaries (UAX #29, rules WB3c, WB4 and WB15); scripts without spaces between
    words, such as Thai, are not divided.
    """
    composed = unicodedata.normalize("NFC", text).lower().replace("’", "'")
    if composed.isascii():
        return _PLAIN_WORD.findall(composed)
    rules = _rules()
    if rules.special.isdisjoint(composed):
        return _PLAIN_WORD.findall(composed)
    return rules.word.findall(rules.left_out.sub("", composed.replace(_ZERO_WIDTH_SPACE, " ")))


class _Rules(NamedTuple):
    """How texts are split that hold marks, joiners or emoji: signs of which one makes these rules necessary."""

    special: frozenset[str]
    left_out: re.Pattern[str]
    word: re.Pattern[str]


@functools.cache
def _rules() -> _Rules:
    """The rules for words in any script; made once, of Unicode's categories."""
    signs = {sign: unicodedata.category(sign) for plane in _PLANES for sign in map(chr, plane)}
    marks = [sign for sign, category in signs.items() if category[0] == "M"]
    formats = [sign for sign, category in signs.items() if category == "Cf" and sign not in _SEEN_FORMATS]
    controls = [sign for sign, category in signs.items() if category == "Cc"]
    tones, flags, tags = (_from_range(text) for text in (_SKIN_TONES, _FLAG_LETTERS, _TAGS))
    mark = "".join(marks)
    part = rf"\w[\w{mark}]*(?:[{_JOINERS}]+[\w{mark}]+)*"
    sign = rf"[^\w\s\x00-\x1f\x7f-\x9f{_JOINERS}{_TAGS}{mark}][{mark}{_SKIN_TONES}{_TAGS}]*"
    picture = rf"(?![\x00-\u2189]){sign}"  # but for ©, ®, ‼, ⁉, ™ and ℹ, pictographs begin at U+2194
    word = rf"{part}(?:'{part})*|[{_FLAG_LETTERS}]{{2}}|{sign}(?:\u200d{picture})*|[{mark}]+"
    left_out = "".join(sorted(set(formats) - set(_JOINERS) - tags))
    return _Rules(
        special=frozenset([*marks, *formats, *controls, *tones, *flags]),
        left_out=re.compile(f"[{left_out}]+"),
        word=re.compile(word),
    )


def _from_range(ends: str) -> set[str]:
    return {chr(code) for code in range(ord(ends[0]), ord(ends[-1]) + 1)}


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
    """A vocabulary as a file: a line for each token, the first for token 0. Lines end in \\n and nothing else.

    No word holds a line end, of whatever kind (U+0085 and U+2028 are spaces to `words`).
    """
    return "".join(f"{word}\n" for word in known)


def spelt(row: np.ndarray, known: tuple[str, ...]) -> str:
    """The words that the tokens (length, 1) of one text stand for, without its padding."""
    return " ".join(known[number] for number in row.ravel() if number)
