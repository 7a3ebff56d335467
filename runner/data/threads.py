"""Work on each of many files, divided among threads, be they fifty large ones or thousands of small ones.

>>> in_threads(8, lambda index: decode(files[index]), threads=4)
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_MOST: Final = 500  # files that a thread takes at a time, so that taking them costs little
_TURNS: Final = 4  # times that each thread takes files, so that none waits long for the last one


def in_threads(
    count: int, work: Callable[[int], object], *, threads: int, told: Callable[[int], object] = lambda done: None
) -> None:
    """Calls `work` with each index below `count`, and `told` now and then with how many of the first are done.

    The first exception that `work` or `told` raises ends it; indices that no thread has taken by then are left out.
    """
    step = min(_MOST, max(1, count // (_TURNS * threads)))

    def take(start: int) -> int:
        stop = min(start + step, count)
        for index in range(start, stop):
            work(index)
        return stop

    pool = ThreadPoolExecutor(threads)
    try:
        for done in pool.map(take, range(0, count, step)):
            told(done)
    finally:
        pool.shutdown(cancel_futures=True)
