"""One command line: the verb, its arguments, and the settings of all verbs."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from runner import configuration
from runner.configuration import Configuration, Records


@dataclass(frozen=True)
class Command:
    """A parsed command line. `text` is the whole line, as recorded in runs."""

    verb: str
    arguments: tuple[str, ...]
    text: str
    records: Records  # by verb, of verbs whose settings are part of the configuration

    def parse(self, values: dict[str, Any], block_library: Iterable[str] = ()) -> Configuration:
        """The configuration of plain containers. Raises ConfigError with every fault."""
        return configuration.parse(values, block_library, self.records)
