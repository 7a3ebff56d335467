"""Reads YAML strictly: text that YAML 1.1 and 1.2 read differently is refused, with its file and line.

    >>> read("epochs: 1e3\\nname: 2024-01-01", "conf/x.yaml")
    {'epochs': 1000.0, 'name': '2024-01-01'}

PyYAML reads YAML 1.1; editors and other tools read 1.2. Without quotes:

| text                                       | is read as                                                         |
|--------------------------------------------|--------------------------------------------------------------------|
| `010` `08` `0o17` `0b1` `1_000`            | refused: 8, '08', '0o17', 1 and 1000 in 1.1; others in 1.2         |
| `1:30` `1:30.5`                            | refused: 90 in 1.1 (base 60), a text in 1.2                        |
| `yes` `no` `on` `off` in any case          | refused: true and false in 1.1 (`NO` is no Norway), texts in 1.2   |
| `1e3` `1.e5` `.5` `.5e3` `5.` `.inf`       | numbers, as in 1.2 and in overrides                                |
| `1e400`                                    | refused: a text in 1.1, too large a number in 1.2                  |
| `0x1F`                                     | the integer 31, as in both                                         |
| `true` `True` `TRUE`, `null` `Null` `~`    | a truth, nothing, as in both                                       |
| `y` `n` `=`                                | texts, as in 1.2                                                   |
| `2024-01-01` `08:30` `inf` `nan`           | texts, as in 1.2                                                   |

Also refused: duplicate keys, tags (`!!python/…`, `!x`), tabs as indentation, and text beyond `runner.limits`.
Overrides follow Hydra's grammar: there `010`, `1:30`, `yes` and `0o17` are texts, which a number field refuses; `1_000`
is 1000, as in Python.
"""

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NoReturn

import yaml

from runner import limits
from runner.errors import ConfigError, Fault, must, shown

