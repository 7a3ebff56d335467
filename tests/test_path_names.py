"""Short names of dotted paths: different from each other, and as short as that allows."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.path_names import short_names

PATHS = st.lists(st.lists(st.sampled_from(["a", "b", "0", "1", "filters"]), min_size=1, max_size=5).map(".".join))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["optimizer.learning_rate", "seed", "optimizer"], ["learning_rate", "seed", "optimizer"]),
        (["model.layers.0.conv.filters"], ["filters"]),
        (["model.layers.0.conv.filters", "model.layers.3.conv.filters"], ["0.conv.filters", "3.conv.filters"]),
        (["seed", "data.seed"], ["seed", "data.seed"]),
        (["optimizer.betas.0", "optimizer.betas.1"], ["betas.0", "betas.1"]),
    ],
)
def test_names_are_the_last_words_that_differ(paths: list[str], names: list[str]) -> None:
    assert list(short_names(paths).values()) == names


@given(PATHS)
def test_names_differ_and_no_shorter_ending_would(paths: list[str]) -> None:
    names = short_names(paths)
    assert list(names) == list(dict.fromkeys(paths))
    assert len(set(names.values())) == len(names)
    for path, name in names.items():
        assert path == name or path.endswith(f".{name}")
        words = name.split(".")
        for shorter in (".".join(words[start:]) for start in range(1, len(words))):
            others = itertools.chain(names.keys() - {path})
            taken = any(other == shorter or other.endswith(f".{shorter}") for other in others)
            assert taken or shorter.replace(".", "").isdigit()
