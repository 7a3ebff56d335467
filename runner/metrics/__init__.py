"""The metrics that a run can measure besides its loss: a module for each, found by its name.

    >>> metric("accuracy").per_example(outputs, targets)     # (n,): one value for each example

A module `NAME` holds its metric as METRIC; it is then recorded as train/NAME, val/NAME and test/NAME. To add a metric
is to add its module: training, the settings and the JSON Schema find it here.
"""

import importlib
import pkgutil
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import jax
from pydantic import AfterValidator, WithJsonSchema

from runner.errors import unknown

Direction = Literal["maximize", "minimize"]


@dataclass(frozen=True)
class Metric:
    """A value of each example, whose mean over examples is recorded.

    `per_example` takes (n, k) outputs and (n, k) targets, as the metric's `task` gives them to metrics, and returns
    (n,): numbers, or truths whose share is recorded. Targets of classes are one-hot, or mixed by mixup and cutmix.
    `direction` says which values are better, `form` how they are printed. Data of fewer than `least_classes` classes
    are refused.
    """

    per_example: Callable[[jax.Array, jax.Array], jax.Array]
    direction: Direction = "maximize"
    least_classes: int = 1
    task: str = "classification"
    form: str = ".2%"


def names() -> list[str]:
    """The metrics that exist; no module is imported to list them."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def metric(name: str) -> Metric:
    """The metric of this name, which has to be one of `names`."""
    found: Metric = importlib.import_module(f"{__name__}.{name}").METRIC
    return found


def natural_direction(recorded: str) -> Direction:
    """Which values of val/NAME, best/val_NAME or a cost are better; losses and costs are minimized."""
    name = metric_of(recorded)
    return metric(name).direction if name else "minimize"


def metric_of(recorded: str) -> str | None:
    """The metric that is recorded as train/NAME, val/NAME, test/NAME or best/val_NAME; None for losses and costs."""
    name = re.sub(r"^(train/|val/|test/|best/val_)", "", recorded)
    return name if name in names() else None


def printed(recorded: str, value: float, otherwise: str = ".4g") -> str:
    """A value as it is printed, by the name under which it is recorded.

    >>> printed("val/accuracy", 0.98765), printed("val/loss", 0.98765)
    ('98.77%', '0.9877')
    """
    name = metric_of(recorded)
    return format(value, metric(name).form if name else otherwise)


def is_share(recorded: str) -> bool:
    """Whether a value is a share that is printed in per cent, by the name under which it is recorded."""
    name = metric_of(recorded)
    return metric(name).form.endswith("%") if name else recorded.endswith("accuracy")


def _known(name: str) -> str:
    if name not in names():
        raise ValueError(unknown("", "metric", name, names()).text)
    return name


Name = Annotated[str, AfterValidator(_known), WithJsonSchema({"enum": names()})]


def _validated(recorded: str) -> str:
    known = ["val/loss", *(f"val/{name}" for name in names())]
    if recorded not in known:
        raise ValueError(unknown("", "metric", recorded, known).text)
    return recorded


Validated = Annotated[
    str, AfterValidator(_validated), WithJsonSchema({"enum": ["val/loss", *(f"val/{name}" for name in names())]})
]
"""The name under which a value of the validation examples is recorded."""
