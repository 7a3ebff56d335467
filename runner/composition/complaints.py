"""One line for each complaint of Hydra, OmegaConf, YAML and Python about a configuration, with its place."""

import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from runner.composition.interpolations import TooMuchError
from runner.errors import ConfigError, ConvrunnerError, Fault, must, unknown

OWN_FOLDER: Final = "conf"
_PATH: Final = re.compile(r"[+~]{0,2}[A-Za-z_][\w./@-]*")
_CHOICE_WITH_NULL: Final = re.compile(r"choice\((.*\bnull\b.*)\)")
# A list, a mapping, a function or a text in quotes that cannot be read has another fault than missing quotes.
_STRUCTURED: Final = re.compile(r"""\s*(?:[\[{'"]|\w+\()""")


@contextmanager
def as_config_errors() -> Iterator[None]:
    """Raises ConfigError in place of what Hydra, OmegaConf, YAML and Python raise about what a user wrote."""
    try:
        yield
    except ConvrunnerError:
        raise
    except Exception as error:
        raise ConfigError(fault_of(error)) from error


def fault_of(error: Exception) -> Fault:
    """What is wrong, and where, by an error that was raised while a configuration was composed or resolved."""
    match error:
        case MissingConfigException():
            return _missing(error)
        case OverrideParseException():
            return _unparsed(error.override.removeprefix("++"))  # see `for_hydra`
        case TooMuchError():
            return Fault(_key(error), first_line(error.msg or error))
        case OmegaConfBaseException():
            return _unresolved(error)
        case HydraException():
            return _composed(error)
        case _:
            return _stumbled(error)


def _missing(error: MissingConfigException) -> Fault:
    name = (error.missing_cfg_file or "").removesuffix(".yaml")
    group, _, choice = name.rpartition("/")
    if not group or not error.options:
        return Fault("command line", f"must name a configuration that exists, got {name or first_line(error)}")
    return unknown(group.lstrip("/"), group.lstrip("/").replace("/", " "), choice, error.options)


def _unparsed(override: str) -> Fault:
    """An override that Hydra's grammar cannot read, with the form of it that can be read."""
    path, _, value = override.partition("=")
    if _PATH.fullmatch(path) and (listed := _CHOICE_WITH_NULL.fullmatch(value)):
        return must(path, f"be written as {shlex.quote(f'{path}={listed[1]}')}, as choice() takes no null", value)
    if _PATH.fullmatch(path) and value.strip() and not _STRUCTURED.match(value):
        quoted = f"{path}={QuotedString(value, Quote.double).with_quotes()}"
        return must(path, f"stand in quotes, as in {shlex.quote(quoted)}", value)
    return must("command line", "be made of overrides such as train.epochs=5", override)


def _unresolved(error: OmegaConfBaseException) -> Fault:
    return Fault(_key(error), f"must be resolvable: {first_line(error.msg or error)}")


def _key(error: OmegaConfBaseException) -> str:
    return str(getattr(error, "full_key", None) or "configuration")


def _composed(error: HydraException) -> Fault:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, TooMuchError):
            return fault_of(cause)
    refused = re.match(r"Could not override '([^']*)'", lines[0]) if lines else None
    if refused:
        return Fault(refused[1], "must be a value that exists" + (f" ({lines[-1]})" if len(lines) > 1 else ""))
    if lines and lines[0].startswith("Error merging override") and (override := _override(error)):
        return Fault(override.key_or_group, f"must be a place that exists ({first_line(causes[-1])})")
    said = (lines[0] if lines else first_line(causes[-1])).replace("'++", "'")  # see `for_hydra`
    return Fault("command line", f"must compose, but {said}")


def _stumbled(error: Exception) -> Fault:
    """What Hydra and OmegaConf do not expect, so that it is one of Python's own errors."""
    if override := _override(error):
        place, value = override.key_or_group or "command line", override.value()
        if str(error).startswith("Config group override"):
            return must(place, "be the name of a configuration", value)
        return Fault(place, f"must be a place that exists ({first_line(error)})")
    if isinstance(error, OSError) and error.filename:
        return must(str(error.filename), "be a place to write to", error.strerror)
    return Fault(OWN_FOLDER, f"must compose, but {first_line(error)}")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and what led to it, the first cause last."""
    found = [error]
    while found[-1].__cause__ is not None:
        found.append(found[-1].__cause__)
    return found


def _override(error: BaseException) -> Any:
    """The override that Hydra applied where the error was raised; None where it applied none."""
    value, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("hydra."):
            value = trace.tb_frame.f_locals.get("override", value)
        trace = trace.tb_next
    return value


def own_name(file: object) -> str:
    """A file as a user calls it: `conf/model/x.yaml`, or its whole path where it lies in no `conf/`."""
    inside = re.search(rf"(?:^|.*/)({OWN_FOLDER}/.*)", str(file))
    return inside[1] if inside else str(file)


def first_line(text: object) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else type(text).__name__
