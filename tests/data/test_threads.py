"""Work in threads: each index once, shared by all threads whatever the count, and ended by the first fault."""

import threading
import time

import pytest

from runner.data.threads import in_threads


@pytest.mark.parametrize("count", [0, 1, 7, 50, 1000, 12_345])
@pytest.mark.parametrize("threads", [1, 4, 16])
def test_every_index_is_processed_once(count: int, threads: int) -> None:
    seen: list[int] = []
    progress: list[int] = []
    in_threads(count, seen.append, threads=threads, progress=progress.append)
    assert sorted(seen) == list(range(count))
    assert progress == sorted(set(progress))
    assert progress[-1:] == ([count] if count else [])


@pytest.mark.parametrize("count", [4, 50, 499, 1000])
def test_few_files_are_divided_among_all_threads(count: int) -> None:
    # Nobody passes the barrier until four threads stand before it: with one thread for 500 files none ever would.
    barrier, met, progress = threading.Barrier(4, timeout=20), threading.local(), [0]

    def meet(index: int) -> None:
        if not hasattr(met, "others"):
            barrier.wait()
            met.others = True

    in_threads(count, meet, threads=4, progress=progress.append)
    assert progress[-1] == count


def test_the_first_fault_ends_it() -> None:
    seen: list[int] = []

    def work(index: int) -> None:
        seen.append(index)
        if index == 3:
            raise ValueError("the fourth")

    with pytest.raises(ValueError, match="the fourth"):
        in_threads(100_000, work, threads=1)
    assert len(seen) < 100_000


def test_no_thread_outlives_the_caller() -> None:
    seen: list[int] = []
    before = threading.active_count()

    def stop(done: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_threads(100_000, seen.append, threads=2, progress=stop)
    assert threading.active_count() == before
    assert len(seen) < 100_000


def test_other_threads_end_before_their_share() -> None:
    seen: list[int] = []
    failed = threading.Event()

    def work(index: int) -> None:
        if index == 0:
            failed.set()
            raise ValueError("the first")
        failed.wait(20)
        time.sleep(0.001)
        seen.append(index)

    with pytest.raises(ValueError, match="the first"):
        in_threads(10_000, work, threads=2)
    assert len(seen) < 400  # of the 500 that the other thread had taken
