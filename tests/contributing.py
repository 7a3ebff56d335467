"""The examples of CONTRIBUTING.md, which tests run, and packages to which they are added."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest

_TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(title: str) -> str:
    """The Python code in the section with this title."""
    section = _TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    [code] = re.findall(r"```python\n(.+?)```", section, re.DOTALL)
    return str(code)


@contextmanager
def added(package: ModuleType, name: str, text: str, folder: Path) -> Iterator[None]:
    """A package of which a file with this text, written to the folder, is a module."""
    (folder / f"{name}.py").write_text(text, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(package, "__path__", [*package.__path__, str(folder)])
        try:
            yield
        finally:
            sys.modules.pop(f"{package.__name__}.{name}", None)
            vars(package).pop(name, None)
