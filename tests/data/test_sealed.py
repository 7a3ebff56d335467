"""Sealed files: whole or nothing, whoever writes, dies or damages them."""

import os
import signal
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runner.data import sealed


def test_a_file_holds_its_content_and_a_checksum(tmp_path: Path) -> None:
    path = tmp_path / "below" / "array.sealed"
    array = np.arange(60, dtype=np.uint8).reshape(3, 4, 5)
    sealed.write(path, array)
    found = sealed.read(path)
    assert isinstance(found, np.memmap), "mapped, not copied"
    assert found.tobytes() == array.tobytes()
    assert path.read_bytes()[-4:] == zlib.crc32(array.tobytes()).to_bytes(4, "little")
    assert [file.name for file in path.parent.iterdir()] == ["array.sealed"]


def test_permissions_of_a_file_follow_the_umask(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        sealed.write(tmp_path / "file", b"shared by a group")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_partial_file_is_removed_after_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        sealed.write(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_or_a_folder_gives_none(tmp_path: Path) -> None:
    assert sealed.read(tmp_path / "nothing") is None
    assert sealed.read(tmp_path) is None


@given(content=st.binary(max_size=200), data=st.data())
def test_every_change_is_detected(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("sealed") / "file"
    sealed.write(path, content)
    found = sealed.read(path)
    assert found is not None
    assert found.tobytes() == content
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytes([whole[place] ^ data.draw(st.integers(1, 255))])
    for damaged in (whole[:place], whole[:place] + flipped + whole[place + 1 :], whole[place:] + whole[:place]):
        path.write_bytes(damaged)
        if damaged != whole:
            assert sealed.read(path) is None


def test_the_content_is_on_the_disk_before_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        kind = "folder" if Path(f"/proc/self/fd/{descriptor}").resolve().is_dir() else "file"
        # What is not yet flushed would not be on the disk.
        steps.append(f"{kind} of {os.fstat(descriptor).st_size} bytes" if kind == "file" else kind)
        fsync(descriptor)

    def named(self: Path, target: Path) -> Path:
        steps.append("named")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    sealed.write(tmp_path / "file", b"12345")
    assert steps == ["file of 13 bytes", "named", "folder"]


_WRITER = """
import sys
from pathlib import Path
from runner.data import sealed
path, byte, size, times = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
print("ready", flush=True)
for _ in range(times):
    sealed.write(path, bytes([byte]) * size)
"""


def writer(path: Path, byte: int, size: int, times: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", _WRITER, str(path), str(byte), str(size), str(times)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        process.stdout.readline()
    return process


@pytest.mark.slow
def test_of_two_concurrent_writers_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "file"
    processes = [writer(path, byte, 10_000 + byte, 20) for byte in (1, 2)]
    seen = set()
    while any(process.poll() is None for process in processes):
        if path.exists():
            found = sealed.read(path)
            assert found is not None, "never half a file"
            seen.add((int(found[0]), len(found), len(np.unique(found))))
    assert [process.wait() for process in processes] == [0, 0]
    assert seen <= {(1, 10_001, 1), (2, 10_002, 1)}
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_a_writer_that_is_killed_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "file"
    sealed.write(path, b"before")
    process = writer(path, 1, 50_000_000, 1000)
    while not list(tmp_path.glob("*.part")) and process.poll() is None:
        pass
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    found = sealed.read(path)
    assert found is not None
    assert found.tobytes() in (b"before", b"\1" * 50_000_000)


def test_the_partial_file_of_a_killed_writer_is_deleted_after_a_day(tmp_path: Path) -> None:
    old, new = tmp_path / "old.part", tmp_path / "new.part"
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (time.time() - 25 * 3600,) * 2)
    sealed.write(tmp_path / "file", b"whole")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["file", "new.part"]
