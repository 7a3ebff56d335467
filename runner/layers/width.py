"""A network made wider or narrower: every convolution's filters and every dense layer's units times one factor.

What classes decide stays. Source: the width multiplier of Howard et al. 2017, arXiv:1704.04861, §3.3.
"""

from typing import Any, TypeVar

from runner.layers.base import Layer

_SCALED = ("filters", "units")

T = TypeVar("T")


def widened(value: T, factor: float) -> T:
    """A layer, or layers in tuples to any depth, at `factor` times the width; at least one of each is left.

    The groups of a depthwise convolution, one for each filter, stay as many as its filters.
    """
    if isinstance(value, tuple):
        return type(value)(widened(item, factor) for item in value)
    if not isinstance(value, Layer) or factor == 1:
        return value
    changed: dict[str, Any] = {name: widened(getattr(value, name), factor) for name in type(value).model_fields}
    counts = {name: changed[name] for name in _SCALED if isinstance(changed.get(name), int)}
    changed |= {name: max(1, round(count * factor)) for name, count in counts.items()}
    if counts.get("filters", 1) == changed.get("groups") != 1:
        changed["groups"] = changed["filters"]
    return value.model_copy(update=changed)
