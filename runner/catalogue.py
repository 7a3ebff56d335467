"""What an experiment can be made of, with names, arguments and an example of each, for `list` and `show`.

>>> [entry.name for entry in entries("losses")][:3]
['cross_entropy', 'focal', 'hinge']
>>> print(entries("layers")[0].usage)
adaptive_avg_pool: {size: 7}

Everything is read from the records that check a configuration, from Optax's signatures, and from the files in `conf/`,
the user's own included.
"""

import inspect
import re
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from runner import metrics
from runner.arguments import REQUIRED, arguments
from runner.composition import files, read_text, read_yaml
from runner.data.augment import Augment
from runner.errors import shown
from runner.experiment import Experiment
from runner.layers import KINDS
from runner.optim import Optimizer, optimizers
from runner.records import Record
from runner.schedule import FILLED, SCHEDULES, Schedule

_LONGEST: Final = 100  # of a value that is shown


@dataclass(frozen=True)
class Argument:
    """An argument of an entry. `default` is the default as YAML; None if a value must be given."""

    name: str
    type: str
    default: str | None
    description: str


@dataclass(frozen=True)
class Entry:
    """Something that YAML or a command line can name. `usage` shows how, and works as it is."""

    kind: str
    name: str
    usage: str
    summary: str
    notes: str = ""
    arguments: tuple[Argument, ...] = ()
    file: Path | None = None  # that it stands in

    @property
    def label(self) -> str:
        """Its use on the command line without arguments; the name of what only YAML names."""
        return re.split(r"={| ", self.usage)[0] if "=" in self.usage else self.name


def kinds() -> list[str]:
    """The kinds of entry, as `list` names them."""
    return list(_KINDS)


def entries(kind: str) -> list[Entry]:
    """The entries of a kind, sorted by name within what is configured in files, and then the others."""
    return list(_KINDS[kind]())


def named(name: str) -> list[Entry]:
    """Every entry of this name, of any kind."""
    return [entry for kind in _KINDS for entry in entries(kind) if entry.name == name]


# Files in conf/


def _of_files(kind: str, group: str) -> Iterator[Entry]:
    for name, path in files(group).items():
        comment = list(_comment(path))
        summary, *notes = comment or [""]
        yield Entry(kind, name, f"{group}={name}", _summary(summary), "\n".join(notes), file=path)


def _comment(path: Path) -> Iterator[str]:
    """The lines of the comment at the top of a file, without instructions for Hydra and editors."""
    for line in read_text(path).splitlines():
        if not line.startswith("#"):
            return
        text = line.removeprefix("#").strip()
        if not text.startswith(("@package", "yaml-language-server")):
            yield text


def _summary(line: str) -> str:
    """A comment's line without its columns of commands and of uses in YAML."""
    columns = [part.partition("python -m runner")[0].strip() for part in re.split(r"\s{2,}", line)]
    return " ".join(part for part in columns if part and not part.startswith("- ")) or line


def _blocks() -> Iterator[Entry]:
    for entry in _of_files("blocks", "block"):
        params = _content(entry).get("params")
        taken = tuple(
            Argument(name, "", None if value is None else shown(value, _LONGEST), "")
            for name, value in (params if isinstance(params, dict) else {}).items()
        )
        shown_use = re.search(rf"- ({entry.name}: \{{.*\}})", "\n".join(_comment(entry.file)) if entry.file else "")
        usage = shown_use[1] if shown_use else entry.name
        yield replace(entry, usage=usage, arguments=taken)


def _content(entry: Entry) -> dict[str, Any]:
    """The YAML of an entry's file; empty if it is no mapping."""
    found = read_yaml(entry.file) if entry.file else None
    return found if isinstance(found, dict) else {}


# Records


def _layers() -> Iterator[Entry]:
    for kind, layer in sorted(KINDS.items()):
        yield _of_record("layers", kind, layer, kind)


