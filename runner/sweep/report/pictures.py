"""The charts of the report as PNG files."""

import functools
from collections.abc import Callable, Iterable, Mapping

from runner.charts import Section


def figures(charts: Iterable[Section]) -> Mapping[str, Callable[[], bytes]]:
    """A figure for each section, by name; calling one draws it as a PNG."""
    return {section.name: functools.partial(_drawn, section) for section in charts}


def _drawn(section: Section) -> bytes:
    from runner.figures import png  # matplotlib takes its time, and the thread that draws has it
    from runner.figures.charts import drawn

    return png(drawn(section))
