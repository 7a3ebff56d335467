"""Every form that an error takes, word for word: these lines are what a user reads."""

import pytest

from runner import errors
from runner.errors import (
    ConfigError,
    ConvrunnerError,
    DataError,
    Fault,
    NonFiniteError,
    TrackingError,
    TrainingError,
    must,
    shown,
    unknown,
)

LAYERS = ["conv", "dense", "dropout", "flatten", "max_pool", "relu"]


@pytest.mark.parametrize(
    ("fault", "line"),
    [
        (must("model.layers[3].conv.stride", "be ≥ 1", 0), "model.layers[3].conv.stride: must be ≥ 1, got 0"),
        (must("train.epochs", "be a whole number", "ten"), "train.epochs: must be a whole number, got ten"),
        (must("", "be ≥ 1", 0), "must be ≥ 1, got 0"),
        (
            unknown("model.layers[5]", "layer", "cnov", LAYERS),
            'model.layers[5]: unknown layer "cnov"; did you mean "conv"?',
        ),
        (
            unknown("model.layers[5]", "layer", "xyz", LAYERS),
            'model.layers[5]: unknown layer "xyz"; must be one of conv, dense, dropout, flatten, max_pool, relu',
        ),
        (unknown("model.layers[5]", "layer", "xyz", []), 'model.layers[5]: unknown layer "xyz"'),
        (unknown("", "verb", "trian", ["train", "describe"]), 'unknown verb "trian"; did you mean "train"?'),
    ],
)
def test_a_fault_is_one_line(fault: Fault, line: str) -> None:
    assert str(fault) == line


def test_known_names_are_sorted_and_left_out_if_there_are_many() -> None:
    assert str(unknown("x", "key", "zzz", iter(["b", "a"]))) == 'x: unknown key "zzz"; must be one of a, b'
    many = [f"optimizer_{i}" for i in range(100)]
    assert str(unknown("x", "key", "zzz", many)) == 'x: unknown key "zzz"'


def test_too_many_names_for_one_line_are_listed_by_a_command() -> None:
    many = [f"optimizer_{i}" for i in range(100)]
    line = str(unknown("x", "key", "zz_7", many, listing="runner --help"))
    assert line == (
        'x: unknown key "zz_7"; the nearest are optimizer_7, optimizer_97, optimizer_87; runner --help lists all 100'
    )
    line = str(unknown("x", "key", "optimizr_7", many, listing="runner --help"))
    assert line == 'x: unknown key "optimizr_7"; did you mean "optimizer_7"? runner --help lists all 100'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (False, "false"),
        (None, "null"),
        (0.1, "0.1"),
        ("same", "same"),
        ("", "''"),
        (" ", "' '"),
        ("two\nlines", r"'two\nlines'"),
        ((5, 5), "[5, 5]"),
        ([[1, None], [True, "a"]], "[[1, null], [true, a]]"),
        ({"rate": 0.5, "use_bias": False}, "{rate: 0.5, use_bias: false}"),
    ],
)
def test_a_value_is_shown_as_in_yaml(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(
    "value", ["x" * 61, list(range(100)), {str(i): i for i in range(100)}], ids=["str", "list", "dict"]
)
def test_a_long_value_is_cut_at_60_characters(value: object) -> None:
    assert len(shown(value)) == 60
    assert shown(value).endswith("...")
    assert shown("x" * 60) == "x" * 60


def test_an_error_has_a_line_for_each_fault() -> None:
    faults = must("a", "be ≥ 1", 0), unknown("b", "layer", "cnov", LAYERS)
    error = ConfigError(*faults)
    assert error.faults == faults
    assert str(error) == 'a: must be ≥ 1, got 0\nb: unknown layer "cnov"; did you mean "conv"?'


def test_a_users_mistake_exits_with_2_and_a_failed_run_with_1() -> None:
    mistakes, failures = (ConfigError, DataError, TrackingError), (ConvrunnerError, TrainingError, NonFiniteError)
    assert {error.exit_status for error in mistakes} == {2}
    assert {error.exit_status for error in failures} == {1}


def test_the_docstring_shows_all_errors() -> None:
    tree = errors.__doc__ or ""
    classes = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, ConvrunnerError)]
    for error in classes:
        line = next(line for line in tree.splitlines() if error.__name__ in line.split())
        if error is not ConvrunnerError:
            assert line.endswith(f"exit status {error.exit_status}")
    assert issubclass(NonFiniteError, TrainingError)


@pytest.mark.parametrize(
    ("name", "meant"), [("lr", "learning_rate"), ("wd", "weight_decay"), ("adma", "adam"), ("cosine", "cosine_decay")]
)
def test_suggestions_for_initials_exchanged_letters_and_parts(name: str, meant: str) -> None:
    known = ["learning_rate", "weight_decay", "adam", "adamax", "cosine_decay", "name"]
    assert unknown("", "key", name, known).text == f'unknown key "{name}"; did you mean "{meant}"?'
