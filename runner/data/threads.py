"""Work on each of many files, divided among threads, be they fifty large ones or thousands of small ones.

>>> list(in_threads(8, print_the_file, threads=4))     # how many of the 8 are done, each time that more are
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

_MOST: Final = 500  # files that a thread takes at a time, so that taking them costs little
_TURNS: Final = 4  # times that each thread takes files, so that none waits long for the last one


def in_threads(count: int, work: Callable[[int], object], *, threads: int) -> Iterator[int]:
    """Calls `work` with each index below `count`. Yields how many are done, in the order of the indices.

    The first exception that `work` raises ends it; indices that no thread has taken by then are left out.
    """
    step = min(_MOST, max(1, count // (_TURNS * threads)))

    def taken(start: int) -> int:
        stop = min(start + step, count)
        for index in range(start, stop):
            work(index)
        return stop

    pool = ThreadPoolExecutor(threads)
    try:
        yield from pool.map(taken, range(0, count, step))
    finally:
        pool.shutdown(cancel_futures=True)
