"""The cache of compiled programs, whose damaged entries are replaced.

JAX checks an entry when it reads it, and compiles again where the check fails. It then keeps the damaged entry, because
it writes none where one is, so that every later start warns and compiles once more. Here the damaged entry is deleted
before JAX writes.
"""

import glob
import logging
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

_DAMAGED = re.compile(r"Error reading persistent compilation cache entry for '(?P<program>.+?)'")
_log = logging.getLogger(__name__)


def replace_damaged(folder: Path) -> None:
    """From now on deletes each entry in `folder` that JAX warns it could not read, in place of showing the warning.

    JAX names the program, not the entry: the entries of other programs of that name go too, and are compiled again.
    """
    show = warnings.showwarning
    if not (isinstance(show, _Replacing) and show.folder == folder):
        warnings.showwarning = _Replacing(folder, show)


@dataclass(frozen=True)
class _Replacing:
    """Shows warnings as `show` does, but those of damaged entries in `folder`."""

    folder: Path
    show: Callable[..., None]

    def __call__(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        found = _DAMAGED.match(str(message))
        if found is None:
            self.show(message, category, filename, lineno, file, line)
            return
        for entry in self.folder.glob(f"{glob.escape(found['program'])}-*"):
            entry.unlink(missing_ok=True)
        _log.info("a damaged entry of the cache of compiled programs is replaced: %s", found["program"])
