"""Short names for dotted paths: as few of the last words as tell each path from the others."""

from collections.abc import Iterable


def short_names(paths: Iterable[str]) -> dict[str, str]:
    """A different name for each path. A number is never a name of its own: it follows the word before it.

    >>> short_names(["optimizer.learning_rate", "model.layers.0.conv.filters", "model.layers.3.conv.filters"])
    {'optimizer.learning_rate': 'learning_rate', 'model.layers.0.conv.filters': '0.conv.filters',
     'model.layers.3.conv.filters': '3.conv.filters'}
    """
    words = {path: path.split(".") for path in paths}
    counts: dict[tuple[str, ...], int] = {}
    for own in words.values():
        for start in range(len(own)):
            ending = tuple(own[start:])
            counts[ending] = counts.get(ending, 0) + 1
    return {path: ".".join(_shortest(own, counts)) for path, own in words.items()}


def _shortest(words: list[str], counts: dict[tuple[str, ...], int]) -> list[str]:
    for start in reversed(range(len(words))):
        ending = words[start:]
        if counts[tuple(ending)] == 1 and not all(word.isdigit() for word in ending):
            return ending
    return words
