"""A cache of decoded images, indexed by the content of their files.

    >>> cached(key, (500, 32, 32, 3), digest=digest, decode=decode).dtype     # (n, h, w, c)
    dtype('uint8')

Reading an entry costs only the checksum of `sealed`. The file is mapped into memory, so processes that train on the
same images share one copy.
"""

import math
import shutil
from collections.abc import Callable
from typing import Final

import numpy as np

from runner.data import sealed
from runner.data.download import cache_folder

# The share of the free disk space that one entry may use.
_SHARE: Final = 0.1


def cached(
    key: str, shape: tuple[int, ...], *, digest: Callable[[], str], decode: Callable[[], np.ndarray]
) -> np.ndarray:
    """Returns the images from the cache, uint8 of `shape`; if they are not there, decodes and stores them.

    The name of an entry is two digests: `key`, of the files' paths and the way of decoding, and `digest()`, of their
    contents. If no entry has this key, the files are decoded first, so that they are read only once. Damaged entries
    are replaced. Nothing is stored if the disk is nearly full or read-only.
    """
    folder = cache_folder() / "images"
    images = None if any(folder.glob(f"{key}*.sealed")) else decode()
    path = folder / f"{key}{digest()}.sealed"
    if images is None:
        found = sealed.read(path)
        if found is not None and found.size == math.prod(shape):
            return found.reshape(shape)
        images = decode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.npy"):  # of versions whose entries were not indexed by content
            old.unlink(missing_ok=True)
        if images.nbytes <= _SHARE * shutil.disk_usage(folder).free:
            sealed.write(path, images)
    except OSError:
        pass
    return images
