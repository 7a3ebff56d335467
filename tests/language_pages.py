"""`python tests/language_pages.py` writes docs/language/ from the records; a test fails if a page is old.

Each page has one kind of entry of `python -m runner list`, with what `show` prints of it; one has the settings of parts
and verbs. The records are the ones that check a configuration.
"""

import functools
import importlib.metadata
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from runner import catalogue
from runner.composition import shipped
from runner.configuration import layout
from runner.errors import shown
from runner.verbs import SETTINGS, names, verb

FOLDER: Final = Path(__file__).resolve().parent.parent / "docs" / "language"
OF_OPTAX: Final = ("optimizers", "schedules")  # whose arguments are those of the Optax that is installed
_HEADS: Final = {
    "layers": """# Layers

A model is a list of layers. A layer is a word, or a mapping with one key and its arguments. This network has two:

    python -m runner describe 'model.layers=[flatten, classifier]'
""",
    "blocks": """# Blocks

A block is a kind of layer that is declared in YAML. These blocks come with the program, in `conf/block/`. Your own
files in `conf/block/` are added to them.

    python -m runner describe 'model.layers=[{conv_bn_act: {filters: 8}}, flatten, classifier]'
""",
    "augmentations": """# Augmentations

Random changes of the training images. `augment=NAME` chooses a prepared set; `augment.NAME={…}` adds one change. The
numbers below are strengths: changing one does not compile the program again.

    python -m runner data=cifar10 model=cnn_3x augment=crop_flip
""",
    "tasks": """# Tasks

`task=NAME` on a command line says what is learnt of each example. It brings a loss, the metrics of every run, the
verdict and the figures with it; `classifier` has one unit for each class, label or number.

    python -m runner experiment=digits_labels
    python -m runner experiment=digits_numbers
""",
    "losses": """# Losses

The number that training makes smaller.

    python -m runner loss=cross_entropy loss.label_smoothing=0.1
""",
    "optimizers": """# Optimisers

Every optimiser of Optax, by its name and with its own arguments. The short names are files in `conf/optimizer/`.

    python -m runner optimizer=momentum optimizer.learning_rate=0.05
""",
    "schedules": """# Schedules

How the learning rate changes during training: every schedule of Optax. The short names are files in `conf/schedule/`.
Arguments whose names end in `_steps` can be given in epochs instead (`_epochs`).

    python -m runner schedule=cosine schedule.warmup_epochs=1
""",
    "metrics": """# Metrics

Numbers that are recorded after each epoch besides the loss, as `train/NAME`, `val/NAME` and `test/NAME`.

    python -m runner data=cifar10 model=cnn_3x 'train.metrics=[accuracy, top_5_accuracy]'
""",
    "sweeps": """# Prepared sweeps

`sweep=NAME` starts a sweep. [Sweeps](../sweeps.md) explains how one is made; [settings](settings.md#sweep) lists every
setting.

    python -m runner sweep=seeds
""",
    "data": """# Data sets

`data=NAME` chooses a data set. [Data](../data.md) explains your own images, arrays and texts;
[settings](settings.md#data) lists every setting.

    python -m runner data=mnist
""",
    "experiments": """# Prepared experiments

`experiment=NAME` chooses a model, data and settings together. The pictures of some of them are in the
[course](../course.md).

    python -m runner experiment=textbook
""",
}
_SETTINGS: Final = """# Settings

Every setting that is not chosen by a name of another page, with its type, its default and its meaning. A setting is
given in a YAML file, or on the command line by its path:

    python -m runner train.epochs=3 train.batch_size=64
"""
_COMMANDS: Final = """# Commands

`runner` and `python -m runner` are the same. `--help` after a command prints what stands here.

    python -m runner describe --help
"""
_ELSEWHERE: Final = ("model", "augment", "loss", "optimizer", "schedule")  # on pages of their own
_GENERATED: Final = "\nThis page is generated from the records of the program by `python tests/language_pages.py`.\n"


_INITIALISERS: Final = """How the numbers of a layer begin: one word, or a mapping with one key and its arguments, as in
`kernel_init: {normal: {stddev: 0.01}}`. The names are those of `jax.nn.initializers`, known filters, and two of this
project. Numbers in place of a name are the filter itself: `kernel_init: [[0, 1], [-1, 0]]`.
"""


def pages() -> Mapping[str, Callable[[], str]]:
    """What writes each page, by the name of its file."""
    written = {f"{kind}.md": functools.partial(_of_kind, kind) for kind in _HEADS}
    return {**written, "settings.md": _settings, "commands.md": _commands}


def written_with() -> str:
    """The version of Optax in requirements.lock, whose optimisers and schedules the pages list."""
    lock = (FOLDER.parent.parent / "requirements.lock").read_text(encoding="utf-8")
    return re.findall(r"^optax==(\S+)", lock, flags=re.MULTILINE)[0]


def installed() -> str:
    """The version of Optax in use."""
    return importlib.metadata.version("optax")


def _of_kind(kind: str) -> str:
    entries = catalogue.entries(kind)
    initialisers = {
        one.type for entry in entries for one in entry.arguments if kind == "layers" and one.name.endswith("_init")
    }
    text = "".join(_entry(entry) for entry in entries)
    for one in initialisers:
        text = text.replace(f"| {_cell(one)} |", "| an [initialiser](#initialisers) |")
    if initialisers:
        [one] = initialisers
        text += (
            f"\n## Initialisers\n\n{_INITIALISERS}\n"
            + ", ".join(f"`{each}`" for each in one.split(" | ") if " " not in each and each != "mapping")
            + ".\n"
        )
    return _HEADS[kind] + text + _GENERATED


