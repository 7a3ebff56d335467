"""Data sets: a record for each kind of source, and `load`, which returns the same form for every source.

    >>> load(Digits()).train.inputs.shape
    (1294, 8, 8, 1)

A new source is a record with `source` and `read`, listed in `_Kinds`.
"""

from typing import Annotated, Any, get_args

from pydantic import Field, ValidatorFunctionWrapHandler, WrapValidator

from runner.data.arrays import Arrays, SignalSize
from runner.data.augment import Augment
from runner.data.cifar import Cifar
from runner.data.digits import Digits
from runner.data.examples import Dataset, Examples, Report, statistics
from runner.data.fit import Fit, fit, fitted_shape, normalise
from runner.data.folder import Folder
from runner.data.idx import Idx
from runner.data.image_parquet import ImageParquet
from runner.data.image_table import ImageTable
from runner.data.loading import load
from runner.data.photograph import Photograph
from runner.data.source import ImageSize, Source
from runner.data.text import Text
from runner.data.waves import Waves
from runner.data.webdataset import WebDataset
from runner.data.written import Written
from runner.errors import must, unknown

_Kinds = (
    Digits
    | Idx
    | Cifar
    | Folder
    | ImageTable
    | ImageParquet
    | WebDataset
    | Arrays
    | Text
    | Photograph
    | Waves
    | Written
)
SOURCES: dict[str, type[Source]] = {
    get_args(kind.model_fields["source"].annotation)[0]: kind for kind in get_args(_Kinds)
}


def _validated(value: Any, handler: ValidatorFunctionWrapHandler) -> Any:
    """Validates with the record that `source` names, so that errors are at `data.FIELD`, not at `data.KIND.FIELD`."""
    if isinstance(value, Source):
        return value
    if not isinstance(value, dict) or not isinstance(value.get("source"), str):
        raise ValueError(must("", f"be a mapping with a source ({', '.join(SOURCES)})", value).text)
    if value["source"] not in SOURCES:
        raise ValueError(unknown("", "data source", value["source"], SOURCES).text)
    return SOURCES[value["source"]].model_validate(value)


Data = Annotated[Annotated[_Kinds, Field(discriminator="source")], WrapValidator(_validated)]
"""Any kind of data source, chosen by its field `source`."""


__all__ = [
    "SOURCES",
    "Arrays",
    "Augment",
    "Cifar",
    "Data",
    "Dataset",
    "Digits",
    "Examples",
    "Fit",
    "Folder",
    "Idx",
    "ImageParquet",
    "ImageSize",
    "ImageTable",
    "Report",
    "SignalSize",
    "Source",
    "Text",
    "WebDataset",
    "fit",
    "fitted_shape",
    "load",
    "normalise",
    "statistics",
]
