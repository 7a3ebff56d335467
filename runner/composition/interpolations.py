"""Limits the work of interpolations: `a: ${b}${b}`, nested thirty times, would give a text of 2³⁰ characters.

OmegaConf resolves an interpolation again at each use. This module counts the uses and the size of the results.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from omegaconf import Container, DictConfig, ListConfig, Node
from omegaconf.errors import InterpolationResolutionError

from runner import limits


class TooMuchError(InterpolationResolutionError):
    """Interpolations that exceed `runner.limits`; the message begins with `must`."""


class _Work:
    """Counts since the start of the outermost `bounded`, or of the outermost interpolation."""

    def __init__(self) -> None:
        self.open = 0
        self.depth = 0
        self.count = 0
        self.size = 0

    @contextmanager
    def within(self) -> Iterator[None]:
        if not self.open:
            self.count = self.size = 0
        self.open += 1
        try:
            yield
        finally:
            self.open -= 1

    def begins(self) -> None:
        self.count += 1
        if self.count > limits.INTERPOLATIONS:
            raise TooMuchError(f"must need at most {limits.INTERPOLATIONS:,} interpolations, got more")
        if self.depth >= limits.INTERPOLATION_DEPTH:
            raise TooMuchError(
                f"must need at most {limits.INTERPOLATION_DEPTH} interpolations inside one another, got more"
            )

    def ends(self, value: Any) -> None:
        self.size += _size(value, limits.INTERPOLATED_SIZE - self.size)
        if self.size > limits.INTERPOLATED_SIZE:
            raise TooMuchError(f"must give at most {limits.INTERPOLATED_SIZE:,} characters and values, got more")


_work: Final = _Work()
resolve_parse_tree: Final = Container.resolve_parse_tree


def _counted(self: Container, *arguments: Any, **named: Any) -> Any:
    """Replaces OmegaConf's method, which resolves one interpolation and those inside it."""
    with _work.within():
        _work.begins()
        _work.depth += 1
        try:
            value = resolve_parse_tree(self, *arguments, **named)
        finally:
            _work.depth -= 1
        _work.ends(value)
    return value


def count() -> None:
    """Makes OmegaConf count from now on, also when Hydra calls it."""
    Container.resolve_parse_tree = _counted  # type: ignore[method-assign]


@contextmanager
def bounded() -> Iterator[None]:
    """Applies the limits to all interpolations in the block together; outside, they apply to each value separately."""
    count()
    with _work.within():
        yield


def check(config: DictConfig) -> None:
    """Raises TooMuchError if resolving the whole configuration exceeds the limits. Ignores other errors."""
    with bounded():
        _expand(config)


def _expand(node: Any) -> None:
    if not isinstance(node, DictConfig | ListConfig) or node._is_none() or node._is_missing():
        return
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        try:
            child = node._get_node(key)
            if isinstance(child, Node) and child._is_interpolation():
                child = child._dereference_node()
        except TooMuchError:
            raise
        except Exception:  # noqa: BLE001 - for example ${hydra:…}, which has no value yet
            continue
        _expand(child)


def _size(value: Any, most: int) -> int:
    """The number of characters of a text, or of values of a container; counting stops above `most`."""
    plain = value._value() if isinstance(value, Node) else value
    if isinstance(plain, str):
        return len(plain)
    if not isinstance(plain, dict | list | tuple):
        return 1
    found = 1
    for item in plain.values() if isinstance(plain, dict) else plain:
        if found > most:
            break
        found += _size(item, most - found)
    return found
