"""Decoded images kept from run to run, by the content of the files that they were decoded from.

    >>> kept(key, (50000, 32, 32, 3), decode=lambda: ...)     # uint8 (n, h, w, c), mapped into memory

Reading them back costs the checksum of `sealed`. The system maps the file, and processes that train on the same images
at once share one copy of it.
"""

import math
import shutil
from collections.abc import Callable
from typing import Final

import numpy as np

from runner.data import sealed
from runner.data.download import cache_folder

# Of the disk's free space, what one set of images may take.
_SHARE: Final = 0.1


def kept(key: str, shape: tuple[int, ...], decode: Callable[[], np.ndarray]) -> np.ndarray:
    """The images that `decode` gives, uint8 of `shape`: from the cache where it has them under `key`, else put there.

    An entry that is empty, cut short or changed is decoded again and replaced. Nothing is kept where there is no room,
    or no right to write.
    """
    path = cache_folder() / "images" / f"{key}.sealed"
    found = sealed.read(path)
    if found is not None and found.size == math.prod(shape):
        return found.reshape(shape)
    images = decode()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for old in path.parent.glob("*.npy"):  # of versions that did not know their entries by content
            old.unlink(missing_ok=True)
        if images.nbytes <= _SHARE * shutil.disk_usage(path.parent).free:
            sealed.write(path, images)
    except OSError:
        pass
    return images
