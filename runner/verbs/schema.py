"""`runner schema [FOLDER]`: writes the JSON Schema of the configuration, for editors."""

from pathlib import Path

from runner.errors import ConfigError, must
from runner.records import Record
from runner.verb import Asked, SettingsVerb, Words


class Schema(Record):
    """Takes no settings.

    FOLDER is schema if none is named.
    """


def write(_: Schema, asked: Asked) -> int:
    """Writes every schema, and prints their paths."""
    from runner import schema

    folder = next(iter(asked.words), "schema")
    try:
        for path in schema.write(Path(folder), asked.command.records):
            print(path)
    except OSError as error:
        raise ConfigError(must("command line", f"name a folder to write to ({error.strerror})", folder)) from error
    return 0


VERB = SettingsVerb(
    Schema, write, Words("[FOLDER]", "name one folder", fewest=0), reads_store=False, examples=("schema",)
)
