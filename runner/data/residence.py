"""Where the decoded examples of a data set are: in arrays, or nowhere, because they are streamed.

>>> parts, streamed = placed(data, data.read(print), print)
>>> examples = taken(parts.train, np.arange(4), streamed=streamed)
"""

import math
import warnings
from collections.abc import Sequence
from typing import Final

import numpy as np

from runner import memory
from runner.data import image_cache
from runner.data.decode import Images
from runner.data.examples import Examples, Part, Parts, Report, digest_of
from runner.data.source import Source
from runner.data.streamed import Streamed
from runner.errors import DataError, must

_WINDOWS: Final = "augment.random_resized_crop.original"
_SETS: Final = 3  # training, validation and test, of which `limit` limits each


def placed(data: Source, parts: Parts, report: Report) -> tuple[Parts, bool]:
    """The parts of a source, and whether its examples are streamed: because the user says so, or they are too large.

    Raises DataError if they cannot be streamed.
    """
    can = data.streams
    if data.cuts_windows:
        _check_windows(data, can and parts.train.inputs.dtype == np.uint8)
    if data.residence == "stream" and not can:
        rule = "be auto, device or host for data other than image files"
        raise DataError(must("data.residence", rule, "stream"))
    if data.residence in ("device", "host") or not can:
        return parts, False
    if data.residence == "auto":
        why = f"{_WINDOWS} cuts windows out of the files" if data.cuts_windows else _too_large(data, parts)
        if not why:
            return parts, False
        report(f"streamed: {why}")
    # Pillow warns of odd files in the threads that decode, whose warnings cannot be caught one by one.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    surveyed = data.surveyed()
    return data.for_streams(parts if surveyed is data else surveyed.read(report), report), True


def _check_windows(data: Source, can_stream: bool) -> None:
    """Raises DataError if windows cannot be cut out of the files, or are asked for of images that are kept decoded."""
    if not can_stream:
        raise DataError(must(_WINDOWS, "be false for data other than image files of 8 bits", "true"))
    if data.residence in ("device", "host"):
        rule = f"be auto or stream where {_WINDOWS} cuts windows out of the files"
        raise DataError(must("data.residence", rule, data.residence))


def taken(part: Part, index: np.ndarray, *, streamed: bool) -> Examples:
    """The examples at these indices, decoded, or streamed."""
    if not streamed or not isinstance(part.inputs, Images):
        return part.take(index)
    files = tuple(part.inputs.paths[place] for place in index)
    return Examples(Streamed(part.inputs, files), part.labels_at(index), files)


def identity(part: Examples) -> Examples:
    """The examples with what tells them apart: their values, or of streamed ones the digests of their files."""
    if not isinstance(part.inputs, Streamed):
        return part
    contents, _ = part.inputs.images.identity(part.inputs.paths)
    return Examples(contents, part.labels, part.files)


def digest(names: tuple[str, ...], parts: Sequence[Examples], identities: Sequence[Examples]) -> str:
    """The digest of a data set: of values, or of streamed examples of their files and the way of decoding them."""
    inputs = parts[0].inputs
    if not isinstance(inputs, Streamed):
        return digest_of(names, *parts)
    _, how = inputs.images.identity(inputs.paths[:1])
    return digest_of((*names, how), *identities)


def _too_large(data: Source, parts: Parts) -> str:
    """Why the decoded images are not kept: they exceed the free memory or the room in the cache; else empty."""
    from rich.filesize import decimal

    counts = [len(part.labels) for part in (parts.train, parts.val, parts.test) if part is not None]
    count = min(sum(counts), _SETS * (data.limit or math.inf))
    inputs = parts.train.inputs
    needed = int(count * math.prod(inputs.shape[1:]) * inputs.dtype.itemsize)
    room, free = image_cache.room(), memory.available_bytes()
    lacks, advice = [], ""
    if needed >= free:
        lacks.append(f"{decimal(int(free))} of memory are free")
        advice = "; data.residence=host decodes them once, to the disk"
    if needed >= room:
        lacks.append(f"the cache has room for {decimal(int(room))}")
        advice = "" if advice else "; data.residence=host decodes them into memory at each start"
    return f"{count:,} images, decoded, take {decimal(needed)}; {' and '.join(lacks)}{advice}" if lacks else ""