def _entry(entry: catalogue.Entry) -> str:
    yaml = entry.kind in ("layers", "blocks")
    use = f"```yaml\n- {entry.usage}\n```" if yaml else f"    python -m runner {_quoted(entry.usage)}"
    notes = _lines(entry.notes)
    rows = [(one.name, one.type, one.default, one.description) for one in entry.arguments]
    parts = [f"## {entry.name}", _sentence(entry.summary), *notes, use, *_table(rows, typed=entry.kind != "blocks")]
    if entry.file:
        parts.append(f"In `conf/{entry.file.relative_to(shipped()).as_posix()}`.")
    return "\n" + "\n\n".join(parts) + "\n"


def _quoted(usage: str) -> str:
    """The overrides as a shell needs them."""
    words = [usage] if "{" in usage else usage.split()
    return " ".join(f"'{word}'" if re.search(r"[{\[(*<> ]", word) else word for word in words)


def _lines(notes: str) -> Iterator[str]:
    """The paragraphs of a comment or docstring; commands in it as code."""
    paragraph: list[str] = []
    for line in [*notes.splitlines(), ""]:
        command = line.strip().startswith("python -m runner")
        if paragraph and (command or not line.strip()):
            yield _prose(" ".join(paragraph))
            paragraph = []
        if command:
            told, _, why = line.strip().partition("        ")
            yield f"{_sentence(why.strip())}:\n\n    {told}" if why.strip() else f"    {told}"
        elif line.strip():
            paragraph.append(line.strip())


def _table(rows: Iterable[tuple[str, str, str | None, str]], *, typed: bool = True) -> list[str]:
    """A Markdown table of arguments; none if there are none. `default` None: must be given."""
    found = [
        f"| `{name}` | {f'{_cell(kind)} | ' if typed else ''}{_default(default)} |"
        + (f" {_cell(_prose(told))} |" if typed else "")
        for name, kind, default, told in rows
    ]
    heads = ("argument", "type and range", "default", "meaning") if typed else ("parameter", "default")
    head = "| " + " | ".join(heads) + " |\n|" + "---|" * len(heads)
    return ["\n".join([head, *found])] if found else []


def _default(value: str | None) -> str:
    if value is None:
        return "must be given"
    return value if value.startswith("from the ") else f"`{value}`" if value else "`''`"


def _cell(text: str) -> str:
    """Text in a table, where `|` begins a column."""
    return text.replace(" | ", " or ").replace("|", "\\|")


def _prose(text: str) -> str:
    """Text without what Markdown would read as markup."""
    parts = re.split(r"(`+[^`]*`+)", " ".join(text.split()))
    return "".join(part if part.startswith("`") else re.sub(r"([*<\\]|\b_|_\b)", r"\\\1", part) for part in parts)


def _sentence(text: str) -> str:
    """The same with a capital at its beginning, unless a formula begins it."""
    return _prose(text[:1].upper() + text[1:] if re.match(r"\w+[ ,:;]", text) else text)


def _commands() -> str:
    """The help of every verb, as a terminal of 80 columns shows it."""
    parts = [f"\n## {name}\n\n```text\n{verb(name).help(name).text(80)}\n```\n" for name in names()]
    return _COMMANDS + "".join(parts) + _GENERATED


def _settings() -> str:
    schema = layout(SETTINGS).model_json_schema()
    definitions = schema["$defs"]
    parts = [_SETTINGS]
    for name, node in schema["properties"].items():
        if name in _ELSEWHERE:
            continue
        records = [record for record in _records(node, definitions) if record["properties"]]
        for record in records:
            source = record["properties"].get("source", {}).get("const")
            title = f"{'#' * (3 if source else 2)} {f'{name}: source={source}' if source else name}\n"
            if source and record is records[0]:
                parts.append(f"\n## {name}\n\n{_prose(node.get('description', ''))}\n")
            told = _prose((record if source else node).get("description", "").partition("\n\n")[0])
            rows = [row for row in _rows(record, definitions) if row[0] != "source"]
            parts.append("\n" + "\n".join([title, *([f"{told}\n"] if told else []), *_table(rows)]) + "\n")
        if not records:
            rows = list(_rows({"properties": {name: node}}, definitions))
            parts.append("\n" + "\n".join([f"## {name}\n", *_table(rows)]) + "\n")
    return "".join([*parts, _GENERATED])


def _rows(
    record: Mapping[str, Any], definitions: Mapping[str, Any], above: str = ""
) -> Iterator[tuple[str, str, str | None, str]]:
    """The settings of a record, each followed by those within it."""
    for key, node in record["properties"].items():
        kind, told = catalogue.type_text(node, definitions), node.get("description", "")
        inner = [one for one in _records(node, definitions) if one.get("properties")]
        default = _of_schema(key, node, record)
        yield above + key, kind, "{}" if kind == "mapping" and default == "[]" else default, told
        if len(inner) == 1 and inner[0].get("title") != "layer":
            yield from _rows(inner[0], definitions, f"{above}{key}.")


def _of_schema(name: str, node: Mapping[str, Any], record: Mapping[str, Any]) -> str | None:
    """The default of a property as YAML; None if it must be given."""
    return None if name in record.get("required", []) else shown(node.get("default"), 100)


def _records(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The records that a part can be."""
    if "$ref" in node:
        return _records(definitions[node["$ref"].rpartition("/")[2]], definitions)
    if "properties" in node:
        return [node]
    kinds = [one for several in ("oneOf", "anyOf") for one in node.get(several, [])]
    return [record for kind in kinds for record in _records(kind, definitions)]


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, write in pages().items():
        (FOLDER / name).write_text(write(), encoding="utf-8")