def _augmentations() -> Iterator[Entry]:
    yield from _of_files("augmentations", "augment")
    for name, field in Augment.model_fields.items():
        record = next(part for part in typing.get_args(field.annotation) if part is not type(None))
        yield _of_record("augmentations", name, record, f"augment.{name}")


def _of_record(kind: str, name: str, record: type[Record], written: str) -> Entry:
    summary, _, notes = (inspect.getdoc(record) or "").partition("\n")
    needed = {key: field.examples[0] for key, field in record.model_fields.items() if field.examples}
    usage = f"{written}={shown(needed)}" if "." in written else f"{written}: {shown(needed)}"
    if not needed:
        usage = f"{written}={{}}" if "." in written else written
    return Entry(kind, name, usage, summary, notes.strip(), _arguments(record))


def _tasks() -> Iterator[Entry]:
    kinds = typing.get_args(Experiment.model_fields["task"].annotation)
    records = {record.model_fields["name"].default: record for record in kinds}
    for entry in _of_files("tasks", "task"):
        taken = [argument for argument in _arguments(records[entry.name]) if argument.name != "name"]
        yield replace(entry, arguments=tuple(taken))


def _losses() -> Iterator[Entry]:
    kinds = typing.get_args(Experiment.model_fields["loss"].annotation)
    records = {record.model_fields["name"].default: record for record in kinds}
    for entry in _of_files("losses", "loss"):
        record = records.get(_content(entry).get("name"))
        taken = [argument for argument in _arguments(record) if argument.name != "name"] if record else []
        others = "" if record is None or "classification" in record.tasks else f" task={min(record.tasks)}"
        yield replace(entry, usage=f"{entry.usage}{others}", arguments=tuple(taken))


def _arguments(record: type[Record]) -> tuple[Argument, ...]:
    schema = record.model_json_schema()
    definitions = schema.get("$defs", {})
    if "$ref" in schema:  # of a layer that holds layers
        schema = definitions[schema["$ref"].rpartition("/")[2]]
    properties = schema.get("properties", {})
    return tuple(
        Argument(
            name=name,
            type=type_text(properties[name], definitions),
            default=None if field.is_required() else shown(field.get_default(call_default_factory=True), _LONGEST),
            description=field.description or "",
        )
        for name, field in record.model_fields.items()
    )


