"""Decoded images that are kept: read back as they were, and never for files of another content."""

import functools
import io
import os
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from stores import STORES, encoded, on_disk
from test_folder import classes, noise, read

from runner.command import Command
from runner.data import ImageSize, decode, image_cache
from runner.data.examples import digest_of
from runner.data.files import FolderTree
from runner.errors import ConfigError, DataError
from runner.verbs.cache import VERB


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "images"


@pytest.fixture
def decodings(monkeypatch):
    """How many images were decoded in each call."""
    counts = []
    original = image_cache.cached

    def counted(key, shape, *, decode, **others):
        def noted():
            counts.append(shape[0])
            return decode()

        return original(key, shape, decode=noted, **others)

    monkeypatch.setattr(decode, "cached", counted)
    return counts


def assert_same(one, other):
    for part in ("train", "val", "test"):
        np.testing.assert_array_equal(getattr(one, part).inputs, getattr(other, part).inputs)
        np.testing.assert_array_equal(getattr(one, part).labels, getattr(other, part).labels)
    assert one.digest == other.digest


@pytest.mark.parametrize("store", STORES)
def test_images_are_decoded_once(tmp_path, store, decodings):
    root = STORES[store](tmp_path, classes())
    first = read(root)
    assert sum(decodings) == 20
    again = read(root)
    assert sum(decodings) == 20
    assert isinstance(again.train.inputs.base, np.memmap), "mapped, not copied"
    assert_same(first, again)


@pytest.fixture
def opened(monkeypatch):
    """The image files that were opened."""
    names = []
    plain = io.open

    def counted(file, *arguments, **options):
        if str(file).endswith(".png"):
            names.append(os.path.relpath(file))
        return plain(file, *arguments, **options)

    monkeypatch.setattr(io, "open", counted)
    return names


@pytest.mark.parametrize("count", [3, 50])
def test_a_first_start_reads_each_file_and_some_for_their_depth_and_a_second_none(tmp_path, monkeypatch, opened, count):
    root = STORES["disk"](tmp_path, classes(count=count))
    now = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: now() + 60 * 10**9)  # the files are not of this moment
    size = ImageSize(height=12, width=10, channels=3)
    del opened[:]
    first = read(root, image=size)
    files = {os.path.relpath(path) for path in root.rglob("*.png")}
    assert set(opened) == files
    assert len(opened) <= len(files) + 10
    del opened[:]
    assert_same(first, read(root, image=size))
    assert opened == []


_READER = """
import sys
from runner.data import Folder, load
print("ready", flush=True)
sys.stdin.readline()
told = []
dataset = load(Folder(source="folder", root=sys.argv[1]), report=told.append)
print(dataset.digest, len(told))
"""


