"""Where the values of a configuration are written: by path, in the order in which Hydra merges files and overrides.

>>> for origin in origins(["optimizer.learning_rate=0.1"]):
...     if origin.path == "optimizer.learning_rate":
...         print(origin.value, origin.place)
0.003 conf/optimizer/adam.yaml:5
0.1 command line
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from hydra import initialize_config_dir
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from runner.composition import loading
from runner.composition.complaints import as_config_errors, own_name
from runner.composition.places import groups
from runner.composition.spelling import for_hydra
from runner.composition.trust import read_text
from runner.errors import shown
from runner.shipped import configurations

_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Origin:
    """A value that a file or an override gives to a path. `value` is as it is written, `place` the file and line."""

    path: str
    value: str
    place: str


def origins(overrides: Sequence[str]) -> list[Origin]:
    """Every value that is written, with its path; what comes later replaces what came before.

    Raises ConfigError if the overrides do not compose.
    """
    loading.register()
    GlobalHydra.instance().clear()
    lines = for_hydra(list(overrides))
    with (
        as_config_errors(),
        loading.in_place(RunMode.RUN),
        initialize_config_dir(str(configurations()), version_base="1.3"),
    ):
        loader = GlobalHydra.instance().config_loader()
        files = loader.compute_defaults_list("config", lines, RunMode.RUN).defaults
        folders = [Path(source.path) for source in loader.get_sources() if source.scheme() == "file"]
        return [*(origin for file in files for origin in _of_file(file, folders)), *_of_overrides(lines)]


def _of_file(entry: ResultDefault, folders: list[Path]) -> Iterator[Origin]:
    """The values of a file, which is that of the first folder that has it; none of Hydra's own files."""
    name = f"{entry.config_path}.yaml"
    file = next((folder / name for folder in folders if (folder / name).is_file()), None)
    if file is not None:
        node = yaml.compose(read_text(file), _LOADER)
        if isinstance(node, yaml.MappingNode):
            place = own_name(str(file.resolve()))
            for path, line, value in _leaves(node, entry.package or ""):
                if path.partition(".")[0] not in ("defaults", "hydra"):
                    yield Origin(path, value, f"{place}:{line}")


def _leaves(node: yaml.Node, path: str) -> Iterator[tuple[str, int, str]]:
    """Path, line and text of every value below a node."""
    inner: list[tuple[str, yaml.Node]] = []
    if isinstance(node, yaml.MappingNode):
        inner = [(str(key.value), value) for key, value in node.value]
    elif isinstance(node, yaml.SequenceNode):
        inner = [(str(index), value) for index, value in enumerate(node.value)]
    for key, value in inner:
        yield from _leaves(value, f"{path}.{key}" if path else key)
    if not inner:
        empty = {yaml.MappingNode: "{}", yaml.SequenceNode: "[]"}.get(type(node))
        yield path, node.start_mark.line + 1, empty or str(node.value) or "null"


def _of_overrides(lines: list[str]) -> Iterator[Origin]:
    known = groups()
    for override in OverridesParser.create().parse_overrides(lines):
        value = override.value()
        if override.key_or_group not in known or isinstance(value, dict):  # else the choice of a file
            for path, text in _below(value, override.key_or_group):
                yield Origin(path, text, "command line")


def _below(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _below(inner, f"{path}.{key}")
    elif isinstance(value, list) and value:
        for index, inner in enumerate(value):
            yield from _below(inner, f"{path}.{index}")
    else:
        yield path, shown(value)
