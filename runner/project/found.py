"""What a folder of images has: its classes, how many images each has, and their sizes."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from runner.data.class_folders import Kind, class_folders
from runner.data.examples import Report
from runner.data.files import open_tree
from runner.data.pixels import SUFFIXES
from runner.data.survey import survey
from runner.errors import ConfigError, must, printable

_LARGEST: Final = 64  # pixels: larger images are scaled to this size, which trains within minutes on a processor


@dataclass(frozen=True)
class Found:
    """Images in class folders. `sizes` are (height, width) with counts, the most frequent first."""

    name: str
    root: Path
    classes: Mapping[str, int]
    parts: tuple[str, ...]
    sizes: tuple[tuple[tuple[int, int], int], ...]
    bad: int

    @property
    def count(self) -> int:
        """The number of images of all parts."""
        return sum(self.classes.values())

    @property
    def input(self) -> tuple[int, int]:
        """The input of the first network: the most frequent size, if it is small."""
        height, width = self.sizes[0][0]
        return (height, width) if max(height, width) <= _LARGEST else (_LARGEST, _LARGEST)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Comments about the parts, and about files that cannot be read."""
        if "test" in self.parts:
            own = f"# Found folders of {', '.join(self.parts)}."
        else:
            own = "# No folder test/ was found: a fifth of the images is kept for the test."
        bad = "1 file cannot be decoded and is" if self.bad == 1 else f"{self.bad:,} files cannot be decoded and are"
        return (own, f"# {bad} left out.") if self.bad else (own,)


def found(images: str, project: Path, report: Report) -> Found:
    """Reads the names of a folder or .zip of class folders, and the headers of its images.

    Raises DataError if there are no class folders of images, ConfigError if no image can be read.
    """
    path = Path(images).expanduser()
    tree = open_tree(path)
    listed = class_folders(tree, Kind("images", SUFFIXES), declared=None, report=report)
    counts = Counter(int(label) for files in listed.parts.values() for label in files.labels)
    paths = [path for files in listed.parts.values() for path in files.paths]
    facts = survey(tree, paths, whole=False, report=report)
    sizes = Counter(fact.size[:2] for fact in facts if fact.size is not None)
    if listed.faults:
        raise ConfigError(*listed.faults)
    if not sizes:
        raise ConfigError(must("images", "hold images that can be decoded", images))
    inside = path.resolve().is_relative_to(project.resolve())
    root = path.resolve().relative_to(project.resolve()) if inside else path.resolve()
    return Found(
        name=_name(path.resolve().stem),
        root=root,
        classes={printable(name): counts[label] for label, name in enumerate(listed.names)},
        parts=tuple(listed.parts),
        sizes=tuple(sizes.most_common()),
        bad=sum(fact.size is None for fact in facts),
    )


def _name(stem: str) -> str:
    """A name for a file of `conf/data/`: ASCII letters, digits and underscores, and no number."""
    name = re.sub(r"\W+", "_", stem, flags=re.ASCII).strip("_")
    return name if name[:1].isalpha() else f"images_{name}".strip("_")