def test_two_processes_that_start_together_leave_complete_entries(tmp_path, cache, decodings):
    root = STORES["disk"](tmp_path, classes(count=100))
    command = [sys.executable, "-c", _READER, str(root)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    processes = [subprocess.Popen(command, **pipes) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "ready\n"
    found = set()
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        found.add(process.communicate(timeout=60)[0].split()[0])
        assert process.returncode == 0
    assert len(list(cache.iterdir())) == 3
    assert {read(root).digest} == found
    assert decodings == []


def test_a_mapped_entry_stays_valid_when_it_is_replaced(tmp_path, cache, decodings):
    root = STORES["disk"](tmp_path, classes())
    read(root)
    mapped = read(root)
    before = mapped.train.inputs.copy()
    for path in cache.iterdir():
        whole = path.read_bytes()
        path.unlink()
        path.write_bytes(whole[:50])
    assert sum(decodings) == 20
    assert_same(mapped, read(root))
    assert sum(decodings) == 40
    np.testing.assert_array_equal(mapped.train.inputs, before)


def test_other_files_sizes_and_fits_are_decoded_again(tmp_path, decodings):
    files = classes()
    root = STORES["disk"](tmp_path, files)
    read(root)
    size = ImageSize(height=8, width=8, channels=3)
    for changes in ({"image": size}, {"image": size, "fit": "crop"}, {"limit": 4}, {"split_seed": 1}):
        before = sum(decodings)
        read(root, **changes)
        assert sum(decodings) > before, changes
    before = sum(decodings)
    path = root / "cat" / "0.png"
    path.write_bytes(encoded(noise(999)))
    os.utime(path, ns=(0, time.time_ns() + 1))
    changed = read(root)
    assert sum(decodings) > before
    stored = np.concatenate([changed.train.inputs, changed.val.inputs, changed.test.inputs])
    assert (stored == noise(999)).all(axis=(1, 2, 3)).any()


DAMAGES = {
    "empty": lambda whole: b"",
    "cut short": lambda whole: whole[:-7],
    "longer": lambda whole: whole + b"x",
    "zeros": lambda whole: bytes(len(whole)),
    "first bit": lambda whole: bytes([whole[0] ^ 1]) + whole[1:],
    "last bit": lambda whole: whole[:-1] + bytes([whole[-1] ^ 128]),
    "one bit": lambda whole: whole[:100] + bytes([whole[100] ^ 16]) + whole[101:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_entry_is_decoded_again_and_replaced(tmp_path, cache, decodings, damage):
    root = STORES["zip"](tmp_path, classes())
    first = read(root)
    for path in cache.iterdir():
        whole = path.read_bytes()
        path.unlink()  # the first reading has it mapped
        path.write_bytes(DAMAGES[damage](whole))
    assert_same(first, read(root))
    assert sum(decodings) == 40
    assert_same(first, read(root))
    assert sum(decodings) == 40


@pytest.mark.parametrize("store", STORES)
def test_files_of_equal_names_sizes_and_times_keep_their_own_pixels(tmp_path, store):
    def build(name, *greys):
        files = {
            f"{label}/{index}.bmp": encoded(np.full((8, 8, 3), grey, np.uint8), "BMP")
            for label, grey in zip("xy", greys, strict=True)
            for index in range(10)
        }
        (tmp_path / name).mkdir()
        root = STORES[store](tmp_path / name, files)
        for path in [root] if root.is_file() else root.rglob("*.bmp"):
            os.utime(path, (1.6e9, 1.6e9))
        return read(root)

    first, second = build("first", 0, 50), build("second", 250, 200)
    assert np.unique(first.train.inputs).tolist() == [0, 50]
    assert np.unique(second.train.inputs).tolist() == [200, 250]
    assert second.digest == digest_of(second.classes, second.train, second.val, second.test) != first.digest


def test_equal_files_elsewhere_share_an_entry(tmp_path, decodings):
    for name in ("here", "there"):
        on_disk(tmp_path / name, classes())
    assert_same(read(tmp_path / "here"), read(tmp_path / "there"))
    assert sum(decodings) == 20


def test_a_file_that_changes_after_its_digest_is_refused(tmp_path):
    tree = FolderTree(on_disk(tmp_path / "images", classes()))
    tree.digests(["cat/0.png"])
    (tree.root / "cat" / "0.png").write_bytes(encoded(noise(7)))
    with pytest.raises(DataError, match=r"/cat/0\.png: must stay unchanged while it is read, got other content$"):
        tree.read("cat/0.png", max_bytes=10**6)


def test_entries_of_earlier_versions_are_deleted(tmp_path, cache):
    cache.mkdir(parents=True)
    (cache / "0123.npy").write_bytes(b"old")
    read(STORES["zip"](tmp_path, classes()))
    assert {path.suffix for path in cache.iterdir()} == {".sealed"}


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path, monkeypatch, decodings):
    root = STORES["zip"](tmp_path, classes())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "file" / "below"))
    assert_same(read(root), read(root))
    assert sum(decodings) == 40


def test_a_nearly_full_disk_is_not_used(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    read(STORES["zip"](tmp_path, classes()))
    assert list(cache.glob("*")) == []


def test_two_concurrent_writers_leave_one_complete_file(tmp_path, cache):
    images = np.arange(6 * 5 * 5 * 3, dtype=np.uint8).reshape(6, 5, 5, 3)
    put = functools.partial(image_cache.cached, "key", images.shape, about="these", digest=lambda: "digest")
    decoded = []

    def decode():
        decoded.append(len(images))
        yield from (images[:4], images[4:])

    threads = [threading.Thread(target=put, kwargs={"decode": decode}) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in cache.iterdir()] == ["keydigest.sealed"]
    assert decoded == [6], "the others waited"
    np.testing.assert_array_equal(put(decode=pytest.fail), images)


def _entry(key, megabytes):
    images = np.full((megabytes, 1000, 1000, 1), megabytes, np.uint8)
    return image_cache.cached(
        key, images.shape, about=f"/{key}", digest=lambda: "", decode=lambda: iter(np.array_split(images, megabytes))
    )


def test_the_least_recently_used_entries_make_room(monkeypatch):
    monkeypatch.setenv("CONVRUNNER_CACHE_SIZE", "6 MB")
    for key in "abc":
        _entry(key, 2 if key != "c" else 1)
    for entry in image_cache.entries():
        os.utime(entry.path, (1e9, 1e9 + "bca".index(entry.about[1:])))
    _entry("a", 2)  # the oldest is used again
    _entry("d", 2)
    assert {entry.about for entry in image_cache.entries()} == {"/d", "/a", "/c"}
    assert not isinstance(_entry("e", 7).base, np.memmap), "larger than all that is allowed"
    assert [entry.shape for entry in image_cache.entries()][:1] == [(2, 1000, 1000, 1)]


def test_a_size_may_be_more_than_the_share_of_the_disk_or_nothing(monkeypatch):
    monkeypatch.setattr(image_cache.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 10_000_000}))
    for size, room in (("8 MB", 8e6), ("10 MB", 9e6), ("0", 0), ("", 2e6)):
        monkeypatch.setenv("CONVRUNNER_CACHE_SIZE", size)
        assert image_cache.room() == room
        assert isinstance(_entry(f"of {size}", 5).base, np.memmap) == (room > 5e6)
        image_cache.clear()


