"""How a file that does not read is told of: its name, what it must be, and the reader's reason in a line."""

from runner.errors import DataError, must


def broken(path: object, rule: str, error: Exception) -> DataError:
    """The error for a file at `path` that must be what `rule` says, but made its reader fail with `error`."""
    reason = next(iter(str(error).strip().splitlines()), "").rstrip(":") or type(error).__name__
    return DataError(must(str(path), rule, f"a broken one ({reason})"))
