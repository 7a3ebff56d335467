"""What clients of a served model send, in the forms in which MLflow hands it on.

>>> items({"image": ["aGVsbG8="]}, Inputs((8, 8, 3), "uint8"))
['aGVsbG8=']

Needs NumPy only: this module is part of every logged model.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import numpy as np

from runner.data.inputs import Inputs
from runner.errors import DataError, must


def items(data: Any, inputs: Inputs) -> "list[Any] | np.ndarray":
    """The inputs that were sent, one by one; or an array (n, …) of all of them if they are numbers of one shape.

    `data` is a DataFrame, a Series, an array, a list, one text or one file, or a mapping or a list of mappings with the
    column `image`, `text` or `input`. Raises DataError if it is nothing of these, or if there is no such column.
    """
    what = inputs.what
    if hasattr(data, "iloc"):  # of pandas, which a model does not need
        if hasattr(data, "columns") and not data.columns.is_unique:
            raise DataError(must("inputs", "have columns of different names", list(map(str, data.columns))))
        data = {name: data[name].tolist() for name in data.columns} if hasattr(data, "columns") else data.tolist()
    if isinstance(data, Mapping):
        data = _column(data, what) if data else []
    if isinstance(data, str | bytes):
        data = [data]
    if isinstance(data, list | tuple):
        data = [_column(item, what) if isinstance(item, Mapping) else item for item in data]
        data = data if any(isinstance(item, str | bytes) for item in data) else _together(data)
    if isinstance(data, list):
        return data
    if not isinstance(data, np.ndarray) or (not data.ndim and data.dtype.kind not in "US"):
        raise DataError(must("inputs", f"be a list, an array or a table of {what}s", data))
    if data.dtype.kind in "OUS":
        return [item.item() if isinstance(item, np.ndarray) and not item.ndim else item for item in data.reshape(-1)]
    return data if data.size else []


def text(item: Any, place: str) -> str:
    """A text that was sent."""
    if isinstance(item, str):
        return item
    if not isinstance(item, bytes):
        raise DataError(must(place, "be a text", item))
    try:
        return item.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(must(place, "be UTF-8", f"the byte {item[error.start]:02x}")) from error


def file(item: "str | bytes", place: str) -> bytes:
    """The content of a file that was sent in base64, or as it is."""
    if isinstance(item, bytes):
        return item
    try:
        return base64.b64decode("".join(item.rpartition("base64,")[2].split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise DataError(must(place, "be an image file in base64, or an array", item)) from error


def _column(data: Mapping[Any, Any], what: str) -> Any:
    for name in (what, f"{what}s"):
        if name in data:
            return data[name]
    if len(data) == 1:
        return next(iter(data.values()))
    raise DataError(must("inputs", f"have a column {what}", list(map(str, data))))


def _together(found: list[Any]) -> "list[Any] | np.ndarray":
    """Arrays of one shape as one array."""
    arrays = [np.asarray(item) for item in found]
    return np.stack(arrays) if len({array.shape for array in arrays}) == 1 else list(arrays)
