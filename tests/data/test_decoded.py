"""Decoded images that are kept: read back as they were, and never for other files."""

import os
import threading
import time

import numpy as np
import pytest
from test_folder import STORES, classes, encoded, noise, read

from runner.data import ImageSize, decode, decoded


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache" / "images"


@pytest.fixture
def decodings(monkeypatch):
    """How many images were decoded in each call."""
    counts = []
    original = decode.Images._decoded

    def counted(self, chosen, size):
        counts.append(len(chosen))
        return original(self, chosen, size)

    monkeypatch.setattr(decode.Images, "_decoded", counted)
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


def test_other_files_sizes_and_fits_are_decoded_anew(tmp_path, decodings):
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


def test_what_is_cut_short_is_decoded_again(tmp_path, cache, decodings):
    root = STORES["zip"](tmp_path, classes())
    first = read(root)
    for path in cache.iterdir():
        path.write_bytes(path.read_bytes()[:-7])
    assert_same(first, read(root))
    assert sum(decodings) == 40
    assert_same(first, read(root))
    assert sum(decodings) == 40


def test_a_cache_that_cannot_be_written_costs_nothing_else(tmp_path, monkeypatch, decodings):
    root = STORES["zip"](tmp_path, classes())
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "file" / "below"))
    assert_same(read(root), read(root))
    assert sum(decodings) == 40


def test_little_room_is_left_alone(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(decoded.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 100}))
    read(STORES["zip"](tmp_path, classes()))
    assert list(cache.iterdir()) == []


def test_two_at_once_leave_one_whole_file(tmp_path, cache):
    images = np.arange(6 * 5 * 5 * 3, dtype=np.uint8).reshape(6, 5, 5, 3)
    threads = [threading.Thread(target=decoded.kept, args=("key", images.shape, lambda: images)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.name for path in cache.iterdir()] == ["key.npy"]
    np.testing.assert_array_equal(decoded.kept("key", images.shape, pytest.fail), images)
