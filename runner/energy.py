"""The energy that the processors of this machine use, from the counters that Linux shows of RAPL.

    >>> meter = Meter()
    >>> meter.joules()        # since the meter was made; None if there are no counters, or they cannot be read

The counters are those of the whole machine: other programs that run meanwhile are included. Most systems let only root
read them. Source: https://docs.kernel.org/power/powercap/powercap.html.
"""

import threading
from pathlib import Path
from typing import Final

_ROOT: Final = Path("/sys/class/powercap")
_PACKAGES: Final = "intel-rapl:[0-9]*"  # of AMD's processors too; intel-rapl:0:0 is a part of intel-rapl:0


class Meter:
    """Counts joules from its making on."""

    def __init__(self, root: Path = _ROOT) -> None:
        folders = [folder for folder in sorted(root.glob(_PACKAGES)) if folder.name.count(":") == 1]
        packages = [folder for folder in folders if _text(folder / "name").startswith("package")]
        self._ranges = {folder: _number(folder / "max_energy_range_uj") for folder in packages}
        self._last = self._counters()
        self._microjoules = 0
        self._lock = threading.Lock()

    def joules(self) -> float | None:
        """The joules so far. A counter that started again from 0 once since the last call is understood."""
        with self._lock:
            counters = self._counters()
            if not counters or counters.keys() != self._last.keys():
                return None
            for folder, now in counters.items():
                used = now - self._last[folder]
                self._microjoules += used if used >= 0 else used + (self._ranges[folder] or 0)
            self._last = counters
            return self._microjoules / 1e6

    def _counters(self) -> dict[Path, int]:
        read = {folder: _number(folder / "energy_uj") for folder in self._ranges}
        return {folder: value for folder, value in read.items() if value is not None}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeError):
        return ""


def _number(path: Path) -> int | None:
    text = _text(path)
    return int(text) if text.isdecimal() else None
