"""Files of a folder or a .zip, listed and read by path through one interface.

Paths are strings with slashes, `train/cat/1.jpg`: listing 60,000 files as Path objects would take 0.4 s more.
"""

import functools
import hashlib
import os
import struct
import weakref
import zipfile
import zlib
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

from runner import limits
from runner.data import sealed
from runner.data.broken import BadFileError, broken
from runner.data.digests import Digests, content_of, too_large
from runner.data.download import cache_folder
from runner.data.threads import in_threads
from runner.errors import DataError, must

CONTENTS: Final = "contents"
"""The folder of the cache for digests."""
_THREADS: Final = 16
_IGNORED = {"__MACOSX", "Thumbs.db", "desktop.ini"}
_LOCAL_HEADER_BYTES = 30
_STORED, _DEFLATED = 0, 8
_UNKNOWN: Final = bytes(hashlib.sha256().digest_size)
_ENCRYPTED = 0x1


class FileTree(Protocol):
    """A tree of files, on disk or in a .zip, without hidden files and the leftovers of file managers."""

    root: Path
    files: list[str]
    folders: set[str]

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Returns the content of one file.

        Raises DataError if it exceeds `max_bytes`, or changed since it was read before.
        """
        ...

    def digests(self, paths: Sequence[str]) -> list[bytes]:
        """A digest of each file: equal digests mean equal contents. Files that `read` has read are not read again."""
        ...

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        """The SHA-256 of each file: equal contents have equal digests, too."""
        ...


def open_tree(root: Path, *, key: str = "data.root") -> FileTree:
    """The files of a folder or a .zip. Raises DataError, which names the setting `key`, if `root` is neither."""
    if root.is_dir():
        return FolderTree(root)
    if root.is_file():
        return ZipTree(root)
    raise DataError(must(key, "be a folder or a .zip that exists", str(root)))


def digests_below(root: Path, *, files: int) -> Digests:
    """The digests of so many files in a folder, or of one file, kept on disk for later starts."""
    name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:32]
    return Digests("sha256", cache_folder() / CONTENTS / f"{name}.sealed", files=files)


def content(tree: FileTree, path: str, *, max_bytes: int) -> bytes:
    """Returns the content of one file. Raises BadFileError if it cannot be read, or exceeds `max_bytes`."""
    try:
        return tree.read(path, max_bytes=max_bytes)
    except DataError as error:
        raise BadFileError(*error.faults) from error
    except OSError as error:
        raise BadFileError(must(f"{tree.root}/{path}", "be readable", error.strerror or error)) from error


class NamedFiles:
    """Some files, each named by its path."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self.root = Path(os.path.commonpath([path.parent for path in paths]))
        self.files = [path.relative_to(self.root).as_posix() for path in paths]
        self.folders: set[str] = set()

    def read(self, path: str, *, max_bytes: int) -> bytes:
        return content_of(self.root / path, max_bytes=max_bytes)

    def digests(self, paths: Sequence[str]) -> list[bytes]:
        return [hashlib.sha256((self.root / path).read_bytes()).digest() for path in paths]

    contents = digests


class FolderTree:
    """A folder on disk: all of its files, or those of the paths `only` that exist, for which it is not searched."""

    def __init__(self, root: Path, *, only: Sequence[str] | None = None) -> None:
        self.root = root
        self._start = str(root / "_")[:-1]  # with a final slash
        self.files: list[str] = []
        self.folders: set[str] = set()
        if only is None:
            self._search(root)
        else:
            self.files = sorted({path for path in only if Path(f"{self._start}{path}").is_file()})
        self._digests = digests_below(root, files=len(self.files))

    def _search(self, root: Path) -> None:
        for place, folders, files in os.walk(root, followlinks=True):
            folders[:] = sorted(name for name in folders if visible(name))
            for name in folders:
                if (link := Path(place, name)).is_symlink():
                    _check_link(root, link)
            inside = Path(place).relative_to(root).as_posix()
            prefix = "" if inside == "." else f"{inside}/"
            self.folders.update(prefix + name for name in folders)
            self.files.extend(prefix + name for name in files if visible(name))
        self.files.sort()

    def read(self, path: str, *, max_bytes: int) -> bytes:
        return self._digests.read(f"{self._start}{path}", max_bytes=max_bytes)

    def digests(self, paths: Sequence[str]) -> list[bytes]:
        return self._digests.of([f"{self._start}{path}" for path in paths])

    contents = digests


