"""`runner schema [FOLDER]`: writes the JSON Schema of the configuration, for editors."""

from pathlib import Path

from runner.command import Command
from runner.errors import ConfigError, must


def write(command: Command) -> int:
    """Writes every schema to the named folder, by default schema/, and prints their paths."""
    from runner import schema

    folder = command.arguments[0] if command.arguments else "schema"
    if len(command.arguments) > 1 or folder.startswith("-"):
        raise ConfigError(must("command line", "name one folder", " ".join(command.arguments)))
    try:
        for path in schema.write(Path(folder), command.records):
            print(path)
    except OSError as error:
        raise ConfigError(must("command line", f"name a folder to write to ({error.strerror})", folder)) from error
    return 0


VERB = write
