"""The charts of the report as PNG files."""

import functools
from collections.abc import Callable, Mapping

from runner.charts import Section
from runner.sweep.report.charts import sections
from runner.sweep.results import SweepResult


def figures(result: SweepResult) -> Mapping[str, Callable[[], bytes]]:
    """The figures for which a sweep has data, by name; calling one draws it as a PNG."""
    return {section.name: functools.partial(_drawn, section) for section in sections(result)}


def _drawn(section: Section) -> bytes:
    from runner.figures import png  # matplotlib takes its time, and the thread that draws has it
    from runner.figures.charts import drawn

    return png(drawn(section))
