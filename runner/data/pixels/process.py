"""A process that uses the contents of image files for another one, which sends them and waits (see `small_files`).

Run as a file, so that it imports NumPy, Pillow and the modules of `pixels` alone, and starts in 0.2 s. It reads pickled
requests, `(use, [(content, place), ...])`, and answers each with a list of results, or the BadFileError of a file. It
ends when its input does.
"""

import os
import pickle
import sys
import types
import warnings
from pathlib import Path


def _without_packages() -> None:
    """Lets modules of `runner.data` be imported without the packages, which import far more than is needed here."""
    root = Path(__file__).resolve().parents[2]
    for name, folder in (("runner", root), ("runner.data", root / "data")):
        package = types.ModuleType(name)
        package.__path__ = [str(folder)]
        sys.modules[name] = package


def _serve() -> None:
    from runner.data.broken import BadFileError

    warnings.filterwarnings("ignore", module=r"PIL\.")
    requests, answers, sys.stdout = sys.stdin.buffer, sys.stdout.buffer, sys.stderr
    while True:
        use, files = pickle.load(requests)
        found: list[object] = []
        for content, place in files:
            try:
                found.append(use(content, place))
            except BadFileError as error:
                found.append(error)
        pickle.dump(found, answers, pickle.HIGHEST_PROTOCOL)
        answers.flush()


if __name__ == "__main__":
    _without_packages()
    try:
        _serve()
    except (EOFError, BrokenPipeError, pickle.UnpicklingError):  # the other process ended, or was killed
        os._exit(0)  # without a flush to the broken pipe