_NUMBER: Final = re.compile(r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?")
_WHOLE: Final = re.compile(r"[-+]?[0-9]+")
_HEXADECIMAL: Final = re.compile(r"[-+]?0x[0-9a-fA-F]+")
_NOT_FINITE: Final = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_TRUTHS: Final = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_NOTHING: Final = ("", "~", "null", "Null", "NULL")
_AMBIGUOUS: Final = tuple(
    (re.compile(pattern), f"{rule}, or a text in quotes")
    for pattern, rule in (
        (r"[-+]?0[0-9][0-9.eE+-]*", "be a number without leading zeros"),
        (r"[-+]?0[ob][0-9_]+", "be a decimal number"),
        (r"[-+]?(0x[0-9a-fA-F]+_[0-9a-fA-F_]*|\.?[0-9][0-9.]*_[0-9._]*([eE][-+]?[0-9]+)?)", "be a number without _"),
        (r"[-+]?[1-9][0-9]*(:[0-5]?[0-9])+(\.[0-9]*)?|[-+]?[0-9]+(:[0-5]?[0-9])+\.[0-9]*", "be a number without :"),
        (r"(?i:yes|no|on|off)", "be true or false"),
    )
)
_TEXT_TAGS: Final = ("!", "tag:yaml.org,2002:str")
_MERGE: Final = "<<"
# libyaml if PyYAML has it. Neither parser recurses for nested values.
_EVENTS: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read(text: str, name: str) -> Any:
    """Reads a YAML text to plain containers; None if it is empty. `name` is the file name for messages.

    Raises ConfigError with the name and the line.
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > limits.YAML_BYTES:
        raise ConfigError(Fault(name, f"must be at most {limits.YAML_BYTES:,} bytes of YAML, got {size:,}"))
    try:
        return _Document(text, name).read()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).split("\n")[0] or "it cannot be read"
        place = f"{name}:{mark.line + 1}" if mark else name
        raise ConfigError(Fault(place, f"must be YAML, but {problem}".replace("\n", " "))) from error


def plain_value(text: str) -> Any:
    """The value of an unquoted YAML scalar. Raises ValueError with the rule that an ambiguous scalar breaks."""
    if text in _NOTHING:
        return None
    if text in _TRUTHS:
        return _TRUTHS[text]
    for pattern, rule in _AMBIGUOUS:
        if pattern.fullmatch(text):
            raise ValueError(rule)
    is_number = _NUMBER.fullmatch(text) or _HEXADECIMAL.fullmatch(text)
    if is_number and len(text) > limits.NUMBER_DIGITS:
        raise ValueError(f"be a number of at most {limits.NUMBER_DIGITS} digits")
    if _WHOLE.fullmatch(text):
        return int(text)
    if _HEXADECIMAL.fullmatch(text):
        return int(text, 16)
    if _NUMBER.fullmatch(text):
        if math.isinf(float(text)):
            raise ValueError("be a number that float64 holds, or a text in quotes")
        return float(text)
    return float(text.replace(".", "")) if _NOT_FINITE.fullmatch(text) else text


def mapping(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file. Raises ConfigError with the path where the file holds something else."""
    try:
        found = read(path.read_text(encoding="utf-8"), str(path))
    except UnicodeError as error:
        raise ConfigError(Fault(str(path), f"must be UTF-8 text, but {error}")) from error
    if not isinstance(found, dict):
        raise ConfigError(must(str(path), "be a mapping", found))
    return found


class _Document:
    """Builds the containers of one document from the parser's events."""

    def __init__(self, text: str, name: str) -> None:
        self._name = name
        self._events: Iterator[Any] = yaml.parse(text.removeprefix("\ufeff"), Loader=_EVENTS)
        self._anchored: dict[str, tuple[Any, int]] = {}  # a value and the number of values in it
        self._count = 0

    def read(self) -> Any:
        """Returns the containers."""
        value = None
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.start_mark.index and self._count:
                    self._refuse(event, "hold one document, got another")
                value = self._value(next(self._events), 0)
        return value

    def _value(self, event: Any, depth: int) -> Any:
        if isinstance(event, yaml.AliasEvent):
            if event.anchor not in self._anchored:
                self._refuse(event, f"have anchors before their aliases, got *{event.anchor}")
            value, size = self._anchored[event.anchor]
            self._spend(size, event)
            return value
        before = self._count
        self._spend(1, event)
        if isinstance(event, yaml.ScalarEvent):
            value = self._scalar(event)
        else:
            if event.tag is not None:
                self._refuse(event, f"be without tags, got {event.tag}")
            if depth >= limits.YAML_DEPTH:
                self._refuse(event, f"have at most {limits.YAML_DEPTH} lists and mappings inside one another, got more")
            is_list = isinstance(event, yaml.SequenceStartEvent)
            value = self._list(depth + 1) if is_list else self._mapping(depth + 1)
        if event.anchor is not None:
            self._anchored[event.anchor] = (value, self._count - before)
        return value

    def _list(self, depth: int) -> list[Any]:
        found = []
        while not isinstance(event := next(self._events), yaml.SequenceEndEvent):
            found.append(self._value(event, depth))
        return found

    def _mapping(self, depth: int) -> dict[Any, Any]:
        found: dict[Any, Any] = {}
        merged: dict[Any, Any] = {}
        while not isinstance(event := next(self._events), yaml.MappingEndEvent):
            key = self._value(event, depth)
            value = self._value(next(self._events), depth)
            if key == _MERGE and not event.style:
                for one in value if isinstance(value, list) else [value]:
                    if not isinstance(one, dict):
                        self._refuse(event, f"merge mappings, got {shown(one)}")
                    merged = {**one, **merged}
            elif isinstance(key, list | dict) or key is None:
                self._refuse(event, f"have words and numbers as keys, got {shown(key)}")
            elif key in found:
                self._refuse(event, f"have every key once, got {shown(key)} again")
            else:
                found[key] = value
        return {**merged, **found}

    def _scalar(self, event: Any) -> Any:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._refuse(event, f"be without tags, got {event.tag}")
        text: str = event.value
        value = text
        if not event.style and event.tag is None:
            try:
                value = plain_value(text)
            except ValueError as error:
                self._refuse(event, f"{error}, got {shown(text)}")
        if isinstance(value, str) and len(text) > limits.TEXT_CHARACTERS:
            self._refuse(event, f"have texts of at most {limits.TEXT_CHARACTERS:,} characters, got {len(text):,}")
        return value

    def _spend(self, values: int, event: Any) -> None:
        self._count += values
        if self._count > limits.YAML_VALUES:
            self._refuse(event, f"have at most {limits.YAML_VALUES:,} values, including repeats by aliases, got more")

    def _refuse(self, event: Any, rule: str) -> NoReturn:
        raise ConfigError(Fault(f"{self._name}:{event.start_mark.line + 1}", f"must {rule}"))