def test_a_size_that_is_none_is_told(monkeypatch):
    monkeypatch.setenv("CONVRUNNER_CACHE_SIZE", "much")
    with pytest.raises(ConfigError, match=r"^CONVRUNNER_CACHE_SIZE: must be a size such as 20GB, got much$"):
        _entry("a", 1)


_WRITER = """
import sys, time
import numpy as np
from runner.data import image_cache

def decode():
    for index in range(int(sys.argv[1])):
        if index == 3:
            print("decoding", flush=True)
        time.sleep(0.05)
        yield np.full((1, 100, 100, 3), index, np.uint8)

found = image_cache.cached("key", (50, 100, 100, 3), about="", digest=lambda: "digest", decode=decode, report=print)
print(int(found[:, 0, 0, 0].sum()))
"""


@pytest.mark.slow  # starts two processes
def test_a_process_that_is_killed_leaves_no_broken_entry(cache):
    command = [sys.executable, "-c", _WRITER, "50"]
    killed = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert killed.stdout.readline() == "decoding\n"
    assert image_cache.clear() == 0, "what is being decoded is left alone"
    waits = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert waits.stdout.readline() == "another process decodes these images; waiting for it\n"
    killed.kill()
    killed.communicate(timeout=60)
    assert image_cache.entries() == []
    assert waits.communicate(timeout=60)[0] == f"decoding\n{sum(range(50))}\n"
    assert [path.name for path in cache.iterdir()] == ["keydigest.sealed"]


def _command(*arguments):
    return VERB(Command("cache", arguments, "", {}))


def test_the_verb_shows_entries_and_clears_them(capsys, tmp_path):
    for key in "ab":
        _entry(key, 1)
    assert _command() == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["images", "size", "used", "ago", "decoded", "from"]
    assert sorted(line.split()[-1] for line in lines[1:3]) == ["/a", "/b"]
    assert lines[1].split()[:3] == ["1", "of", "1000×1000×1"]
    assert "1.0 MB" in lines[1]
    assert _command("clear=programs") == 0
    assert len(image_cache.entries()) == 2
    capsys.readouterr()
    assert _command("clear=images") == 0
    assert capsys.readouterr().out == f"2.0 MB freed in {tmp_path / 'cache'}\n"
    assert image_cache.entries() == []
    kept = tmp_path / "cache" / "mnist" / "images.gz"
    for path in (
        *(kept.parents[1] / kind / "file" for kind in ("contents", "surveys", "statistics", "programs")),
        kept,
    ):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes(1000))
    assert _command() == 0
    assert "1.0 kB of sizes and faults of files (1 file)" in capsys.readouterr().out
    assert _command("clear=all") == 0
    assert capsys.readouterr().out == f"4.0 kB freed in {tmp_path / 'cache'}\n"
    assert kept.is_file()
    with pytest.raises(ConfigError, match=r"^clear: must be "):
        _command("clear=downloads")
