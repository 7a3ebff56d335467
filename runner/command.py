"""One command line: the verb, its arguments, and what is known of all verbs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from runner import configuration
from runner.configuration import Configuration, Records


@dataclass(frozen=True)
class Command:
    """What a user entered. `text` is the whole of it, as it is recorded."""

    verb: str
    arguments: tuple[str, ...]
    text: str
    records: Records  # by verb, of those whose settings stand in the configuration
    help: Callable[[], str]  # a line for each verb

    def parse(self, values: dict[str, Any], library: Iterable[str] = ()) -> Configuration:
        """The configuration that plain containers describe. Raises ConfigError with every fault in it."""
        return configuration.parse(values, library, self.records)
