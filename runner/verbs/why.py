"""`runner why KEY [OVERRIDES]`: the value of a setting, the line that gives it, what it replaced."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from runner import edits
from runner.command import Command
from runner.errors import ConfigError, Fault, must, shown, unknown
from runner.verb import OVERRIDES, PlainVerb

if TYPE_CHECKING:
    from runner.composition import Job

_EDITED: Final = f"model.{edits.KEY}"


def why(command: Command) -> int:
    """Prints the settings at the key, or below it, with the places that they come from."""
    from runner.composition import look

    keys = [argument for argument in command.arguments if "=" not in argument and not argument.startswith("-")]
    if len(keys) != 1:
        rule = "name one setting, such as optimizer.learning_rate"
        raise ConfigError(must("command line", rule, " ".join(command.arguments)))
    if f"{keys[0]}.".startswith((f"{_EDITED}.", f"{_EDITED}[")):
        rule = (
            f"name a setting, got {keys[0]}: edits are applied to the layers; runner why model.layers names their lines"
        )
        raise ConfigError(Fault("command line", f"must {rule}"))
    key = re.sub(r"\[(\w+)\]", r".\1", keys[0])
    others = tuple(argument for argument in command.arguments if argument != keys[0])
    return look(replace(command, arguments=others), lambda job: _explain(job, key))


def _explain(job: "Job", key: str) -> int:
    from rich.console import Console
    from rich.table import Table

    from runner.composition import origins

    found = origins(job.context.overrides)
    values = _values(job)
    known = dict.fromkeys((*values, *(origin.path for origin in found)))
    wanted = [path for path in known if f"{path}.".startswith(f"{key}.")]
    if not wanted:
        parts = {path[: match.start()] for path in known for match in re.finditer(r"\.|$", path)}
        raise ConfigError(unknown("command line", "setting", key, parts))
    table = Table.grid(padding=(0, 2))
    for path in wanted:
        own = [origin for origin in found if origin.path == path]
        written = f" ({own[-1].value})" if own and "${" in own[-1].value else ""
        table.add_row(path, values.get(path, "replaced") + written, own[-1].place if own else "default")
        for origin in reversed(own[:-1]):
            table.add_row("", f"  replaces {origin.value}", origin.place)
    Console(highlight=False, markup=False).print(table)
    return 0


def _values(job: "Job") -> dict[str, str]:
    """The values of the configuration by path: as composed and resolved, else the defaults of the fields."""
    from runner.experiment import parameters

    whole = job.configuration
    parts = {"": whole.experiment, "tracking": whole.tracking, "figures": whole.figures, "sweep": whole.sweep}
    parts |= {"distributed": whole.distributed}
    defaults = {
        path: text for name, part in parts.items() for path, text in parameters(part, name, with_nulls=True).items()
    }
    composed = dict[str, str]()

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Mapping) and value:
            for name, inner in value.items():
                visit(inner, f"{path}.{name}" if path else str(name))
        elif isinstance(value, list) and value:
            for index, inner in enumerate(value):
                visit(inner, f"{path}.{index}")
        else:
            composed[path] = shown(value, 200)

    visit(job.context.config, "")
    above = {path[: match.start()] for path in composed for match in re.finditer(r"\.", path)}
    return {path: text for path, text in defaults.items() if path not in above} | composed


VERB = PlainVerb(
    why,
    f"KEY {OVERRIDES}",
    lambda: (("KEY", "A setting, such as optimizer.learning_rate, or a part of the configuration: optimizer"),),
    "What else can be given: runner train --help",
    ("optimizer.learning_rate optimizer=momentum",),
)
