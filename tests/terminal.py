"""A terminal for tests: what a program wrote to it, and what remains on its screen."""

import os
import pty
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

_PARTS = re.compile(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+")


class Terminal:
    """The file that a program writes to, and all that it wrote."""

    def __init__(self, file: TextIO) -> None:
        self.file = file
        self.written = ""

    @property
    def screen(self) -> list[str]:
        """The lines that remain, as xterm shows them: only the controls that Rich writes are known."""
        lines, row, column = [""], 0, 0
        for part in _PARTS.findall(self.written):
            if part == "\r":
                column = 0
            elif part == "\n":
                row += 1
                lines += [""] * (row + 1 - len(lines))
            elif part == "\x1b[2K":
                lines[row] = ""
            elif up := re.fullmatch(r"\x1b\[(\d+)A", part):
                row -= int(up[1])
            elif not part.startswith("\x1b"):
                lines[row] = lines[row][:column].ljust(column) + part + lines[row][column + len(part) :]
                column += len(part)
        return [line.rstrip() for line in lines]


@contextmanager
def terminal() -> Iterator[Terminal]:
    """A terminal. What was written is complete at the end of the block."""
    master, slave = pty.openpty()
    with os.fdopen(slave, "w", encoding="utf-8") as file:
        found = Terminal(file)
        parts: list[bytes] = []

        def read() -> None:
            try:
                while part := os.read(master, 65536):
                    parts.append(part)
            except OSError:  # Linux: the other side is closed
                pass

        reader = threading.Thread(target=read)
        reader.start()
        try:
            yield found
        finally:
            file.close()
            reader.join()
            os.close(master)
            found.written = b"".join(parts).decode()
