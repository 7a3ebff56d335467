"""Words, vocabularies and tokens: each rule held against texts whose tokens are worked out by hand."""

import doctest
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import vocabulary as room
from runner.data.vocabulary import SPECIAL, listed, spelt, tokens, vocabulary, words


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
def test_words_have_no_spaces_and_lose_no_letters(text: str) -> None:
    found = words(text)
    assert all(word and len(word.split()) == 1 == len(word.splitlines()) for word in found)
    assert not set(found) & set(SPECIAL)
    whole = "".join(found)
    assert Counter(whole) == Counter(sign for word in found for sign in word)
    assert all(letter in whole for letter in "abcxyz" if letter in text)


TEXTS = [["b", "a", "c"], ["b", "a"], ["b", "d"]]


def test_the_most_frequent_words_come_first_and_like_ones_by_the_alphabet() -> None:
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
    assert [spelt(row, known) for row in found] == ["c b a", "<unknown> b", ""]


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
    assert tuple(listed(known).splitlines()) == known
    assert listed(known).splitlines()[2] == "b"


def test_the_example_in_its_docstring_runs() -> None:
    assert doctest.testmod(room).failed == 0
