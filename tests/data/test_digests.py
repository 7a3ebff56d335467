"""Digests of files: computed anew for what changed, remembered for what stayed, never trusted too early."""

import hashlib
import os
import time
from pathlib import Path
from typing import Any

import pytest

from runner.data import digests as digests_module
from runner.data.digests import Digests
from runner.errors import DataError


@pytest.fixture
def hashed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read."""
    names: list[str] = []
    digest = hashlib.file_digest

    def counted(file: Any, *arguments: Any) -> Any:
        names.append(Path(file.name).name)
        return digest(file, *arguments)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    return names


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Now is a minute later than the last change of any file."""
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)


def written(folder: Path, count: int) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{index}.bin" for index in range(count)]
    for index, path in enumerate(paths):
        path.write_bytes(b"%d" % index * 50)
    return paths


def of(paths: list[Path], algorithm: str = "sha256") -> list[bytes]:
    """What a process that starts now is told."""
    return Digests(algorithm, Path("cache") / f"{algorithm}.sealed", files=len(paths)).of(paths)


def expected(paths: list[Path], algorithm: str = "sha256") -> list[bytes]:
    return [hashlib.new(algorithm, path.read_bytes()).digest() for path in paths]


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("algorithm", ["sha256", "md5"])
def test_files_are_read_once(tmp_path: Path, hashed: list[str], algorithm: str) -> None:
    paths = written(tmp_path / "files", 450)  # more than a thread takes at a time
    assert of(paths, algorithm) == expected(paths, algorithm)
    assert len(hashed) == 450
    assert of(paths, algorithm) == of(paths[::-1], algorithm)[::-1] == expected(paths, algorithm)
    assert len(hashed) == 450


@pytest.mark.usefixtures("later")
def test_only_what_changed_is_read_again(tmp_path: Path, hashed: list[str]) -> None:
    paths = written(tmp_path / "files", 5)
    of(paths)
    facts = paths[1].stat()
    paths[1].write_bytes(b"X" * 50)  # the same size, and the same time of modification
    os.utime(paths[1], ns=(facts.st_atime_ns, facts.st_mtime_ns))
    (tmp_path / "other").write_bytes(b"Y" * 50)
    (tmp_path / "other").replace(paths[3])
    del hashed[:]
    assert of(paths) == expected(paths)
    assert sorted(hashed) == ["1.bin", "3.bin"]


def test_the_digest_of_a_recently_changed_file_is_not_cached(tmp_path: Path, hashed: list[str]) -> None:
    [path] = written(tmp_path / "files", 1)
    os.utime(path, (1, 1))  # an old time of modification alone says nothing: the other time is now
    for _ in range(3):
        assert of([path]) == expected([path])
    assert len(hashed) == 3


@pytest.mark.usefixtures("later")
def test_the_digest_of_a_file_that_changes_while_read_is_not_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [path] = written(tmp_path / "files", 1)
    digest = hashlib.file_digest

    def overtaken(*arguments: Any) -> Any:
        found = digest(*arguments)
        path.write_bytes(b"another")
        return found

    with monkeypatch.context() as patch:
        patch.setattr(hashlib, "file_digest", overtaken)
        of([path])
    assert of([path]) == expected([path])


@pytest.mark.usefixtures("later")
@pytest.mark.parametrize("damage", [b"", b"half", bytes(1000)])
def test_a_damaged_cache_file_is_replaced(tmp_path: Path, hashed: list[str], damage: bytes) -> None:
    paths = written(tmp_path / "files", 3)
    of(paths)
    Path("cache/sha256.sealed").write_bytes(damage)
    assert of(paths) == expected(paths)
    assert of(paths) == expected(paths)
    assert len(hashed) == 6


@pytest.mark.usefixtures("later")
def test_digests_of_deleted_files_leave_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests_module, "SPARE", 2)
    for _ in range(5):
        for path in written(tmp_path / "files", 3):
            path.write_bytes(path.read_bytes()[::-1])
        of(written(tmp_path / "files", 3))
        for path in (tmp_path / "files").iterdir():
            path.unlink()
    assert Path("cache/sha256.sealed").stat().st_size <= (2 * 3 + 2) * (5 * 8 + 32) + 8


@pytest.mark.usefixtures("later")
def test_the_cache_holds_digests_of_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hashed: list[str]
) -> None:
    # The last part, which is small, must not push out the first.
    monkeypatch.setattr(digests_module, "SPARE", 1)
    paths = written(tmp_path / "files", 60)
    for start in range(2):
        digests = Digests("sha256", Path("cache/sha256.sealed"), files=60)
        for part in (paths[:50], paths[50:58], paths[58:]):
            assert digests.of(part) == expected(part)
        assert len(hashed) == 60, f"read again at start {start}"


@pytest.mark.usefixtures("later")
def test_reading_a_file_computes_its_digest(tmp_path: Path, hashed: list[str]) -> None:
    paths = written(tmp_path / "files", 5)
    digests = Digests("sha256", Path("cache/sha256.sealed"), files=5)
    assert [digests.read(path, max_bytes=100) for path in paths[:3]] == [path.read_bytes() for path in paths[:3]]
    assert digests.of(paths) == expected(paths)
    assert sorted(hashed) == ["3.bin", "4.bin"]
    assert of(paths) == expected(paths)
    assert len(hashed) == 2
    paths[0].write_bytes(b"another")
    with pytest.raises(DataError, match=r"/0\.bin: must stay unchanged while it is read, got other content$"):
        digests.read(paths[0], max_bytes=100)
    with pytest.raises(DataError, match=r"/1\.bin: must have at most 49 bytes, got 50$"):
        digests.read(paths[1], max_bytes=49)


def test_digests_are_right_without_write_permission(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in place of the folder")
    paths = written(tmp_path / "files", 3)
    assert of(paths) == expected(paths)


def test_a_pipe_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "1.png")
    with pytest.raises(DataError, match=r"/1\.png: must be a regular file, got a folder, a device or a pipe$"):
        of([tmp_path / "1.png"])
