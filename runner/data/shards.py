"""Images in .tar shards, read in place.

>>> ShardTree(Path("."), [listing]).read("a.tar/1.png", max_bytes=1000)[:4]
b'\x89PNG'

The digests of images are kept on disk until their shard changes.
"""

import functools
import hashlib
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import numpy as np

from runner import limits
from runner.data import sealed
from runner.data.digests import too_large
from runner.data.shard_listing import Listing, kept_for, opened
from runner.data.threads import in_threads
from runner.errors import DataError, must

_THREADS: Final = 16
_DIGEST_BYTES: Final = hashlib.sha256().digest_size


class ShardTree:
    """The images of some shards. The path of an image is its shard and its name there."""

    def __init__(self, root: Path, found: Sequence[Listing]) -> None:
        self.root = root
        self.folders: set[str] = set()
        self.files = [path for listing in found for path in listing.paths]
        self._shards = found
        self._starts = np.cumsum([0, *(len(listing.images) for listing in found)])
        self._places = {path: number for number, path in enumerate(self.files)}
        self._offsets = np.array([offset for listing in found for offset in listing.offsets], np.int64)
        self._sizes = np.array([size for listing in found for size in listing.sizes], np.int64)

    def read(self, path: str, *, max_bytes: int) -> bytes:
        place = f"{self.root}/{path}"
        number = self._places.get(path)
        if number is None:
            raise DataError(must(place, "be in the shard", "no such entry"))
        size = int(self._sizes[number])
        if size > max_bytes:
            raise too_large(place, size, max_bytes)
        shard = self._shards[int(np.searchsorted(self._starts, number, side="right")) - 1]
        # Opened anew each time: a set may have more shards than a process may open files.
        with opened(self.root / shard.shard) as (descriptor, key):
            if key != shard.key:
                raise DataError(must(f"{self.root}/{shard.shard}", "stay unchanged while it is read", "other content"))
            content = os.pread(descriptor, size, int(self._offsets[number]))
        if not self._known[number].any():
            self._known[number] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        return content

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        numbers = np.array([self._places[path] for path in paths], int)
        unknown = np.unique(numbers[~self._known[numbers].any(axis=1)])

        def look(index: int) -> None:
            self.read(self.files[unknown[index]], max_bytes=limits.IMAGE_FILE_BYTES)

        in_threads(len(unknown), look, threads=_THREADS)
        self._save()
        return [row.tobytes() for row in self._known[numbers]]

    digests = contents

    @functools.cached_property
    def _known(self) -> np.ndarray:
        """The SHA-256 of each image, uint8 (n, 32), as far as this start or an earlier one has read it, else zeros."""
        known = np.zeros((len(self.files), _DIGEST_BYTES), np.uint8)
        for number, start in enumerate(self._starts[:-1]):
            rows = known[start : self._starts[number + 1]]
            found = sealed.read(self._digests_file(number))
            if found is not None and len(found) == rows.size:
                rows[:] = found.reshape(rows.shape)
        self._saved = known.any(axis=1)
        return known

    def _save(self) -> None:
        """Keeps the digests for later starts, those of each shard in a file."""
        new = self._known.any(axis=1) & ~self._saved
        for number in np.unique(np.searchsorted(self._starts, np.flatnonzero(new), side="right") - 1):
            if self._shards[number].is_settled:
                rows = self._known[self._starts[number] : self._starts[number + 1]]
                with suppress(OSError):  # without a cache the images are read again
                    sealed.write(self._digests_file(number), rows.tobytes())
        self._saved |= new

    def _digests_file(self, number: int) -> Path:
        shard = self._shards[number]
        return kept_for((shard.key, shard.images, shard.offsets))
