"""Decoded images kept from run to run, by the content of the files that they were decoded from.

    >>> kept(form, (500, 32, 32, 3), contents=digest, decode=decode).dtype     # (n, h, w, c)
    dtype('uint8')

Reading them back costs the checksum of `sealed`. The system maps the file into memory, and processes that train on the
same images at once share one copy of it.
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


def kept(
    form: str, shape: tuple[int, ...], *, contents: Callable[[], str], decode: Callable[[], np.ndarray]
) -> np.ndarray:
    """The images that `decode` gives, uint8 of `shape`: from the cache where it has them, else put there.

    An entry is named by two digests: of the files' paths and how they are decoded (`form`), and of what the files hold
    (`contents`). Where no entry has the form, none can fit: the files are then decoded first, and their contents are
    known from that reading. An entry that is empty, cut short or changed is decoded again and replaced. Nothing is kept
    where there is no room, or no right to write.
    """
    folder = cache_folder() / "images"
    images = None if any(folder.glob(f"{form}*.sealed")) else decode()
    path = folder / f"{form}{contents()}.sealed"
    if images is None:
        found = sealed.read(path)
        if found is not None and found.size == math.prod(shape):
            return found.reshape(shape)
        images = decode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.npy"):  # of versions that did not know their entries by content
            old.unlink(missing_ok=True)
        if images.nbytes <= _SHARE * shutil.disk_usage(folder).free:
            sealed.write(path, images)
    except OSError:
        pass
    return images
