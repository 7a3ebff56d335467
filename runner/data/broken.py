"""The error for a file that cannot be read: its name, what it must be, and the reader's reason, on one line."""

from runner.errors import DataError, must


def broken(path: object, rule: str, error: Exception) -> DataError:
    """The error for a file at `path` that must follow `rule`, but whose reader raised `error`."""
    reason = next(iter(str(error).strip().splitlines()), "").rstrip(":") or type(error).__name__
    return DataError(must(str(path), rule, f"a broken one ({reason})"))
