"""What kinds of image files there are: their formats, modes and sizes, read from their headers."""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.survey import kinds


class Kinds(NamedTuple):
    """How many files have each format (`JPEG`), each mode of Pillow (`RGB`), and each size (`375×500×3`)."""

    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]


def kinds_of(tree: FileTree, paths: Sequence[str], *, report: Report) -> Kinds:
    """The kinds of the files, the most frequent ones first. Files that cannot be read are left out."""
    known = [kind for kind in kinds(tree, paths, report) if kind is not None]
    columns = zip(*known, strict=True) if known else ((), (), ())
    return Kinds(*(dict(Counter(column).most_common()) for column in columns))
