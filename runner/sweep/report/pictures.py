"""The report's charts as pictures."""

from runner.sweep.results import SweepResult


def figure_names(result: SweepResult) -> list[str]:
    """The figures that a sweep has something to show in."""
    del result
    return []


def figure(result: SweepResult, name: str) -> bytes:
    """A figure as a PNG."""
    raise KeyError(name)
