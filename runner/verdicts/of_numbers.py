"""How good estimates of numbers are.

    >>> found = numbers(np.array([[1.0], [2.0], [3.0]]), np.array([[1.0], [2.0], [4.0]]))
    >>> round(found["rmse"], 4), found["r2"]
    (0.5774, 0.5)

Names and values are those of scikit-learn (`r2_score` with its uniform mean over several numbers).
"""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from runner.errors import printable
from runner.verdicts.intervals import Measured, counted, of_sums, said_interval

Array = np.ndarray[Any, Any]
_MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class NumbersVerdict:
    """All that is measured of estimates (n, k): for each number its errors, and those of what needs no network.

    R² is NaN of a number that is the same for all examples. `constant` (k,) are the mean absolute errors of answering
    the mean of training, `linear` those of a linear model, if there is one.
    """

    names: tuple[str, ...]
    examples: int
    mae: tuple[Measured, ...]
    rmse: tuple[Measured, ...]
    r2: tuple[Measured, ...]
    constant: Array
    linear: Array | None


def numbers(wanted: Array, estimates: Array) -> dict[str, float]:
    """What every run records besides its metrics, from numbers and estimates (n, k): means over the numbers."""
    if not len(wanted):
        return {}
    k = wanted.shape[1]
    values = _values(_each(wanted, estimates).mean(axis=0), k)
    rmse, r2 = values[k : 2 * k], values[2 * k :]
    found = {"rmse": float(rmse.mean())}
    return found | ({"r2": float(r2.mean())} if np.isfinite(r2).all() else {})


def judged(
    wanted: Array,
    estimates: Array,
    names: tuple[str, ...],
    *,
    means: Array | None = None,
    linear: Array | None = None,
) -> NumbersVerdict:
    """The verdict on estimates (n, k) of numbers (n, k), at least one row.

    `means` (k,) are those of the numbers in training, `linear` (n, k) the estimates of a linear model.
    """
    k = len(names)
    found = of_sums(_each(wanted, estimates), lambda each: _values(each, k))
    constant = wanted.mean(axis=0) if means is None else means
    return NumbersVerdict(
        names=names,
        examples=len(wanted),
        mae=tuple(found[:k]),
        rmse=tuple(found[k : 2 * k]),
        r2=tuple(found[2 * k :]),
        constant=np.abs(wanted - constant).mean(axis=0),
        linear=None if linear is None else np.abs(wanted - linear).mean(axis=0),
    )


def lines(found: NumbersVerdict, width: int, *, of: str = "test examples") -> list[str]:
    """The errors of each number with their intervals, beside those of what needs no network."""
    told = []
    for number, name in enumerate(found.names[:_MOST_NAMED]):
        mae, rmse, r2 = found.mae[number], found.rmse[number], found.r2[number]
        r2_text = f"R²\u00a0{r2.value:.4f}" if np.isfinite(r2.value) else "R²\u00a0unknown, as all are equal"
        linear = "" if found.linear is None else f", a linear model {found.linear[number]:.4g}"
        told.append(
            f"{printable(name)}: mean error {mae.value:.4g}{said_interval(mae, found.examples, '.4g')}, "
            f"RMSE {rmse.value:.4g}, {r2_text}; without a network: the mean {found.constant[number]:.4g}{linear}"
        )
    if more := len(found.names) - _MOST_NAMED:
        told += [f"and {more} more numbers, in verdict.json"] if more > 0 else []
    told.append(counted(found.examples, of))
    return [line for text in told for line in textwrap.wrap(text, max(width, 20), subsequent_indent="  ")]


def as_json(found: NumbersVerdict) -> dict[str, Any]:
    """The verdict as plain values; what is not known is null."""
    return {
        "task": "regression",
        "examples": found.examples,
        "numbers": [
            {
                "number": name,
                "mae": _known(found.mae[number]),
                "rmse": _known(found.rmse[number]),
                "r2": _known(found.r2[number]),
                "baselines": {
                    "mean_mae": float(found.constant[number]),
                    "linear_mae": None if found.linear is None else float(found.linear[number]),
                },
            }
            for number, name in enumerate(found.names)
        ],
    }


def _each(wanted: Array, estimates: Array) -> Array:
    """Of each example (n, 4k): the absolute and the squared errors, the numbers and their squares.

    The numbers are counted from their mean, so that their squares lose no precision.
    """
    wanted = wanted.astype(np.float64)
    errors, centred = estimates - wanted, wanted - wanted.mean(axis=0)
    return np.concatenate([np.abs(errors), errors**2, centred, centred**2], axis=1)


def _values(means: Array, k: int) -> Array:
    """MAE, RMSE and R² of each number, (…, 3k), from the means of `_each`."""
    mae, mse, first, second = (means[..., place * k : (place + 1) * k] for place in range(4))
    variance = second - first**2
    with np.errstate(invalid="ignore", divide="ignore"):
        r2 = np.where(variance > 1e-12 * np.maximum(second, 1e-300), 1 - mse / variance, np.nan)
    return np.concatenate([mae, np.sqrt(mse), r2], axis=-1)


def _known(found: Measured) -> dict[str, float] | None:
    return found._asdict() if np.isfinite(found.value) else None
