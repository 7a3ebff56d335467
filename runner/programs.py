"""Replaces damaged entries in the cache of compiled programs.

JAX checks an entry when it reads it, and compiles again if the check fails. It then keeps the damaged entry, because it
never overwrites one, so every later start warns and compiles again. This module deletes the damaged entry before JAX
writes the new one.
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
    """From now on, deletes each entry in `folder` that JAX warns it could not read, and hides the warning.

    JAX names the program, not the entry. Entries of other programs of that name are deleted too and compiled again.
    """
    show = warnings.showwarning
    if not (isinstance(show, _Replacing) and show.folder == folder):
        warnings.showwarning = _Replacing(folder, show)


@dataclass(frozen=True)
class _Replacing:
    """Handles warnings about damaged entries in `folder`; passes other warnings to `show`."""

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
        _log.info("replacing a damaged entry in the cache of compiled programs: %s", found["program"])
