"""Many small files, which processes use: the same results as in threads, whatever happens to the processes."""

import functools
import os
import pickle
import signal
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from runner import cores
from runner.data.broken import BadFileError
from runner.data.files import ZipTree
from runner.data.pixels import fitted_pixels, shape_in
from runner.data.small_files import reader

COUNT = 4_000
BAD = 1_234
USE = functools.partial(fitted_pixels, shape=(8, 8, 1), how="resize", rule="")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> ZipTree:
    path = tmp_path_factory.mktemp("small") / "images.zip"
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 8, 8), np.uint8)
    with zipfile.ZipFile(path, "w") as archive:
        for number, pixels in enumerate(images):
            file = BytesIO()
            Image.fromarray(pixels).save(file, "png")
            archive.writestr(f"{number:04}.png", file.getvalue() if number != BAD else b"no image")
    return ZipTree(path)


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cores, "available", lambda: 2)


def children() -> set[int]:
    return {int(pid) for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the processes are found in /proc")
@pytest.mark.parametrize("kills", [False, True], ids=["left alone", "killed"])
def test_processes_give_what_threads_give(tree: ZipTree, kills: bool) -> None:
    before, found, told = children(), {}, []

    def take(index: int, result: np.ndarray | BadFileError) -> None:
        if kills and not found:
            for pid in children() - before:
                os.kill(pid, signal.SIGKILL)
        found[index] = result

    with reader(tree, tree.files) as each:
        assert len(children() - before) == 2
        each(tree.files, USE, take, progress=told.append)
    assert children() <= before
    with reader(tree, tree.files[: COUNT - 1]) as each:  # too few for processes
        assert children() <= before
        expected: dict[int, np.ndarray | BadFileError] = {}
        each(tree.files[: COUNT - 1], USE, expected.__setitem__)
    assert sorted(found) == list(range(COUNT))
    assert told[-1] == COUNT
    for index, result in expected.items():
        other = found[index]
        if index == BAD:
            assert isinstance(other, BadFileError)
            assert other.faults == result.faults
        else:
            np.testing.assert_array_equal(other, result)


def test_the_first_error_of_who_takes_results_ends_it(tree: ZipTree) -> None:
    def take(index: int, found: object) -> None:
        if isinstance(found, BadFileError):
            raise found

    with reader(tree, tree.files) as each, pytest.raises(BadFileError, match=rf"{BAD}\.png: must be a JPEG"):
        each(tree.files, functools.partial(shape_in, whole=False), take)


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="the processes are found in /proc")
def test_a_killed_process_does_not_lose_a_short_request(tree: ZipTree) -> None:
    before = children()
    with reader(tree, tree.files) as each:
        for pid in children() - before:
            os.kill(pid, signal.SIGKILL)
            os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        found: dict[int, object] = {}
        each(tree.files[:3], functools.partial(shape_in, whole=False), found.__setitem__)
    assert found == dict.fromkeys(range(3), (8, 8, 1))


def test_large_files_among_small_ones_are_not_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, file = tmp_path / "mixed.zip", BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (256, 256, 3), np.uint8)).save(file, "png")
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(COUNT):
            archive.writestr(f"{number:04}.png", file.getvalue() if number == BAD else b"no image")
    mixed = ZipTree(path)
    found: dict[int, object] = {}
    sent, dump = list[object](), pickle.dump

    def noted(request: tuple[object, list[object]], *others: Any) -> None:
        sent.extend(request[1])
        dump(request, *others)

    monkeypatch.setattr(pickle, "dump", noted)
    with reader(mixed, mixed.files) as each:
        each(mixed.files, functools.partial(shape_in, whole=True), found.__setitem__)
    assert found.pop(BAD) == (256, 256, 3)
    assert all(isinstance(fault, BadFileError) for fault in found.values())
    assert len(sent) == len(found) == COUNT - 1
