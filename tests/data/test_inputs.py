"""What a trained network reads: values of another unit are refused; bytes and floats of any size become inputs."""

import re
from typing import Any

import numpy as np
import pytest

from runner.data.inputs import Inputs
from runner.errors import DataError


def inputs(dtype: str, values: tuple[float, float] | None = None, words: int = 0) -> Inputs:
    named = tuple(f"word{number}" for number in range(words))
    return Inputs((2,), dtype, range=values and ((values[0],), (values[1],)), vocabulary=named)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int64, np.uint64])
def test_whole_numbers_of_any_type_are_bytes_where_they_fit(dtype: Any) -> None:
    found = inputs("uint8").checked(np.array([[0, 255]], dtype))
    assert found.dtype == np.uint8
    assert found.tolist() == [[0, 255]]


@pytest.mark.parametrize(
    ("model", "values", "text"),
    [
        # 0 … 1 became zeros, and 300 became 44.
        (inputs("uint8"), [[0.0, 0.5]], "whole numbers from 0 to 255, of any integer type, got float64; multiply"),
        (inputs("uint8"), [[0, 300]], "whole numbers from 0 to 255, of any integer type, got 0 to 300"),
        (inputs("uint8"), [[-1, 3]], "whole numbers from 0 to 255, of any integer type, got -1 to 3"),
        (inputs("uint8"), [[True, False]], "whole numbers from 0 to 255, of any integer type, got bool"),
        (inputs("int32", words=10), [[0, 10]], "tokens, whole numbers from 0 to 9, of any integer type, got 0 to 10"),
        (
            inputs("int32", words=10),
            [[0.0, 1.0]],
            "tokens, whole numbers from 0 to 9, of any integer type, got float64",
        ),
        (inputs("float32"), [[0, 1e300]], "finite numbers that fit float32, got 0 to 1e+300"),
        (inputs("float32"), [[0, np.nan]], "finite numbers that fit float32, got nan to nan"),
        (inputs("float32"), [["a", "b"]], "finite numbers that fit float32, got <U1"),
        (
            inputs("float32", (0, 1)),
            [[0, 255]],
            "finite numbers that fit float32, in the unit of training: 0 … 1, got 0 to 255",
        ),
    ],
)
def test_values_that_the_model_cannot_have_meant_are_refused(model: Inputs, values: Any, text: str) -> None:
    with pytest.raises(DataError, match=f"^images: must be {re.escape(text)}"):
        model.checked(np.asarray(values))


def test_floats_may_lie_a_little_outside_what_training_saw() -> None:
    found = inputs("float32", (0, 1)).checked(np.array([[-0.9, 1.9]]))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([[-0.9, 1.9]], np.float32))


def test_bytes_and_floats_of_any_size_are_fitted_alike() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 14, 3), np.uint8)
    for fit in ("resize", "pad", "crop"):
        as_bytes = Inputs((6, 5, 3), "uint8", fit).of_array(pixels)
        as_floats = Inputs((6, 5, 3), "float32", fit, ((0.0,), (255.0,))).of_array(pixels.astype(np.float32))
        assert (as_floats.dtype, as_floats.shape) == (np.float32, (6, 5, 3))
        assert abs(as_bytes - as_floats).max() <= 1.5  # Pillow rounds bytes after each axis
        own = Inputs((6, 5, 3), "float32", fit, ((-1.0,), (1.0,)))
        np.testing.assert_allclose(own.of_array(pixels), as_bytes / 255.0 * 2 - 1, atol=1e-6)
