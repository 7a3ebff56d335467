"""Sources of labelled image files: the files are listed, examined if that is asked for, and decoded later."""

from collections.abc import Iterable, Sequence
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
from pydantic import Field, PrivateAttr, model_validator

from runner.data.broken import LISTED, BadFileError, BadSizeError, grouped
from runner.data.class_folders import Labelled
from runner.data.decode import Images, size_rule
from runner.data.deep_images import DeepImages
from runner.data.examples import NOTHING, LeftOut, Part, Parts, Report
from runner.data.file_lists import by_lists, file_list
from runner.data.files import FileTree
from runner.data.pixels import MODES, FileFit
from runner.data.pixels.depth import Depth
from runner.data.source import ImageSize, Ranged, Source
from runner.data.survey import Fact, bits, survey
from runner.errors import DataError, Fault, must, printable

_Size = tuple[int, int, int]
_LOOKED_AT = 10  # images whose depth is looked at
_EXAMPLE = "{height: 224, width: 224, channels: 3}"


class Listed(NamedTuple):
    """The image files of a source: the classes, in the order of their labels, and the files of each part.

    `faults` are those of the listing. `other` are files that are no images.
    """

    tree: FileTree
    names: tuple[str, ...]
    parts: dict[str, Labelled]
    faults: Sequence[Fault] = ()
    other: Sequence[str] = ()


