"""The report of a sweep: a summary in the terminal, a CSV table, figures and an HTML page."""

from runner.sweep.report.charts import sections
from runner.sweep.report.page import html
from runner.sweep.report.pictures import figures, first_filters
from runner.sweep.report.table import table_csv
from runner.sweep.report.terminal import best_command, terminal

__all__ = ["best_command", "figures", "first_filters", "html", "sections", "table_csv", "terminal"]
