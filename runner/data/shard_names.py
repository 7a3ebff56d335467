"""Which part of a data set each of its shards belongs to, by its name or its folder; patterns that name many shards.

>>> named("train-{0..2}.tar")
['train-0.tar', 'train-1.tar', 'train-2.tar']
>>> part_in("imagenet-validation-000003")
'val'
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from runner import limits
from runner.data.splits import part_of
from runner.errors import DataError, must

_WORDS: Final = re.compile(r"[^\W\d_]+")
_INNERMOST: Final = re.compile(r"\{([^{}]*)\}")
_NUMBERS: Final = re.compile(r"(\d{1,18})\.\.(\d{1,18})")


def by_part(root: Path, files: Sequence[str], part: Callable[[str], str | None]) -> dict[str, list[str]]:
    """The files of each part: by their names without suffix, of which `part` tells the part, or by their folders.

    If none is named after a part, all are training examples. Raises DataError if only some are, or if the files of one
    part are in several folders, as those of several data sets are.
    """
    parts: dict[str, list[str]] = defaultdict(list)
    places = set()
    for path in files:
        *above, name = PurePosixPath(path).with_suffix("").parts
        own, folder = part(name), part_of(above[-1]) if above else None
        if folder and own in (None, folder):
            own = folder
            above.pop()
        parts[own or ""].append(path)
        places.add("/".join(above))
    if len(parts) > 1 and ("" in parts or "train" not in parts):
        got = ", ".join(parts.pop("", files)[:3])
        raise DataError(
            must(str(root), "hold files that are all named after train, val or test, train among them", got)
        )
    if len(places) > 1:
        got = ", ".join(sorted(place or "." for place in places))
        raise DataError(must(str(root), "hold one data set, in one folder or in a folder for each part", got))
    if "" in parts:
        return {"train": list(files)}
    return {name: parts[name] for name in ("train", "val", "test") if name in parts}


def part_in(stem: str) -> str | None:
    """The part that a word of a name stands for. Raises DataError if words stand for several parts."""
    found = {part: word for word in _WORDS.findall(stem) if (part := part_of(word))}
    if len(found) > 1:
        raise DataError(must("data.root", "have shards whose names have one of train, val and test", stem))
    return next(iter(found), None)


def named(pattern: str) -> list[str]:
    """The names that a pattern stands for, as a shell expands braces: {000..146} or {train,val}.

    Raises DataError if they are too many.
    """
    found = [pattern]
    while any("{" in name for name in found):
        expanded = [one for name in found for one in _first_expanded(name)]
        if len(expanded) > limits.SHARDS:
            raise DataError(must("data.root", f"name at most {limits.SHARDS:,} shards", pattern))
        if expanded == found:
            break
        found = expanded
    return list(dict.fromkeys(found))


def _first_expanded(name: str) -> Iterator[str]:
    braces = _INNERMOST.search(name)
    if braces is None:
        yield name
        return
    inside, start, end = braces[1], name[: braces.start()], name[braces.end() :]
    if numbers := _NUMBERS.fullmatch(inside):
        first, last = int(numbers[1]), int(numbers[2])
        step, width = (1 if first <= last else -1), max(map(len, numbers.groups())) if inside[0] == "0" else 1
        if abs(last - first) >= limits.SHARDS:
            raise DataError(must("data.root", f"name at most {limits.SHARDS:,} shards", name))
        yield from (f"{start}{number:0{width}}{end}" for number in range(first, last + step, step))
    else:
        yield from (f"{start}{one}{end}" for one in inside.split(","))
