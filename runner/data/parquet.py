"""Images whose bytes stand in a column of Parquet files, read by row groups when they are needed.

    >>> tree = ParquetTree(Path("."), {"shard.parquet": "image"})
    >>> tree.files[0], tree.read("shard.parquet/0", max_bytes=1000)[:4]
    ('shard.parquet/0', b'\\x89PNG')

Only the row groups from which threads are reading are in memory, one for each thread at most.
"""

import bisect
import hashlib
import itertools
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from runner import limits
from runner.data.broken import broken
from runner.data.digests import too_large
from runner.data.files import digests_below
from runner.errors import DataError, must

if TYPE_CHECKING:
    from pyarrow.parquet import ParquetFile

_BATCH: Final = 64  # rows that are read at a time, in order
BYTES: Final = "bytes"
"""The field of the bytes, where a column of images is a struct, as Hugging Face's `datasets` writes it."""


class ParquetTree:
    """The images of some Parquet files. The path of an image is its file and the number of its row, from 0."""

    def __init__(self, root: Path, columns: Mapping[str, str]) -> None:
        """`columns` has for each file, by its path below `root`, the column of the images."""
        self.root = root
        self._shards = {path: _Shard(root / path, column) for path, column in columns.items()}
        self.files = [f"{path}/{row}" for path, shard in self._shards.items() for row in range(shard.rows)]
        self.folders: set[str] = set()
        self._digests = digests_below(root, files=len(columns))

    def read(self, path: str, *, max_bytes: int) -> bytes:
        shard, _, row = path.rpartition("/")
        content = self._shards[shard].image(int(row))
        place = f"{self.root}/{path}"
        if content is None:
            raise DataError(must(place, "have the bytes of an image", "none"))
        if len(content) > max_bytes:
            raise too_large(place, len(content), max_bytes)
        return content

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        return [hashlib.sha256(self.read(path, max_bytes=limits.IMAGE_FILE_BYTES)).digest() for path in paths]

    def digests(self, paths: Sequence[str]) -> list[bytes]:
        used = {path.rpartition("/")[0]: b"" for path in paths}
        used = dict(zip(used, self._digests.of([str(self.root / shard) for shard in used]), strict=True))
        return [used[path.rpartition("/")[0]] + path.encode("utf-8", "surrogatepass") + b"\0" for path in paths]

    def in_order(self) -> Iterator[bytes | None]:
        """The bytes of each image, or None where a row has none. Some rows are in memory at a time."""
        for shard in self._shards.values():
            yield from shard.in_order()

    def whole_digest(self) -> bytes:
        """A digest of all images and of their order."""
        told = [(path, shard.leaf, shard.rows) for path, shard in self._shards.items()]
        files = self._digests.of([str(self.root / path) for path in self._shards])
        return hashlib.sha256(repr(told).encode("utf-8", "surrogatepass") + b"".join(files)).digest()

    @property
    def size_bytes(self) -> int:
        """The bytes of all images, as the files say."""
        return sum(shard.size_bytes for shard in self._shards.values())


class _Group:
    """The images of one row group, in an object that can be referred to weakly."""

    def __init__(self, images: Any) -> None:
        self.images = images


class _Shard:
    """One file. Threads that read from one row group share it; it is forgotten when all have left it."""

    def __init__(self, path: Path, column: str) -> None:
        self._path, self._file = path, opened(path)
        self._column, self.leaf = column, leaf_of(self._file, column, str(path))
        metadata = self._file.metadata
        counts = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(counts)][:-1]
        self.rows = sum(counts)
        self._lock = threading.Lock()
        self._groups: weakref.WeakValueDictionary[int, _Group] = weakref.WeakValueDictionary()
        self._current = threading.local()
        self.size_bytes = self._checked_size()

    def in_order(self) -> Iterator[bytes | None]:
        import pyarrow

        try:
            file = opened(self._path)  # its own: a file of pyarrow is not read by two threads at once
            for batch in file.iter_batches(_BATCH, columns=[self.leaf], use_threads=False):
                values = batch.column(0) if self.leaf == self._column else batch.column(0).field(BYTES)
                yield from (value.as_py() for value in values)
        except (pyarrow.ArrowException, OSError) as error:
            raise broken(self._path, "be a whole Parquet file", error) from error

    def image(self, row: int) -> bytes | None:
        number = bisect.bisect_right(self._starts, row) - 1
        if getattr(self._current, "number", None) != number:
            self._current.group = None  # first, so that a thread has one row group, not two
            self._current.group, self._current.number = self._group(number), number
        found: bytes | None = self._current.group.images[row - self._starts[number]].as_py()
        return found

    def _group(self, number: int) -> _Group:
        with self._lock:  # a file of pyarrow is not read by two threads at once
            group = self._groups.get(number)
            if group is None:
                found = self._file.read_row_group(number, columns=[self.leaf], use_threads=False).column(0)
                if self.leaf != self._column:
                    found = found.combine_chunks().field(BYTES)
                group = self._groups[number] = _Group(found)
            return group

    def _checked_size(self) -> int:
        """The bytes of the column. Raises DataError if a row group has too many."""
        metadata, total = self._file.metadata, 0
        for number in range(metadata.num_row_groups):
            group = metadata.row_group(number)
            leaves = (group.column(index) for index in range(group.num_columns))
            size = sum(leaf.total_uncompressed_size for leaf in leaves if leaf.path_in_schema == self.leaf)
            total += size
            if size > limits.ROW_GROUP_BYTES:
                rule = f"have at most {limits.ROW_GROUP_BYTES:,} bytes of images in each row group"
                raise DataError(must(str(self._path), rule, f"{size:,}"))
        return total


def opened(path: Path) -> "ParquetFile":
    """A Parquet file. Raises DataError if it is none."""
    import pyarrow
    from pyarrow.parquet import ParquetFile

    try:
        return ParquetFile(path, memory_map=True)
    except (pyarrow.ArrowException, OSError) as error:
        raise broken(path, "be a Parquet file", error) from error


def leaf_of(file: "ParquetFile", column: str, place: str) -> str:
    """The name of the bytes of a column of images. Raises DataError if the column has no bytes."""
    import pyarrow

    kind = file.schema_arrow.field(column).type
    if _is_binary(kind):
        return column
    if pyarrow.types.is_struct(kind) and kind.get_field_index(BYTES) >= 0 and _is_binary(kind.field(BYTES).type):
        return f"{column}.{BYTES}"
    raise DataError(must(place, f"have the bytes of images in the column {column}", kind))


def image_columns(file: "ParquetFile") -> Iterator[str]:
    """The columns that can have the bytes of images."""
    for field in file.schema_arrow:
        try:
            leaf_of(file, field.name, "")
        except DataError:
            continue
        yield field.name


def _is_binary(kind: Any) -> bool:
    import pyarrow

    return bool(pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind))
