"""`runner show NAME`: the arguments of a layer, an optimiser …, with an example."""

from pathlib import Path
from typing import TYPE_CHECKING

from runner.errors import ConfigError, unknown
from runner.records import Record
from runner.verb import Asked, SettingsVerb, Words

if TYPE_CHECKING:
    from rich.console import Console

    from runner.catalogue import Entry


class Show(Record):
    """Takes no settings.

    NAME is one that runner list KIND shows. Each argument has its type, its default and a description.
    """


def show(_: Show, asked: Asked) -> int:
    """Prints every entry of the name."""
    from rich.console import Console

    from runner import catalogue

    [name] = asked.words
    found = catalogue.named(name)
    if not found:
        names = [entry.name for kind in catalogue.kinds() for entry in catalogue.entries(kind)]
        raise ConfigError(unknown("command line", "name", name, names))
    console = Console(highlight=False, markup=False)
    for number, entry in enumerate(found):
        if number:
            console.print()
        _print(entry, console)
    return 0


def _print(entry: "Entry", console: "Console") -> None:
    from rich.table import Table

    console.print(f"{entry.name} ({entry.kind}): {entry.summary}")
    if entry.notes:
        console.print(entry.notes)
    console.print(f"\n  {entry.usage}")
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    for argument in entry.arguments:
        default = "must be given" if argument.default is None else f"default: {argument.default}"
        told = f"{argument.description} " if argument.description else ""
        kind = f"{argument.type}; " if argument.type else ""
        table.add_row(f"  {argument.name}", f"{told}({kind}{default})")
    if entry.arguments:
        console.print()
        console.print(table)
    if entry.file:
        here = Path.cwd()
        console.print(
            f"\nin {entry.file.relative_to(here) if entry.file.is_relative_to(here) else entry.file}", soft_wrap=True
        )


VERB = SettingsVerb(
    Show, show, Words("NAME", "name one entry of `runner list`", "entries"), reads_store=False, examples=("conv",)
)
