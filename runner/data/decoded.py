"""Decoded images kept from run to run, by what they were decoded from.

>>> kept(key, (50000, 32, 32, 3), decode=lambda out: ...)     # uint8 (n, h, w, c), mapped into memory

Reading them back takes no time to speak of: the system maps the file, and processes that train on the same images at
once share one copy of it.
"""

import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from runner.data.download import cache_folder

# Of the disk's free space, what one set of images may take.
_SHARE: Final = 0.1


def kept(key: str, shape: tuple[int, ...], decode: Callable[[], np.ndarray]) -> np.ndarray:
    """The images that `decode` gives, uint8 of `shape`: from the cache where it has them under `key`, else put there.

    Nothing is kept where there is no room, or no right to write.
    """
    path = cache_folder() / "images" / f"{key}.npy"
    if (found := _mapped(path, shape)) is not None:
        return found
    images = decode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if images.nbytes > _SHARE * shutil.disk_usage(path.parent).free:
            return images
        _written(path, images)
    except OSError:
        return images
    return images


def _mapped(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """The array in a file, if it is whole and of this shape."""
    try:
        found: np.ndarray = np.load(path, mmap_mode="r")
    except (OSError, ValueError):  # not there, or cut short
        return None
    return found if found.shape == shape and found.dtype == np.uint8 else None


def _written(path: Path, images: np.ndarray) -> None:
    """Puts an array where another process may look at any time: whole, or not there."""
    handle, name = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            np.save(file, images)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
