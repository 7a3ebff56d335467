"""Where the values of a configuration are written: by path, in the order in which Hydra merges files and overrides.

>>> for origin in origins(["optimizer.learning_rate=0.1"]):
...     if origin.path == "optimizer.learning_rate":
...         print(origin.value, origin.place)
0.003 conf/optimizer/adam.yaml:5
0.1 command line
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import yaml
from hydra import initialize_config_dir
from hydra.core.default_element import ResultDefault
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode

from runner import edits
from runner.composition import loading
from runner.composition.complaints import as_config_errors, own_name
from runner.composition.places import groups
from runner.composition.spelling import for_hydra
from runner.composition.trust import read_text
from runner.errors import shown
from runner.shipped import configurations

_EDITS: Final = f"model.{edits.KEY}"
_EDITABLE: Final = ("model.layers.", "model.blocks.")
_LIST: Final = re.compile(r"model\.(blocks\.[^.]+\.)?layers\.")
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
        whole = _Whole()
        for file in files:
            whole.add(list(_of_file(file, folders)), replaces_lists=True)
        whole.add(list(_of_overrides(lines)), replaces_lists=False)
        return whole.origins


class _Whole:
    """The origins of a configuration so far; `_layers` are those of its present lists of layers, which edits move."""

    def __init__(self) -> None:
        self.origins: list[Origin] = []
        self._layers: list[Origin] = []

    def add(self, later: list[Origin], *, replaces_lists: bool) -> None:
        """Adds the origins of a file, or of the command line, whose edits apply after all else in it."""
        own = [origin for origin in later if origin.path.startswith(_EDITABLE)]
        if replaces_lists:
            lists = {match[0] for origin in own if (match := _LIST.match(origin.path))}
            self._layers = [origin for origin in self._layers if not origin.path.startswith(tuple(lists))]
        self._layers += own
        self.origins += [origin for origin in later if not f"{origin.path}.".startswith(f"{_EDITS}.")]
        if isinstance(wanted := _tree(later, _EDITS), list):
            self._edit(wanted)

    def _edit(self, wanted: list[Any]) -> None:
        model = {name: tree for name in ("layers", "blocks") if (tree := _tree(self._layers, f"model.{name}"))}
        # Without the changed arguments, so that what they replace is known as well.
        rest = [edit for edit in wanted if not (isinstance(edit, dict) and "change" in edit)]
        placed = dict.fromkeys((*_placed(edits.edited(model, rest, "")), *_placed(edits.edited(model, wanted, ""))))
        before = set(self._layers)
        self._layers = list(placed)
        self.origins = [*(origin for origin in self.origins if origin not in before), *placed]


def _placed(tree: Any) -> Iterator[Origin]:
    """The origins of the leaves of a tree, at the paths that they have in it."""
    for path, leaf in edits.leaves(tree, ("model",)):
        if isinstance(leaf, edits.Leaf):
            yield replace(leaf.origin, path=".".join(map(str, path)))


def _tree(found: list[Origin], above: str) -> Any:
    """The values at a path and below as nested lists and mappings, whose leaves have their origins; None if none."""
    tree: Any = {}
    for origin in found:
        if not f"{origin.path}.".startswith(f"{above}."):
            continue
        *path, last = ["", *origin.path.removeprefix(above).split(".")[1:]]
        here = tree
        for name in path:
            here = here.setdefault(name, {})
            if not isinstance(here, dict):
                return None
        here[last] = edits.Leaf.of(origin.value, origin)
    return _listed(tree.get(""))


def _listed(tree: Any) -> Any:
    """The same tree with lists for mappings from 0, 1, 2 …"""
    if not isinstance(tree, dict):
        return tree
    inner = {key: _listed(value) for key, value in tree.items()}
    numbers = [str(index) for index in range(len(inner))]
    return [inner[number] for number in numbers] if inner.keys() == set(numbers) else inner


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
