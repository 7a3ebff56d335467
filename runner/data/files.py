"""The files below a folder or inside a .zip, listed by their path and read by it: the same for both.

Paths are strings with slashes, `train/cat/1.jpg`: for 60,000 files path objects would take two seconds.
"""

import functools
import hashlib
import os
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from runner.data.broken import broken
from runner.data.contents import Digests, regular
from runner.data.download import cache_folder
from runner.errors import DataError, must

_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_LOCAL_HEADER_BYTES = 30
_STORED, _DEFLATED = 0, 8
_ENCRYPTED = 0x1


class Tree(Protocol):
    """Files in folders, whatever holds them. Hidden ones are left out, and what file managers leave behind."""

    root: Path
    files: list[str]
    folders: set[str]

    def read(self, path: str) -> bytes:
        """The content of one file."""
        ...

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        """A digest for each of these files: equal digests, equal contents."""
        ...


def tree_of(root: Path) -> Tree:
    """The files below a folder or inside a .zip; raises DataError where it is neither."""
    if root.is_dir():
        return Folders(root)
    if root.is_file():
        return Zip(root)
    raise DataError(must("data.root", "be a folder or a .zip that is there", str(root)))


class Folders:
    """A folder on disk."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files: list[str] = []
        self.folders: set[str] = set()
        for place, folders, files in os.walk(root, followlinks=True):
            folders[:] = sorted(name for name in folders if _visible(name))
            inside = Path(place).relative_to(root).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            self.folders.update(prefix + name for name in folders)
            self.files.extend(prefix + name for name in files if _visible(name))
        self.files.sort()
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
        self._digests = Digests("sha256", cache_folder() / "contents" / f"{name}.sealed")
        self._told: dict[str, bytes] = {}

    def read(self, path: str) -> bytes:
        """The content of one file; raises DataError where it is not the one that `contents` told."""
        place = self.root / path
        regular(place)
        content = place.read_bytes()
        if path in self._told and self._told[path] != hashlib.sha256(content).digest():
            raise DataError(must(str(place), "stay as it is while it is read", "another content"))
        return content

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        digests = self._digests.of([self.root / path for path in paths])
        self._told.update(zip(paths, digests, strict=True))
        return digests


class Zip:
    """A .zip, held in memory as it is: a standard library's reader takes a lock and 100 μs for every file."""

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            with zipfile.ZipFile(root) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise broken(root, "be a whole .zip archive", error) from error
        self._bytes = memoryview(root.read_bytes())
        self._entries = {}
        visible: dict[str, bool] = {}
        for entry in entries:
            path = entry.filename
            place, _, name = path.rpartition("/")
            if place not in visible:
                visible[place] = all(_visible(part) for part in place.split("/") if part)
            if not visible[place] or not _visible(name):
                continue
            if name:
                self._entries[path] = entry
        self.files = sorted(self._entries)
        self.folders = {
            "/".join(parts[:depth])
            for parts in (place.split("/") for place, seen in visible.items() if seen and place)
            for depth in range(1, len(parts) + 1)
        }

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        return [self._digest + path.encode("utf-8", "surrogatepass") + b"\0" for path in paths]

    @functools.cached_property
    def _digest(self) -> bytes:
        """Of the whole archive, as it is in memory: 0.6 s for a GB."""
        return hashlib.sha256(self._bytes).digest()

    def read(self, path: str) -> bytes:
        entry = self._entries[path]
        place = f"{self.root}/{path}"
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (_STORED, _DEFLATED):
            raise DataError(must(place, "be stored or deflated, without a password", f"method {entry.compress_type}"))
        try:
            # Names and extra fields may be longer in the file's own header than in the directory.
            lengths = struct.unpack_from("<HH", self._bytes, entry.header_offset + _LOCAL_HEADER_BYTES - 4)
            start = entry.header_offset + _LOCAL_HEADER_BYTES + sum(lengths)
            content = self._bytes[start : start + entry.compress_size]
            plain = zlib.decompress(content, -zlib.MAX_WBITS) if entry.compress_type == _DEFLATED else bytes(content)
        except (struct.error, zlib.error) as error:
            raise broken(place, "be a whole entry of the .zip", error) from error
        if zlib.crc32(plain) != entry.CRC:
            raise DataError(must(place, "be a whole entry of the .zip", "one with a wrong checksum"))
        return plain


def _visible(name: str) -> bool:
    return not name.startswith(".") and name not in _IGNORED
