"""The leaves of a tree, and texts that remember where they were in it before an edit.

>>> [(path, leaf.origin) for path, leaf in leaves(marked({"layers": ["relu"]}))]
[(('layers', 0), ('layers', 0))]
"""

from collections.abc import Callable, Iterator
from typing import Any

from runner.edits.places import Path


class Leaf(str):
    """A value of a tree that remembers where it was before an edit."""

    origin: Any = None

    @classmethod
    def of(cls, text: object, origin: Any) -> "Leaf":
        """The value as a text, with its origin."""
        leaf = cls(text)
        leaf.origin = origin
        return leaf


def marked(value: Any, path: Path = (), mark: Callable[[Any, Path], Leaf] = Leaf.of) -> Any:
    """The same tree, with every leaf as a text that remembers its path."""
    if isinstance(value, dict):
        return {key: marked(item, (*path, key), mark) for key, item in value.items()}
    if isinstance(value, list):
        return [marked(item, (*path, index), mark) for index, item in enumerate(value)]
    return mark(value, path)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every leaf of a tree with its path; an empty list or mapping is a leaf."""
    if isinstance(value, dict | list) and value:
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, (*path, key))
    else:
        yield path, value
