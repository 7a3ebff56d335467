"""Resolves interpolations, and notes which read environment variables, whose values must not be recorded."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf, flag_override
from omegaconf.resolvers import oc

from runner import limits, withheld
from runner.blocks import Library, used
from runner.composition import interpolations
from runner.composition.complaints import as_config_errors
from runner.composition.editing import finished
from runner.composition.places import BlockLibrary
from runner.errors import ConfigError, must
from runner.launchable import Place

_MISSING: Final = "???"  # OmegaConf's mark for a value that must be given
_FILES: Final = (".csv", ".jsonl", ".ndjson", ".npz", ".parquet", ".tar", ".tsv", ".zip")  # of data


@dataclass(frozen=True)
class Resolved:
    """Plain containers, and by path the interpolations whose values came from the environment.

    `editors` names the base and the editors of the layers, if they were edited.
    """

    values: dict[str, Any]
    from_environment: dict[Place, str] = field(default_factory=dict)
    editors: str = ""


class _EnvironmentReads:
    """Counts the reads of environment variables."""

    count = 0

    def env(self, *arguments: Any) -> Any:
        self.count += 1
        value = oc.env(*arguments)
        withheld.remember(value, f"${{oc.env:{arguments[0]}}}")
        return value


_reads = _EnvironmentReads()


def plain(config: DictConfig) -> dict[str, Any]:
    """The values of `resolve`."""
    return resolve(config).values


def resolve(
    config: DictConfig,
    block_library: Library | None = None,
    values: dict[str, Any] | None = None,
    editors: str = "",
) -> Resolved:
    """The configuration without interpolations and edits, with the blocks of `block_library` that it uses.

    `values` may be given: the configuration as plain containers, with interpolations; they are modified. `editors`
    are those of its files. Raises ConfigError if it cannot be resolved.
    """
    with as_config_errors():
        found = _resolved(config, values)
    from_environment, editors = finished(found.values, found.from_environment, editors)
    library = BlockLibrary() if block_library is None else block_library
    return Resolved(_with_blocks(found.values, library), from_environment, editors)


def _with_blocks(found: dict[str, Any], block_library: Library) -> dict[str, Any]:
    """Adds the blocks of the library that the model uses to a plain configuration."""
    model = found.get("model")
    if isinstance(model, dict):
        own = model.get("blocks") or {}
        taken = used(model, block_library) if isinstance(own, dict) else {}
        if taken:
            model["blocks"] = {**taken, **own}
    return found


def _resolved(config: DictConfig, values: dict[str, Any] | None = None) -> Resolved:
    """`resolve`, without the blocks. Raises OmegaConf's errors, and ConfigError for a text that is ???."""
    OmegaConf.register_new_resolver("oc.env", _reads.env, replace=True)
    if values is None:
        found: Any = OmegaConf.to_container(config, resolve=False, throw_on_missing=True)
        values = {str(key): value for key, value in found.items()}
    with interpolations.bounded(), named(config, values):
        from_environment = dict(_filled(values, config, ()))
    if missing := next(_places(values, _MISSING), None):
        raise ConfigError(must(missing, "be another text than ???", _MISSING))
    return Resolved(values, from_environment)


@contextmanager
def named(config: DictConfig, values: dict[str, Any]) -> Iterator[None]:
    """Where `data.name` is null, names the data after the folder or file at `data.root` while the block runs.

    The name is taken from the text of `data.root` as written, so it contains no value of the environment.
    """
    own = values.get("data")
    if not isinstance(own, dict) or own.get("name", "") is not None:
        yield
        return
    node: Any = config._get_node("data")
    own["name"] = _file_name(own.get("root")) or own.get("source")
    with flag_override(node, ["struct", "readonly"], False):
        node["name"] = own["name"]
        try:
            yield
        finally:  # the next job of a sweep may have another root
            node["name"] = None


def _file_name(root: Any) -> str:
    """The name of a folder, or of a file without its suffix; empty if it is not known before resolving."""
    if not isinstance(root, str) or not root:
        return ""
    path = Path(os.path.abspath(os.path.expanduser(root)))  # noqa: PTH100, PTH111 - `.` and `..` have names too
    name = path.stem if path.suffix.lower() in _FILES else path.name
    return "" if "$" in name or "}" in name else name[: limits.EXPERIMENT_CHARACTERS]


def _filled(values: Any, config: Any, path: Place) -> Iterator[tuple[Place, str]]:
    """Resolves the interpolations in plain containers. Yields those that read the environment, by path."""
    for key, written in list(values.items() if isinstance(values, dict) else enumerate(values)):
        below = (*path, key)
        if isinstance(written, dict | list):
            yield from _filled(written, config._get_node(key), below)
        elif isinstance(written, str) and "${" in written:
            before = _reads.count
            value = config[key]
            is_config = OmegaConf.is_config(value)
            plain = OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if is_config else value
            values[key] = plain
            if _reads.count > before:
                withheld.remember(plain, written)
                yield below, written


def _places(value: Any, wanted: str, path: str = "") -> Iterator[str]:
    """The paths at which plain containers have the text `wanted`, as users write them: `model.layers[0]`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, wanted, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, wanted, f"{path}[{index}]")
    elif value == wanted and isinstance(value, str):
        yield path
