"""Words, vocabularies and tokens: each rule held against texts whose tokens are worked out by hand."""

import doctest
import re
import sys
import unicodedata
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import vocabulary as room
from runner.data.vocabulary import SPECIAL, token_text, tokens, vocabulary, vocabulary_text, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It's NOT bad!", ["it's", "not", "bad", "!"]),
        ("It’s 'quoted'", ["it's", "'", "quoted", "'"]),  # the apostrophe of typesetters, and quotation marks
        ("a well-known film (1998)...", ["a", "well", "-", "known", "film", "(", "1998", ")", ".", ".", "."]),
        ("Cafe\u0301 = café; ÉTÉ", ["café", "=", "café", ";", "été"]),  # composed or not, a word is one word
        ("a\tb\nc\u00a0d\u2028e\x00f\x1b", ["a", "b", "c", "d", "e", "f"]),
        ("snake_case x2", ["snake_case", "x2"]),
        ("Привет, мир", ["привет", ",", "мир"]),
        ("👍👍", ["👍", "👍"]),
        (" \n", []),
    ],
)
def test_a_text_is_split_into_words_by_one_rule(text: str, expected: list[str]) -> None:
    assert words(text) == expected


@given(st.text())
def test_words_contain_no_spaces_and_all_letters(text: str) -> None:
    found = words(text)
    assert all(word and len(word.split()) == 1 == len(word.splitlines()) for word in found)
    assert not set(found) & set(SPECIAL)
    whole = "".join(found)
    assert Counter(whole) == Counter(sign for word in found for sign in word)
    assert all(letter in whole for letter in "abcxyz" if letter in text)


# One word each, as a reader of the language says; the scripts write vowels as marks, which are no letters.
WHOLE = [
    "नमस्ते",  # Devanagari
    "বাংলা",  # Bengali
    "தமிழ்",  # Tamil
    "తెలుగు",  # Telugu
    "മലയാളം",  # Malayalam
    "ภาษา",  # Thai
    "ที่นี่",  # Thai, with two marks over one letter
    "ខ្មែរ",  # Khmer
    "မြန်မာ",  # Burmese
    "བོད་"[:-1],  # Tibetan, without the mark that ends a syllable
    "مَرْحَبًا",  # Arabic, with its points
    "می\u200cخواهم",  # Persian: the non-joiner stands inside words
    "שָׁלוֹם",  # Hebrew, with its points
    "क्\u200dष",  # a joiner that keeps a half form
    "ශ්\u200dරී",  # Sinhala
    "q\u0307\u0323",  # two accents that no letter is composed with
]


@pytest.mark.parametrize("word", WHOLE)
def test_marks_and_joiners_stay_in_their_word(word: str) -> None:
    assert words(word) == [unicodedata.normalize("NFC", word)]
    assert words(f"{word} x, {word}'{word}!") == [
        *words(word),
        "x",
        ",",
        f"{words(word)[0]}'{words(word)[0]}",
        "!",
    ]


@given(st.text(st.characters(categories=("Lo", "Mn", "Mc")), min_size=1, max_size=8))
def test_letters_and_marks_after_a_letter_are_one_word(text: str) -> None:
    # WB4, WB5 and WB9 of UAX #29; the categories are Unicode's own.
    assert words(f"a{text}") == [unicodedata.normalize("NFC", f"a{text}").lower()]


# Of UAX #29's WordBreakTest.txt and emoji-test.txt: one entry for each word or sign.
SIGNS = [
    ["👍🏽"],  # WB4: a skin tone
    ["👨\u200d👩\u200d👧"],  # WB3c: a family
    ["🛑", "🛑"],
    ["🇫🇷", "🇩🇪"],  # WB15: flags are pairs
    ["🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"],  # England
    ["❤️"],
    ["🏳️\u200d🌈"],
    ["1️⃣", "#️⃣"],
    ["a", "👍🏿", "b"],
]


