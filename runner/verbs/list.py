"""`runner list [KIND]`: the models, layers, blocks, optimisers … that exist, the user's own included."""

from runner.command import Command
from runner.errors import ConfigError, must, unknown


def show_all(command: Command) -> int:
    """Prints a line for each entry of the named kind, or for each kind."""
    from rich.console import Console
    from rich.table import Table

    from runner import catalogue

    arguments = command.arguments
    if len(arguments) > 1:
        raise ConfigError(must("command line", "name one kind", " ".join(arguments)))
    if arguments and arguments[0] not in catalogue.kinds():
        raise ConfigError(unknown("command line", "kind", arguments[0], catalogue.kinds()))
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    if arguments:
        for entry in catalogue.entries(arguments[0]):
            table.add_row(entry.label, entry.summary)
    else:
        for kind in catalogue.kinds():
            names = [entry.name for entry in catalogue.entries(kind)]
            table.add_row(f"runner list {kind}", f"{len(names)}: {', '.join(names[:5])}{' …' * (len(names) > 5)}")
    Console(highlight=False, markup=False).print(table)
    return 0


VERB = show_all