class ZipTree:
    """A .zip whose entries are read in place: Python's reader takes a lock and 100 μs for every file.

    It is not mapped into memory: a process that reads a mapped file while somebody shortens it is killed.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        try:
            with zipfile.ZipFile(root) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise broken(root, "be a whole .zip archive", error) from error
        self._descriptor = os.open(root, os.O_RDONLY)
        weakref.finalize(self, os.close, self._descriptor)
        if sum(entry.compress_size for entry in entries) > os.fstat(self._descriptor).st_size:
            raise DataError(
                must(str(root), "hold entries that do not overlap", "entries of more bytes than the .zip has")
            )
        self._entries: dict[str, zipfile.ZipInfo] = {}
        seen: dict[str, bool] = {}
        for entry in entries:
            path = _member_path(root, entry)
            place, _, name = path.rpartition("/")
            if place not in seen:
                seen[place] = all(visible(part) for part in place.split("/") if part)
            if not seen[place] or not visible(name):
                continue
            if path in self._entries:
                raise DataError(must(f"{root}/{path}", "be in the .zip once", "two entries of this name"))
            if name:
                self._entries[path] = entry
        self.files = sorted(self._entries)
        self.folders = {
            "/".join(parts[:depth])
            for parts in (place.split("/") for place, is_seen in seen.items() if is_seen and place)
            for depth in range(1, len(parts) + 1)
        }
        for path in sorted(self.folders & self._entries.keys()):
            raise DataError(must(f"{root}/{path}", "be a file or a folder of the .zip", "both"))

    def digests(self, paths: Sequence[str]) -> list[bytes]:
        return [self._digest + path.encode("utf-8", "surrogatepass") + b"\0" for path in paths]

    def contents(self, paths: Sequence[str]) -> list[bytes]:
        known = self._contents
        unknown = [path for path in dict.fromkeys(paths) if path not in known]

        def look(index: int) -> None:
            known[unknown[index]] = hashlib.sha256(
                self.read(unknown[index], max_bytes=limits.IMAGE_FILE_BYTES)
            ).digest()

        in_threads(len(unknown), look, threads=_THREADS)
        if unknown:
            with suppress(OSError):  # without a cache the entries are read again
                sealed.write(self._contents_file, b"".join(known.get(path, _UNKNOWN) for path in self.files))
        return [known[path] for path in paths]

    @functools.cached_property
    def _contents(self) -> dict[str, bytes]:
        """The SHA-256 of entries, by path, as far as this start or an earlier one has read them."""
        found = sealed.read(self._contents_file)
        if found is None or len(found) != len(_UNKNOWN) * len(self.files):
            return {}
        rows = (found[start : start + len(_UNKNOWN)].tobytes() for start in range(0, len(found), len(_UNKNOWN)))
        return {path: row for path, row in zip(self.files, rows, strict=True) if row != _UNKNOWN}

    @functools.cached_property
    def _contents_file(self) -> Path:
        """Where the SHA-256 of each entry is kept, by what the archive's directory says, with checksums of entries."""
        told = hashlib.sha256()
        for path in self.files:
            entry = self._entries[path]
            told.update(repr((path, entry.CRC, entry.file_size, entry.header_offset)).encode())
        return cache_folder() / CONTENTS / f"zip-{told.hexdigest()[:32]}.sealed"

    @functools.cached_property
    def _digest(self) -> bytes:
        """The digest of the whole archive, kept for later starts; takes 0.6 s for a GB."""
        return digests_below(self.root, files=1).of([self.root])[0]

    def read(self, path: str, *, max_bytes: int) -> bytes:
        place = f"{self.root}/{path}"
        if path not in self._entries:
            raise DataError(must(place, "be in the .zip", "no such entry"))
        entry = self._entries[path]
        if entry.flag_bits & _ENCRYPTED or entry.compress_type not in (_STORED, _DEFLATED):
            raise DataError(must(place, "be stored or deflated, without a password", f"method {entry.compress_type}"))
        if entry.file_size > max_bytes:
            raise too_large(place, entry.file_size, max_bytes)
        try:
            # Names and extra fields may be longer in the local header than in the directory.
            lengths = struct.unpack("<HH", os.pread(self._descriptor, 4, entry.header_offset + _LOCAL_HEADER_BYTES - 4))
            start = entry.header_offset + _LOCAL_HEADER_BYTES + sum(lengths)
            content = os.pread(self._descriptor, entry.compress_size, start)
            plain = _inflated(content, entry.file_size) if entry.compress_type == _DEFLATED else content
        except (struct.error, zlib.error) as error:
            raise broken(place, "be a whole entry of the .zip", error) from error
        if len(plain) != entry.file_size:
            rule = f"have {entry.file_size} bytes, as the .zip's directory says"
            raise DataError(must(place, rule, "more" if len(plain) > entry.file_size else f"{len(plain)} bytes"))
        if zlib.crc32(plain) != entry.CRC:
            raise DataError(must(place, "be a whole entry of the .zip", "one with a wrong checksum"))
        return plain


def _inflated(content: bytes, size: int) -> bytes:
    """Decompresses `content` to at most `size + 1` bytes: the size in the directory may be wrong."""
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(content, size + 1)


def _member_path(root: Path, entry: zipfile.ZipInfo) -> str:
    """The path of an entry after unpacking; a folder's path ends in a slash.

    A leading slash and empty parts are dropped, as unzip does. Archives made on Windows may have backslashes between
    the parts (create_system 0, APPNOTE.TXT 4.4.2 and 4.4.17).
    """
    name = entry.filename
    if entry.create_system == 0 and "/" not in name:
        name = name.replace("\\", "/")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise DataError(must(f"{root}, entry {name}", "lie below the folder that it is unpacked to", ".. in its path"))
    return "/".join(parts) + ("/" if name.endswith("/") and parts else "")


def _check_link(root: Path, link: Path) -> None:
    """Refuses a link to a folder that contains the link: the search would never end."""
    parents = link.parents[: len(link.relative_to(root).parts)]
    if link.resolve() in {folder.resolve() for folder in parents}:
        raise DataError(must(str(link), "not point to a folder that contains it", f"a link to {link.resolve()}"))


def visible(name: str) -> bool:
    """Whether a file or folder is none that is hidden, or that file managers leave."""
    return not name.startswith(".") and name not in _IGNORED
