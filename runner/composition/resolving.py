"""Interpolations resolved, with a note of those that the environment answered, so that no value of it is recorded."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Final

from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from runner import withheld
from runner.blocks import Library, used
from runner.composition import interpolations
from runner.composition.complaints import as_config_errors
from runner.composition.places import BlockLibrary
from runner.errors import ConfigError, must
from runner.launchable import Place

_MISSING: Final = "???"  # what OmegaConf takes for a value that is to be given


@dataclass(frozen=True)
class Resolved:
    """Plain containers, and by path the interpolations whose values came from the environment."""

    values: dict[str, Any]
    from_environment: dict[Place, str] = field(default_factory=dict)


class _EnvironmentReads:
    """Counts what is asked of the environment."""

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


def resolve(config: DictConfig, library: Library | None = None, values: dict[str, Any] | None = None) -> Resolved:
    """The configuration without interpolations, with the blocks of the library that it uses.

    `values` are its plain containers, interpolations and all, where the caller has them; they are changed.
    Raises ConfigError where it cannot be resolved.
    """
    with as_config_errors():
        found = _resolved(config, values)
    return replace(found, values=_with_blocks(found.values, BlockLibrary() if library is None else library))


def _with_blocks(found: dict[str, Any], library: Library) -> dict[str, Any]:
    """A plain configuration with the blocks of the library that its model uses among its own."""
    model = found.get("model")
    if isinstance(model, dict):
        own = model.get("blocks") or {}
        taken = used(model, library) if isinstance(own, dict) else {}
        if taken:
            model["blocks"] = {**taken, **own}
    return found


def _resolved(config: DictConfig, values: dict[str, Any] | None = None) -> Resolved:
    """A configuration without interpolations.

    `values` are its plain containers, interpolations and all, where the caller has them; they are changed.
    Raises OmegaConf's errors, and ConfigError for a text that is ???.
    """
    OmegaConf.register_new_resolver("oc.env", _reads.env, replace=True)
    if values is None:
        found: Any = OmegaConf.to_container(config, resolve=False, throw_on_missing=True)
        values = {str(key): value for key, value in found.items()}
    with interpolations.bounded():
        from_environment = dict(_filled(values, config, ()))
    if missing := next(_places(values, _MISSING), None):
        raise ConfigError(must(missing, "be another text than ???", _MISSING))
    return Resolved(values, from_environment)


def _filled(values: Any, config: Any, path: Place) -> Iterator[tuple[Place, str]]:
    """Puts into plain containers what their interpolations come to; those that the environment answers, by path."""
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
    """Where a text stands in plain containers, as a user writes the path: `model.layers[0]`."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _places(item, wanted, f"{path}.{key}".removeprefix("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _places(item, wanted, f"{path}[{index}]")
    elif value == wanted and isinstance(value, str):
        yield path
