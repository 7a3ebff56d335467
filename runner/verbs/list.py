"""`runner list [KIND]`: the models, layers, optimisers … that exist, your own included."""

from runner.errors import ConfigError, unknown
from runner.records import Record
from runner.verb import Asked, SettingsVerb, Words


class List(Record):
    """Takes no settings.

    Without KIND, the kinds are listed.
    """


def show_all(_: List, asked: Asked) -> int:
    """Prints a line for each entry of the named kind, or for each kind."""
    from rich.console import Console
    from rich.table import Table

    from runner import catalogue

    kind = next(iter(asked.words), None)
    if kind is not None and kind not in catalogue.kinds():
        raise ConfigError(unknown("command line", "kind", kind, catalogue.kinds()))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    if kind is not None:
        for entry in catalogue.entries(kind):
            table.add_row(entry.label, entry.summary)
    else:
        for each in catalogue.kinds():
            names = [entry.name for entry in catalogue.entries(each)]
            table.add_row(f"runner list {each}", f"{len(names)}: {', '.join(names[:5])}{' …' * (len(names) > 5)}")
    Console(highlight=False, markup=False).print(table)
    return 0


VERB = SettingsVerb(
    List, show_all, Words("[KIND]", "name one kind", "kinds", fewest=0), reads_store=False, examples=("layers",)
)
