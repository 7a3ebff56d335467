"""What kinds of image files there are: their formats, modes and sizes, read from their headers."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from runner import cores
from runner.data.decode import opened, without_warnings
from runner.data.deep_images import read_values
from runner.data.examples import Report
from runner.data.files import FileTree
from runner.data.pixels import shape_of
from runner.data.pixels.depth import bits_of
from runner.data.threads import in_tenths, in_threads
from runner.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image


class Kinds(NamedTuple):
    """How many files have each format (`JPEG`), each mode of Pillow (`RGB`), and each size (`375×500×3`)."""

    formats: dict[str, int]
    modes: dict[str, int]
    sizes: dict[str, int]


def kinds_of(tree: FileTree, paths: Sequence[str], *, report: Report) -> Kinds:
    """The kinds of the files, the most frequent ones first. Files that cannot be read are left out."""
    found: list[tuple[str, str, str] | None] = [None] * len(paths)

    def look(index: int) -> None:
        try:
            found[index] = _kind_of(tree, paths[index])
        except DataError:
            found[index] = None

    with without_warnings():
        progress = in_tenths(len(paths), "looked at", "files", report=report)
        in_threads(len(paths), look, threads=min(cores.available(), 16), progress=progress)
    known = [kind for kind in found if kind is not None]
    columns = zip(*known, strict=True) if known else ((), (), ())
    return Kinds(*(dict(Counter(column).most_common()) for column in columns))


def _kind_of(tree: FileTree, path: str) -> tuple[str, str, str]:
    try:
        return opened(tree, path, _kind)
    except DataError:  # such as a TIFF of more channels than Pillow reads
        values = read_values(tree, path)
        mode = f"{values.shape[-1]} channels ({8 * values.dtype.itemsize} bits)"
        return "TIFF", mode, "×".join(map(str, values.shape))


def _kind(image: "Image") -> tuple[str, str, str]:
    # As `ImageSize` is written, whose validation would take a third of the time.
    mode = f"{image.mode} (16 bits)" if bits_of(image) > 8 and ";16" not in image.mode else image.mode
    return image.format or "unknown", mode, "×".join(map(str, shape_of(image)))
