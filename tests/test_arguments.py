"""Signatures read as YAML may say them."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jsonschema
import numpy as np
import optax
import pytest

from runner.arguments import REQUIRED, arguments


def example(
    steps: int,
    rate: float | np.ndarray,
    flag: bool = False,
    share: float | np.ndarray = 0.5,
    betas: tuple[float, float] = (0.9, 0.99),
    norm: Literal["row", "column"] = "row",
    mu_dtype: Any | None = None,
    mask: Any | Callable[[Any], Any] | None = None,
    tree: float | Mapping[str, float] | None = None,
    transform: Callable[[float], float] = abs,
    cap: float | None = None,
    *,
    late: "float" = 0.0,
) -> None:
    """Every kind of argument that an optimiser of Optax has."""


TAKEN = [
    ("steps", 3, 3),
    ("rate", 1, 1.0),
    ("flag", True, True),
    ("share", 0.25, 0.25),
    ("betas", (0, 0.5), (0.0, 0.5)),
    ("norm", "column", "column"),
    ("mu_dtype", "bfloat16", "bfloat16"),
    ("mu_dtype", None, None),
    ("mask", None, None),
    ("cap", None, None),
    ("cap", 2, 2.0),
    ("late", 1, 1.0),
]
REFUSED = [
    ("steps", 3.0, "must be a whole number, got 3.0"),
    ("steps", True, "must be a whole number, got true"),
    ("rate", None, "must be a number, got null"),
    ("rate", "1", "must be a number, got 1"),
    ("rate", float("nan"), "must be a finite number, got nan"),
    ("flag", 1, "must be true or false, got 1"),
    ("betas", (0.1, "a"), "must be a number, got a"),
    ("betas", 0.1, "must be a list of 2 values, got 0.1"),
    ("norm", "rows", "must be one of column, row, got rows"),
    ("norm", ("row",), "must be one of column, row, got [row]"),
    ("mu_dtype", "float", "must be one of float32, bfloat16, float16, got float"),
    ("mask", True, "must be left out: Optax takes a Python object here, got true"),
    ("tree", 1.0, "must be left out: Optax takes a Python object here, got 1.0"),
    ("transform", 1.0, "must be left out: Optax takes a Python object here, got 1.0"),
]


@pytest.mark.parametrize(("name", "value", "expected"), TAKEN)
def test_takes(name: str, value: Any, expected: Any) -> None:
    actual = arguments(example)[name].read(value)
    assert (actual, type(actual)) == (expected, type(expected))


@pytest.mark.parametrize(("name", "value", "text"), REFUSED)
def test_refuses(name: str, value: Any, text: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        arguments(example)[name].read(value)
    assert str(caught.value) == text


def test_the_json_schema_agrees() -> None:
    for name, value, _ in TAKEN:
        argument = arguments(example)[name]
        if argument.kind is not None:
            jsonschema.validate(list(value) if isinstance(value, tuple) else value, argument.schema())
    for name, value, _ in REFUSED:
        argument = arguments(example)[name]
        # JSON knows neither NaN nor the difference between 3 and 3.0.
        if argument.kind is not None and value == value and value != 3.0:
            validator = jsonschema.Draft202012Validator(argument.schema())
            assert not validator.is_valid(list(value) if isinstance(value, tuple) else value), name


def test_adam_has_the_documented_arguments() -> None:
    found = arguments(optax.adam)
    assert {name: argument.kind for name, argument in found.items()} == {
        "learning_rate": float, "b1": float, "b2": float, "eps": float, "eps_root": float, "mu_dtype": str,
        "nesterov": bool,
    }  # fmt: skip
    assert found["learning_rate"].default is REQUIRED
    assert found["mu_dtype"].optional
