"""The network after some epochs of its training, as files in the folder of the run: what the page's slider shows.

`write(folder, Moment(3, 0.91, values))` makes `folder/epoch-000003.npz`, in float16; `read(folder)` gives it back.

A network of which the page has room for several copies is kept whole, of others only the filters of the first
convolution. At most `MOST` are kept, evenly over the epochs so far: where there are more, every second one is removed.
"""

import io
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from runner import atomic
from runner.network import Network

FOLDER: Final = "epochs"
MOST: Final = 11  # with the network as trained 12
ROOM_BYTES: Final = 8_000_000
"""For all moments of a page together."""

_NAME: Final = "epoch-{:06}.npz"
_ACCURACY: Final = "accuracy"  # no parameter has this path, as each is inside a layer

Array = np.ndarray[Any, Any]


class Moment(NamedTuple):
    """The network after an epoch: its accuracy in validation, and values by their dotted paths."""

    epoch: int
    accuracy: float | None
    values: Mapping[str, Array]


class Kept(NamedTuple):
    """What is kept of a network: the paths of its values, and at most how many moments."""

    paths: frozenset[str]
    most: int


def kept(network: Network) -> Kept:
    """All values of a network if there is room, else the filters of its first convolution, else nothing."""
    shapes = network.shapes()
    whole = {path: math.prod(shape) for part in shapes for path, shape in part.items()}
    if count := moments_that_fit(sum(whole.values())):
        return Kept(frozenset(whole), count)
    first = first_filters(network)
    return Kept(frozenset(() if first is None else (first,)), MOST)


def moments_that_fit(values: int, room: int = ROOM_BYTES) -> int:
    """Of how many moments of so many values a page has room."""
    return min(MOST, room // max(2 * values, 1))


def first_filters(network: Network) -> str | None:
    """The path of the filters of the first convolution, if it sees grey or coloured images and more than a pixel."""
    path, shape = next(iter(network.kernels().items()), (None, ()))
    return path if len(shape) == 4 and shape[2] in (1, 3) and shape[0] * shape[1] > 1 else None


def stride(epochs: int, most: int) -> int:
    """Every how many epochs one is kept so far; epoch 0, before training, is one of them.

    >>> [stride(epochs, 11) for epochs in (10, 11, 21, 22, 90)]
    [1, 2, 2, 4, 16]
    """
    found = 1
    while epochs // found + 1 > most:
        found *= 2
    return found


def write(folder: Path, moment: Moment) -> None:
    """Writes the values of a moment as float16. Raises OSError."""
    largest = float(np.finfo(np.float16).max)
    halves = {
        path: np.clip(np.asarray(value, np.float32), -largest, largest).astype(np.float16)
        for path, value in moment.values.items()
    }
    content = io.BytesIO()
    accuracy = np.float64(math.nan if moment.accuracy is None else moment.accuracy)
    np.savez(content, allow_pickle=False, **{_ACCURACY: accuracy}, **halves)
    folder.mkdir(exist_ok=True)
    atomic.write(folder / _NAME.format(moment.epoch), content.getvalue())


def read(folder: Path) -> list[Moment]:
    """The moments in a folder, the first epoch first; without files that cannot be read."""
    return [moment for path in _files(folder).values() if (moment := _moment(path)) is not None]


def remove(folder: Path) -> None:
    """Removes all moments of a folder."""
    for path in _files(folder).values():
        path.unlink(missing_ok=True)


def thin_out(folder: Path, every: int) -> None:
    """Removes moments of all but every so many epochs."""
    for epoch, path in _files(folder).items():
        if epoch % every:
            path.unlink(missing_ok=True)


def _moment(path: Path) -> Moment | None:
    try:
        with np.load(path, allow_pickle=False) as found:
            values = {name: found[name] for name in found.files}
        accuracy = float(values.pop(_ACCURACY))
    except (OSError, ValueError, KeyError, TypeError, zipfile.BadZipFile):
        return None
    return Moment(int(path.stem.rpartition("-")[2]), None if math.isnan(accuracy) else accuracy, values)


def _files(folder: Path) -> dict[int, Path]:
    """The files of moments by their epoch, in order."""
    found = {path: re.fullmatch(r"epoch-(\d{6,})\.npz", path.name) for path in folder.glob("epoch-*.npz")}
    return dict(sorted((int(match[1]), path) for path, match in found.items() if match))
