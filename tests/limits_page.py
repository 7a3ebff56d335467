"""`python tests/limits_page.py` writes docs/limits.md from `runner/limits.py`; a test fails if the page is old."""

import ast
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from runner import limits

PAGE = Path(__file__).resolve().parent.parent / "docs" / "limits.md"
_UNITS = ("bytes", "KiB", "MiB", "GiB")
_HEAD = """# Limits

An input beyond a limit is refused in one line, with exit status 2, before it uses much time or memory. Each limit is
far above the needs of ordinary inputs. No setting changes a limit; divide a larger input. This page is generated from
[runner/limits.py](../runner/limits.py) by `python tests/limits_page.py`.

| limit | value | what it bounds |
|---|---|---|
"""


def documented() -> Iterator[tuple[str, str]]:
    """The name of every limit, and the text below it on one line."""
    statements = ast.parse(Path(limits.__file__).read_text(encoding="utf-8")).body
    for limit, text in pairwise(statements):
        if isinstance(limit, ast.AnnAssign) and isinstance(limit.target, ast.Name):
            assert isinstance(text, ast.Expr), f"{limit.target.id} has no text below it"
            assert isinstance(text.value, ast.Constant), f"{limit.target.id} has no text below it"
            yield limit.target.id, " ".join(str(text.value.value).split())


def readable(name: str, value: float) -> str:
    """The value of a limit: bytes in the largest unit that divides them, other numbers with thousands separators."""
    if not name.endswith("_BYTES"):
        return f"{value:,.0f}"
    unit = 0
    while value % 1024 == 0 and unit + 1 < len(_UNITS):
        value, unit = value // 1024, unit + 1
    return f"{value:,.0f} {_UNITS[unit]}"


def page() -> str:
    """The page as it should be."""
    rows = (f"| `{name}` | {readable(name, getattr(limits, name))} | {text} |\n" for name, text in documented())
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