class ImageFiles(Ranged):
    """A source that lists image files (JPEG, PNG, GIF, TIFF, BMP, WebP) and their labels."""

    streams: ClassVar[bool] = True
    # What the files are listed by, in reports.
    listed_by: ClassVar[str]

    fit: FileFit = Field(
        default="resize",
        description="How an image is brought to the size `image`: resize (scale to cover it, cut out the centre), pad "
        "(scale to fit inside, add zeros) or crop (cut out the centre without scaling).",
    )
    depth: Depth = Field(
        default="bytes",
        description="bytes: images have 1 to 4 channels of 8 bits; 16 bits are cut to 8. keep: 8 or 16 bits and any "
        "number of channels, unchanged, as float32; 16 bits in colour and more than 4 channels need "
        "convrunner[depth].",
    )
    on_bad_file: Literal["error", "skip"] = Field(
        default="error",
        description="What is done about images that cannot be decoded: error ends with a list of all of them; skip "
        "leaves them out, and records which.",
    )

    val_list: str | None = Field(
        default=None,
        min_length=1,
        description="A text file that lists the validation images, one path on each line; they are not trained on.",
    )
    test_list: str | None = Field(
        default=None,
        min_length=1,
        description="A text file that lists the test images, one path on each line; they are not trained on.",
    )

    # The size of the networks' input, which images of several sizes are fitted to.
    _input: tuple[int, int] | None = PrivateAttr(None)
    # Whether the sizes of all images are read before the first one is decoded.
    _surveyed: bool = PrivateAttr(False)

    @model_validator(mode="after")
    def _has_a_mode(self) -> Self:
        if self.image is not None and self.image.channels not in MODES and self.depth == "bytes":
            raise ValueError(must("", "have images of 1, 2, 3 or 4 channels", self.image.channels).text)
        if self.range is not None and self.depth == "bytes":
            raise ValueError(must("", "have a range with depth=keep only", self.range).text)
        return self

    def for_input(self, height: int, width: int) -> Source:
        return self if self.image is not None else self._with(input=(height, width), surveyed=False)

    def surveyed(self) -> Source:
        return self if self.image is not None else self._with(surveyed=True)

    def after(self, error: BadFileError, report: Report) -> Source:
        """Reads the sizes of all images first, if only sizes differ. Else raises DataError with all faults."""
        is_size = isinstance(error, BadSizeError)
        if is_size and self._input is not None and not self._surveyed:
            return self.surveyed()
        if self.on_bad_file == "skip" or (self.limit is not None and not is_size):
            raise error  # a file that changed in between; with `limit`, the other files may never be used
        found = self._divided(lambda line: None)
        tree, paths = found.tree, _paths(found.parts.values())
        facts = self._survey(tree, paths, report)
        bad = _faults(tree, paths, facts)
        faults = _size_faults(tree, paths, facts) if self.image is None and self._input is None else []
        raise self._error(tree, faults, bad) if faults or bad else error

    def read(self, report: Report) -> Parts:
        """Lists the files; they are decoded later."""
        found = self._divided(report)
        tree, paths, skip = found.tree, _paths(found.parts.values()), self.on_bad_file == "skip"
        if found.faults:
            whole = [] if self.limit is not None else self._survey(tree, paths, report)
            raise self._error(tree, found.faults, [] if skip else _faults(tree, paths, whole))
        size, bad = self.image, {}
        if skip or self._surveyed:
            facts = self._survey(tree, paths, report, whole=skip)
            bad = {path: fact.fault for path, fact in zip(paths, facts, strict=True) if fact.size is None}
            if bad and not skip:
                raise self._error(tree, [], _faults(tree, paths, self._survey(tree, paths, report)))
            found = _without(found, bad)
            size = size or self._common_size(tree, paths, facts)
        left_out = LeftOut(tuple(bad.items()), tuple(found.other))
        if left_out != NOTHING:
            report(f"left out of {self.listed_by}: {left_out.summary()}")
        for path, fault in left_out.bad:
            report(printable(f"skipped {path}: {fault}"))
        parts = {
            part: Part(
                (DeepImages if self.depth == "keep" else Images)(tree, files.paths, size, self.fit, report),
                files.labels,
                f"{tree.root}, {part}",
                files=files.paths,
                groups=files.groups,
            )
            for part, files in found.parts.items()
        }
        return Parts(
            train=parts["train"],
            val=parts.get("val"),
            test=parts.get("test"),
            classes=found.names,
            left_out=left_out,
            remarks=self._remarks(tree, found.parts["train"].paths),
        )

    def listed(self, report: Report) -> Listed:
        """The image files with their labels. Raises DataError if nothing can be listed; other faults are returned."""
        raise NotImplementedError

    def _divided(self, report: Report) -> Listed:
        """The image files, with those of `val_list` and `test_list` in parts of their own."""
        found = self.listed(report)
        files = {"val": self.val_list, "test": self.test_list}
        lists = {part: file_list(f"data.{part}_list", file) for part, file in files.items() if file is not None}
        return found._replace(parts=by_lists(found.parts, lists)) if lists and not found.faults else found

    def _survey(self, tree: FileTree, paths: Sequence[str], report: Report, *, whole: bool = True) -> list[Fact]:
        return survey(tree, paths, whole=whole, report=report, keeps_depth=self.depth == "keep")

    def _remarks(self, tree: FileTree, paths: Sequence[str]) -> tuple[str, ...]:
        """Says if some training images have 16 bits, which are cut to 8."""
        if self.depth == "keep":
            return ()
        some = paths[:: max(1, len(paths) // _LOOKED_AT)]
        deep = [path for path, count in zip(some, bits(tree, some), strict=True) if count > 8]
        rule = "has 16 bits for each channel, of which 8 are read; data.depth=keep keeps them"
        return (printable(f"{tree.root}/{deep[0]} {rule}"),) if deep else ()

    def _common_size(self, tree: FileTree, paths: Sequence[str], facts: Sequence[Fact]) -> ImageSize | None:
        """The size of all images, else the networks' input with the channels of all; in colour if these differ."""
        sizes = {fact.size for fact in facts if fact.size is not None}
        channels = {size[2] for size in sizes}
        if len(channels) > 1 and self.depth == "keep":
            raise self._error(tree, _channel_faults(tree, paths, facts))
        if len(sizes) > 1 and self._input is None:
            raise self._error(tree, _size_faults(tree, paths, facts))
        height, width = self._input if len(sizes) > 1 and self._input else next(iter(sizes), (1, 1, 3))[:2]
        return ImageSize(height=height, width=width, channels=channels.pop() if len(channels) == 1 else 3)

    def _error(self, tree: FileTree, faults: Sequence[Fault], bad: Sequence[Fault] = ()) -> DataError:
        """The error with the first faults of each sort, and how to train without the `bad` files."""
        told = [*grouped(tree.root, faults), *grouped(tree.root, bad)]
        if bad:
            files = "the bad file" if len(bad) == 1 else f"the {len(bad):,} bad files"
            told.append(must("data.on_bad_file", f"be skip to train without {files}", self.on_bad_file))
        return DataError(*told)


def _paths(parts: Iterable[Labelled]) -> list[str]:
    return [path for files in parts for path in files.paths]


def _faults(tree: FileTree, paths: Sequence[str], facts: Sequence[Fact]) -> list[Fault]:
    """The faults of the files that cannot be used."""
    return [
        Fault(f"{tree.root}/{path}", fact.fault) for path, fact in zip(paths, facts, strict=False) if fact.size is None
    ]


def _size_faults(tree: FileTree, paths: Sequence[str], facts: Sequence[Fact]) -> list[Fault]:
    """The faults of images whose size is not that of the first one; a single one if they are many."""
    sizes = [(path, _size(fact.size)) for path, fact in zip(paths, facts, strict=True) if fact.size is not None]
    first = sizes[0][1] if sizes else None
    others = [(path, size) for path, size in sizes if first and size != first]
    if len(others) > LISTED:
        examples = ", ".join(f"{size} ({path})" for path, size in (sizes[0], *others[:2]))
        rule = f"have images of one size, or be fitted to one by 'data.image={_EXAMPLE}' or by model.input"
        return [Fault(str(tree.root), f"must {rule}, got {len(set(dict(others).values())) + 1} sizes: {examples}, ...")]
    return [must(f"{tree.root}/{path}", size_rule(first), size) for path, size in others if first]


def _channel_faults(tree: FileTree, paths: Sequence[str], facts: Sequence[Fact]) -> list[Fault]:
    """The faults of images that have other channels than the first one, where channels are not converted."""
    found = [(path, fact.size[2]) for path, fact in zip(paths, facts, strict=True) if fact.size is not None]
    rule = f"have {found[0][1]} channels like the first image, for data.depth=keep"
    return [must(f"{tree.root}/{path}", rule, count) for path, count in found if count != found[0][1]]


def _size(shape: _Size) -> ImageSize:
    return ImageSize(height=shape[0], width=shape[1], channels=shape[2])


def _without(found: Listed, bad: dict[str, str]) -> Listed:
    """The same without these files."""
    parts = {}
    for part, files in found.parts.items():
        kept = [index for index, path in enumerate(files.paths) if path not in bad]
        parts[part] = files.take(np.asarray(kept, int))
    return found._replace(parts=parts)
