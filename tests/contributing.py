"""The examples of CONTRIBUTING.md, which tests run."""

import re
from pathlib import Path

_TEXT = (Path(__file__).resolve().parent.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")


def example(title: str) -> str:
    """The Python code in the section with this title."""
    section = _TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    [code] = re.findall(r"```python\n(.+?)```", section, re.DOTALL)
    return str(code)