def type_text(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    """What a JSON Schema allows, in words: `whole number ≥ 1 | null`."""
    if "$ref" in node:
        return type_text(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "const" in node:
        return shown(node["const"])
    if "enum" in node:
        return " | ".join(shown(value) for value in node["enum"])
    for several in ("anyOf", "oneOf"):
        if several in node:
            return " | ".join(dict.fromkeys(type_text(part, definitions) for part in node[several]))
    kind = node.get("type", "object")
    if isinstance(kind, list):
        return " | ".join(type_text({**node, "type": one}, definitions) for one in kind)
    if kind == "array":
        return _list_text(node, definitions)
    return _number_text(node) if kind in ("integer", "number") else _WORDS[kind]


def _list_text(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> str:
    items = node.get("items", {})
    if items.get("title") == "layer":
        return "list of layers"
    inner = dict.fromkeys(type_text(part, definitions) for part in node.get("prefixItems", [items]))
    return f"list of {' | '.join(inner)}" if len(inner) == 1 else f"list of ({' | '.join(inner)})"


def _number_text(node: Mapping[str, Any]) -> str:
    word = "whole number" if node["type"] == "integer" else "number"
    if "minimum" in node and "maximum" in node:
        return f"{word} {shown(node['minimum'])} … {shown(node['maximum'])}"
    signs = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}
    return " ".join([word, *(f"{sign} {shown(node[bound])}" for bound, sign in signs.items() if bound in node)])


_WORDS: Final = {"boolean": "true | false", "string": "text", "null": "null", "object": "mapping"}


# Functions of Optax


def _optimizers() -> Iterator[Entry]:
    yield from _of_optax("optimizers", "optimizer", optimizers(), Optimizer, {})


def _schedules() -> Iterator[Entry]:
    filled = dict.fromkeys(FILLED, "from the learning rate and the length of training")
    yield from _of_optax("schedules", "schedule", SCHEDULES, Schedule, filled)


def _of_optax(
    kind: str,
    group: str,
    functions: Mapping[str, Callable[..., Any]],
    record: type[Record],
    filled: Mapping[str, str],
) -> Iterator[Entry]:
    """The files of a group, with the arguments of the function that each names; then the functions without a file."""
    own = tuple(argument for argument in _arguments(record) if argument.name != "name")
    cases = record.model_json_schema()["allOf"]
    types = {case["if"]["properties"]["name"]["const"]: case["then"]["properties"] for case in cases}

    def taken(name: str) -> tuple[Argument, ...]:
        return own + tuple(_of_function(functions[name], types[name], filled)) if name in functions else own

    found = list(_of_files(kind, group))
    for entry in found:
        yield replace(entry, arguments=taken(_content(entry).get("name", "")))
    for name, function in functions.items():
        if name not in {entry.name for entry in found}:
            summary = (inspect.getdoc(function) or "").partition("\n")[0]
            needed = [argument for argument in taken(name)[len(own) :] if argument.default is None]
            values = [f"{group}.{argument.name}={_example(types[name][argument.name])}" for argument in needed]
            # A field that may be left out, of an argument that this function needs: the warm-up.
            values += [f"{group}.{one.name}=1" for one in own if one.default == "null" and _needs(function, one.name)]
            yield Entry(kind, name, " ".join([f"{group}.name={name}", *values]), summary, arguments=taken(name))


def _needs(function: Callable[..., Any], name: str) -> bool:
    takes = arguments(function)
    return name in takes and takes[name].default is REQUIRED


def _of_function(
    function: Callable[..., Any], types: Mapping[str, Any], filled: Mapping[str, str]
) -> Iterator[Argument]:
    """The arguments of a function of Optax that YAML can give, described as there."""
    described = _described(inspect.getdoc(function) or "")
    takes = arguments(function)
    for name, node in types.items():
        default = takes[name].default if name in takes else None  # *_epochs, which Optax does not have
        text = filled.get(name) if default is REQUIRED else shown(default, _LONGEST)
        yield Argument(name, type_text(node, {}), text, described.get(name, ""))


def _example(node: Mapping[str, Any]) -> str:
    """A value that a JSON Schema allows."""
    return str(node["enum"][0]) if "enum" in node else {"integer": "1", "number": "0.5"}[node["type"]]


def _described(docstring: str) -> dict[str, str]:
    """The texts of the section `Args:` of a docstring, by argument, without markup."""
    section = re.search(r"^Args:\n((?: +.*\n|\n)*)", docstring + "\n", re.MULTILINE)
    found = re.findall(r"^ {2}(\w+):((?:.*\n)(?: {3,}.*\n|\n)*)", section[1] if section else "", re.MULTILINE)
    return {name: re.sub(r":\w+:|`|\s+(?=\s)", "", text.replace("\n", " ")).strip() for name, text in found}


def _metrics() -> Iterator[Entry]:
    for name in metrics.names():
        module = inspect.getmodule(metrics.metric(name).per_example)
        summary = (inspect.getdoc(module) or "").partition("\n")[0]
        task = metrics.metric(name).task
        others = "" if task == "classification" else f" task={task}"
        yield Entry("metrics", name, f"train.metrics=[{name}]{others}", summary)


_KINDS: Final[Mapping[str, Callable[[], Iterator[Entry]]]] = {
    "models": lambda: _of_files("models", "model"),
    "layers": _layers,
    "blocks": _blocks,
    "data": lambda: _of_files("data", "data"),
    "augmentations": _augmentations,
    "tasks": _tasks,
    "losses": _losses,
    "optimizers": _optimizers,
    "schedules": _schedules,
    "metrics": _metrics,
    "sweeps": lambda: _of_files("sweeps", "sweep"),
    "experiments": lambda: _of_files("experiments", "experiment"),
}
