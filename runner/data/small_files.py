"""Uses many image files: in threads, or in processes where the files are small.

    >>> with reader(tree, paths) as each:
    ...     each(paths, shape_in, lambda index, shape: print(paths[index], shape))
    cat.jpg (375, 500, 3)

Pillow decodes large images outside Python's lock, so threads use every core. Of a JPEG of 1 kB it spends most of the
time in Python, and two threads are no faster than one; there processes take the files.
"""

import pickle
import queue
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, Protocol, TypeVar

from runner import cores, limits
from runner.data.broken import BadFileError
from runner.data.files import FileTree, content
from runner.data.pixels import process
from runner.data.threads import in_threads

T = TypeVar("T")
_THREADS: Final = 16
_PROCESSES: Final = 8  # this process reads the files for them
_SMALL_BYTES: Final = 8_000  # of a file that is decoded in about the time that Python needs to open it
_LARGE_BYTES: Final = 100_000  # of a file that is not sent: a thread decodes it as fast, and requests stay small
_MANY: Final = 4_000  # files, for which it pays to start processes
_SAMPLED: Final = 16
_SENT: Final = 200  # files at a time, or fewer, so that no process is without work


class Each(Protocol):
    """Uses each file, and hands its index and the result to `take`, called in several threads at once.

    `use` is called with the content of a file and its name; it must be a function of `pixels`, or a partial of one. A
    file that cannot be used gives its BadFileError to `take`. `progress(n)` is called when the first n are done.
    """

    def __call__(
        self,
        paths: Sequence[str],
        use: Callable[[bytes, str], T],
        take: Callable[[int, T | BadFileError], object],
        *,
        progress: Callable[[int], object] = lambda done: None,
    ) -> None: ...


@contextmanager
def reader(tree: FileTree, paths: Sequence[str]) -> Iterator[Each]:
    """What uses files of a tree as fast as it can: `paths` are all of those that will be used, maybe in portions."""
    count = min(cores.available(), _PROCESSES) if _are_small(tree, paths) else 1
    helpers = [_Helper() for _ in range(count)] if count > 1 else []
    try:
        yield _each(tree, helpers)
    finally:
        for helper in helpers:
            helper.end()


def _each(tree: FileTree, helpers: "Sequence[_Helper]") -> Each:
    idle: queue.SimpleQueue[_Helper] = queue.SimpleQueue()
    for helper in helpers:
        idle.put(helper)

    def each(
        paths: Sequence[str],
        use: Callable[[bytes, str], T],
        take: Callable[[int, T | BadFileError], object],
        *,
        progress: Callable[[int], object] = lambda done: None,
    ) -> None:
        sent = max(1, min(_SENT, len(paths) // (2 * _PROCESSES)))

        def one(index: int) -> None:
            take(index, _used(tree, paths[index], use))

        def some(number: int) -> None:
            start = number * sent
            helper = idle.get()
            try:
                found = _answers(tree, paths[start : start + sent], use, helper)
            finally:
                idle.put(helper)
            for index, result in enumerate(found, start):
                take(index, result)

        def reached(number: int) -> None:
            progress(min(number * sent, len(paths)))

        if helpers:
            in_threads(-(-len(paths) // sent), some, threads=len(helpers), progress=reached)
        else:
            in_threads(len(paths), one, threads=min(cores.available(), _THREADS), progress=progress)

    return each


def _used(tree: FileTree, path: str, use: Callable[[bytes, str], T]) -> T | BadFileError:
    try:
        return use(content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES), f"{tree.root}/{path}")
    except BadFileError as error:
        return error


def _answers(
    tree: FileTree, paths: Sequence[str], use: Callable[[bytes, str], T], helper: "_Helper"
) -> list[T | BadFileError]:
    found: dict[str, T | BadFileError] = {}
    contents: dict[str, bytes] = {}
    for path in paths:
        try:
            one = content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES)
            if len(one) > _LARGE_BYTES:
                found[path] = use(one, f"{tree.root}/{path}")
            else:
                contents[path] = one
        except BadFileError as error:
            found[path] = error
    results = helper.ask(use, [(one, f"{tree.root}/{path}") for path, one in contents.items()])
    if results is None:  # the process was killed
        return [_used(tree, path, use) for path in paths]
    found.update(zip(contents, results, strict=True))
    return [found[path] for path in paths]


def _are_small(tree: FileTree, paths: Sequence[str]) -> bool:
    """Whether the files are many, and most of some, from all over the list, small."""
    if len(paths) < _MANY:
        return False
    sizes = []
    for path in paths[:: len(paths) // _SAMPLED]:
        with suppress(BadFileError):
            sizes.append(len(content(tree, path, max_bytes=limits.IMAGE_FILE_BYTES)))
    return bool(sizes) and statistics.median(sizes) <= _SMALL_BYTES


class _Helper:
    """A process that uses the contents of files."""

    def __init__(self) -> None:
        # -P: the folder of the file is not searched for modules.
        command = [sys.executable, "-P", str(Path(process.__file__))]
        self._process: subprocess.Popen[bytes] | None
        try:
            # In a session of its own it gets no Ctrl+C; it ends when this process does.
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
            )
        except OSError:
            self._process = None

    def ask(self, use: Callable[[bytes, str], T], files: Sequence[tuple[bytes, str]]) -> list[T | BadFileError] | None:
        """The result for each content of a file with its name; None if the process has ended."""
        if self._process is None or self._process.stdin is None or self._process.stdout is None:
            return None
        try:
            pickle.dump((use, files), self._process.stdin, pickle.HIGHEST_PROTOCOL)
            self._process.stdin.flush()
            answers: list[T | BadFileError] = pickle.load(self._process.stdout)
        except (OSError, EOFError, pickle.UnpicklingError):
            self.end()
            return None
        return answers

    def end(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            with suppress(OSError), self._process:  # closes its pipes, and flushes what it never read
                pass
            self._process = None
