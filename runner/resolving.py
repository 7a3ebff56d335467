"""Interpolations resolved, with a note of those that the environment answered, so that no value of it is recorded."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.resolvers import oc

from runner import interpolations, withheld
from runner.errors import ConfigError, must
from runner.launchable import Place

_MISSING: Final = "???"  # what OmegaConf takes for a value that is to be given


@dataclass(frozen=True)
class Resolved:
    """Plain containers, and by path the interpolations whose values came from the environment."""

    values: dict[str, Any]
    from_environment: dict[Place, str] = field(default_factory=dict)


class _Asked:
    """Counts what is asked of the environment."""

    count = 0

    def env(self, *arguments: Any) -> Any:
        self.count += 1
        value = oc.env(*arguments)
        withheld.answered(value, f"${{oc.env:{arguments[0]}}}")
        return value


_asked = _Asked()


def resolved(config: DictConfig) -> Resolved:
    """A configuration without interpolations. Raises OmegaConf's errors, and ConfigError for a text that is ???."""
    OmegaConf.register_new_resolver("oc.env", _asked.env, replace=True)
    with interpolations.bounded():
        values: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        from_environment = dict(_from_environment(config, ()))
    if missing := next(_places(values, _MISSING), None):
        raise ConfigError(must(".".join(map(str, missing)), "be another text than ???", _MISSING))
    return Resolved({str(key): value for key, value in values.items()}, from_environment)


def _from_environment(node: Any, path: Place) -> Iterator[tuple[Place, str]]:
    keys: Any = node if isinstance(node, DictConfig) else range(len(node))
    for key in keys:
        child, below = node._get_node(key), (*path, key)
        if child._is_interpolation():
            before = _asked.count
            value = node[key]
            if _asked.count > before:
                plain = OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
                withheld.answered(plain, child._value())
                yield below, child._value()
        elif isinstance(child, DictConfig | ListConfig) and not child._is_none() and not child._is_missing():
            yield from _from_environment(child, below)


def _places(value: Any, wanted: Any, path: Place = ()) -> Iterator[Place]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(item, wanted, (*path, key))
    elif value == wanted and isinstance(value, str):
        yield path
