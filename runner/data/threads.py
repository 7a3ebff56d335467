"""Divides work on many files among threads, for fifty large files as for thousands of small ones.

>>> in_threads(8, lambda index: decode(files[index]), threads=4)
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

T = TypeVar("T")
R = TypeVar("R")

_LARGEST_CHUNK: Final = 500  # files that a thread takes at a time, which keeps the overhead small
_REPORTED: Final = 500  # progress is reported in multiples of this, and at most once for each tenth
_CHUNKS_PER_THREAD: Final = 4  # so that no thread waits long for the last one


def in_threads(
    count: int, work: Callable[[int], object], *, threads: int, progress: Callable[[int], object] = lambda done: None
) -> None:
    """Calls `work` with each index below `count`, and `progress(n)` from time to time, when the first n are done.

    The first exception of `work` or `progress` is raised, and KeyboardInterrupt; threads then finish the index that
    they are at.
    """
    step = min(_LARGEST_CHUNK, max(1, count // (_CHUNKS_PER_THREAD * threads)))
    ended = threading.Event()

    def take(start: int) -> int:
        stop = min(start + step, count)
        for index in range(start, stop):
            if ended.is_set():
                break
            work(index)
        return stop

    pool = ThreadPoolExecutor(threads)
    try:
        for done in pool.map(take, range(0, count, step)):
            progress(done)
    finally:
        ended.set()
        pool.shutdown(cancel_futures=True)


def ahead(make: Callable[[T], R], items: Iterable[T], *, count: int = 2) -> Iterator[R]:
    """`make` of each item, in order, while as many as `count` later ones are being made in threads of their own.

    The first exception of `make` is raised in its place.
    """
    pool, coming = ThreadPoolExecutor(count, thread_name_prefix="ahead"), deque[Future[R]]()
    try:
        for item in items:
            coming.append(pool.submit(make, item))
            if len(coming) > count:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def in_tenths(count: int, verb: str, what: str, *, report: Callable[[str], object]) -> Callable[[int], None]:
    """A `progress` that reports `decoded 500 of 5,000 images`, at most once for each tenth."""
    tenths = 0

    def progress(done: int) -> None:
        nonlocal tenths
        shown = done if done == count else done - done % _REPORTED
        if 10 * shown // count > tenths:
            tenths = 10 * shown // count
            report(f"{verb} {shown:,} of {count:,} {what}")

    return progress
