"""Writes configurations as YAML that can be launched again: every text, key and number is read back unchanged.

    >>> print(as_yaml({"name": "1e3", "note": "a${x}b"}), end="")
    name: "1e3"
    note: "a\\\\${x}b"

PyYAML (1.1), OmegaConf, which reads `${` as an interpolation, and `strict_yaml` all read the same values.
"""

import re
import shlex
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from runner.strict_yaml import plain_value

Place = tuple[str | int, ...]
# OmegaConf reads \${ as ${, and two backslashes before ${ as one.
_INTERPOLATION: Final = re.compile(r"(\\*)\$\{")
_QUOTED_BY_PEOPLE: Final = re.compile(r"(?i)y|n|=|<<|\?\?\?")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]")
HOW: Final = "python -m runner --config-dir FOLDER --config-name {stem}"


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]  # PyYAML has no types
    """Quotes texts that one of the readers would misread, and writes no aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    node: yaml.ScalarNode = dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style='"' if _is_mistakable(text) else None
    )
    return node


_Dumper.add_representer(str, _text)


def _is_mistakable(text: str) -> bool:
    if _QUOTED_BY_PEOPLE.fullmatch(text) or _CONTROL.search(text) or "${" in text:
        return True
    try:
        return bool(plain_value(text) != text)
    except ValueError:
        return True


def as_yaml(config: Any, written: Mapping[Place, str] | None = None) -> str:
    """Plain containers as YAML. `written` has, by path, interpolations to write instead of their values."""
    value = _escaped(config, written or {}, ())
    text: str = yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=float("inf"))
    return text


def launchable(config: Mapping[str, Any], stem: str, about: str, written: Mapping[Place, str] | None = None) -> str:
    """A whole configuration as the text of `stem`.yaml, whose first line shows the command to launch it."""
    return (
        f"# {HOW.format(stem=stem)}        {about}; FOLDER is the folder of this file\n"
        "defaults: [shipped, _self_]\n" + as_yaml(dict(config), written)
    )


def overrides_yaml(overrides: tuple[str, ...]) -> str:
    """The overrides of a command line as YAML, after a line with the command to launch the whole."""
    first = (
        f"# {HOW.format(stem='config')}        with config.yaml beside it; these are what the command line changed\n"
    )
    text: str = yaml.dump(list(overrides), Dumper=_Dumper, allow_unicode=True, width=float("inf"))
    return first + text


def single(places: Sequence[str], overrides: Sequence[str]) -> str:
    """The shell command that trains one member of a sweep; `places` are the options that locate configurations.

    It keeps `sweep=NAME`, whose file may set more than the sweep varies; `--run` then trains a single experiment.
    """
    kept = [line for line in overrides if not line.startswith("sweep.")]
    run = ["--run"] if any(line.startswith("sweep=") for line in kept) else []
    return shlex.join(["runner", *places, *run, *kept])


def _escaped(value: Any, written: Mapping[Place, str], path: Place) -> Any:
    if path in written:
        return written[path]
    if isinstance(value, dict):
        return {key: _escaped(item, written, (*path, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item, written, (*path, index)) for index, item in enumerate(value)]
    return _INTERPOLATION.sub(lambda found: rf"{found[1]}{found[1]}\${{", value) if isinstance(value, str) else value
