"""What a sweep came to, for people: a page in the terminal, a table, figures, and a page that opens by itself."""

from runner.sweep.report.page import html
from runner.sweep.report.pictures import figures
from runner.sweep.report.table import table_csv
from runner.sweep.report.terminal import again, terminal

__all__ = ["again", "figures", "html", "table_csv", "terminal"]