@pytest.mark.parametrize("signs", SIGNS, ids="".join)
def test_an_emoji_of_many_code_points_is_one_word(signs: list[str]) -> None:
    assert words("".join(signs)) == signs


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("stop\u200bnow", ["stop", "now"]),  # a zero-width space separates
        ("\u200b", []),
        ("co\u00adop\u00aderate", ["cooperate"]),  # soft hyphens
        ("\ufeffa \u200eb\u200f \u2060", ["a", "b"]),  # a byte order mark, marks of direction, a word joiner
        ("a\u200d b\u200c", ["a", "b"]),  # joiners that join nothing
        ("!\u200d?", ["!", "?"]),
        ("a\u0085b\u0080c\u2029d", ["a", "b", "c", "d"]),
        ("\u0600\u0661", ["\u0600", "\u0661"]),  # the number sign of Arabic is seen
        ("\u0301 x", ["\u0301", "x"]),  # an accent over nothing
    ],
)
def test_invisible_characters_are_no_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_the_planes_contain_every_mark_and_format_character() -> None:
    looked_for = {code for plane in room.PLANES for code in plane}
    special = ("M", "Cf", "Cc")
    assert not [
        hex(code)
        for code in range(0x80, sys.maxunicode + 1)
        if unicodedata.category(chr(code)).startswith(special) and code not in looked_for
    ]


@given(st.text(st.characters(codec="ascii")))
def test_words_of_ascii_are_those_of_the_plain_rule(text: str) -> None:
    plain = re.findall(r"\w+(?:'\w+)*|[^\w\s\x00-\x1f\x7f]", text.lower())
    assert words(text) == plain
    # In a text that has a mark elsewhere too.
    assert words(f"{text} q\u0307") == [*plain, "q\u0307"]


TEXTS = [["b", "a", "c"], ["b", "a"], ["b", "d"]]


def test_words_are_ordered_by_frequency_then_alphabetically() -> None:
    assert vocabulary(TEXTS) == (*SPECIAL, "b", "a", "c", "d")
    assert vocabulary(reversed(TEXTS)) == vocabulary(TEXTS)
    assert vocabulary(TEXTS, min_count=2) == (*SPECIAL, "b", "a")
    assert vocabulary(TEXTS, size=5) == (*SPECIAL, "b", "a", "c")
    assert vocabulary(TEXTS, size=100) == vocabulary(TEXTS)


def test_texts_are_cut_padded_and_numbered() -> None:
    known = vocabulary(TEXTS)
    found = tokens([["c", "b", "a", "d"], ["z", "b"], []], known, length=3)
    assert found.dtype == np.int32
    assert found.tolist() == [[[4], [2], [3]], [[1], [2], [0]], [[0], [0], [0]]]
    assert [token_text(row, known) for row in found] == ["c b a", "<unknown> b", ""]


def test_it_agrees_with_the_count_vectoriser_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    texts = ["The cat sat on the mat", "a dog, a cat and the mat", "it's raining cats & dogs"]
    split = [words(text) for text in texts]
    known = vocabulary(split)
    oracle = CountVectorizer(tokenizer=words, token_pattern=None).fit(texts)
    assert set(known) - set(SPECIAL) == set(oracle.vocabulary_)
    counts = oracle.transform(texts).toarray()
    for row, expected in zip(tokens(split, known, length=20), counts, strict=True):
        found = Counter(row.ravel()[row.ravel() > 1].tolist())
        assert found == {known.index(word): expected[at] for word, at in oracle.vocabulary_.items() if expected[at]}


def test_a_vocabulary_is_a_file_whose_line_numbers_are_tokens() -> None:
    known = vocabulary(TEXTS)
    assert tuple(vocabulary_text(known).splitlines()) == known


@given(st.lists(st.text(max_size=20), max_size=5))
def test_any_vocabulary_can_be_read_back_from_its_file(texts: list[str]) -> None:
    known = vocabulary(map(words, [*texts, "a\u0085b\u2028c\u2029d\x1ce\x0bf\x0cg"]))
    assert tuple(vocabulary_text(known).splitlines()) == tuple(vocabulary_text(known).split("\n")[:-1]) == known


def test_the_third_line_is_token_2() -> None:
    known = vocabulary(TEXTS)
    assert vocabulary_text(known).splitlines()[2] == "b"


def test_the_example_in_its_docstring_runs() -> None:
    assert doctest.testmod(room).failed == 0
