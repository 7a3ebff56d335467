"""Converts errors of Hydra, OmegaConf, YAML and Python about a configuration to faults: one line, with its place."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException

from runner.composition import corrections
from runner.composition.interpolations import TooMuchError
from runner.errors import ConfigError, ConvrunnerError, Fault, must, unknown

OWN_FOLDER: Final = "conf"
# The kind of `runner list` that has the files of a group.
LISTED_BY: Final = {name: f"{name}s" for name in ("model", "block", "experiment", "sweep", "optimizer", "schedule")} | {
    "data": "data"
}
_SEVERAL: Final = re.compile(r"(?:Ambiguous value for argument|Sweep parameters) '(.*)'(?: requires --multirun)?$")
_UNMATCHED: Final = re.compile(r"In '(.*)': Could not override '([^'@]*).*'\. No match in the defaults list")
_CHOSEN_TWICE: Final = re.compile(r"Multiple values for (\S+)\. To override a value use 'override (\S+): (.*)'$")


@contextmanager
def as_config_errors() -> Iterator[None]:
    """Converts errors of Hydra, OmegaConf, YAML and Python in the block to ConfigError."""
    try:
        yield
    except ConvrunnerError:
        raise
    except Exception as error:
        raise ConfigError(fault_of(error)) from error


def fault_of(error: Exception) -> Fault:
    """The fault for an error that was raised while a configuration was composed or resolved."""
    match error:
        case MissingConfigException():
            return _missing_fault(error)
        case OverrideParseException():
            return corrections.syntax_fault(error.override.removeprefix("++"))  # see `for_hydra`
        case TooMuchError():
            return Fault(_key(error), first_line(error.msg or error))
        case OmegaConfBaseException():
            return _resolution_fault(error)
        case HydraException():
            return _composition_fault(error)
        case _:
            return _python_fault(error)


def _missing_fault(error: MissingConfigException) -> Fault:
    name = (error.missing_cfg_file or "").removesuffix(".yaml")
    group, choice = corrections.group_and_choice(name.lstrip("/"))
    if not group or not error.options:
        return Fault("command line", f"must name a configuration that exists, got {name or first_line(error)}")
    own = corrections.choice_fault(group, choice)
    listing = f"runner list {LISTED_BY[group]}" if group in LISTED_BY else "runner train --help"
    return own or unknown(group, group.replace("/", " "), choice, error.options, listing=listing)


def _resolution_fault(error: OmegaConfBaseException) -> Fault:
    return Fault(_key(error), f"must be resolvable: {first_line(error.msg or error)}")


def _key(error: OmegaConfBaseException) -> str:
    return str(getattr(error, "full_key", None) or "configuration")


def _composition_fault(error: HydraException) -> Fault:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    causes = _causes(error)
    for cause in causes:
        if isinstance(cause, TooMuchError):
            return fault_of(cause)
    if lines and (several := _SEVERAL.match(lines[0])):
        return corrections.several_fault(several[1])
    if lines and (twice := _CHOSEN_TWICE.match(lines[0])):
        return Fault("defaults", f"must choose each group once: write - override /{twice[2]}: {twice[3]}")
    if lines and (unmatched := _UNMATCHED.match(lines[0])):
        rule = 'override a group of conf/ by its path, as in "override /optimizer: adam"'
        return must(f"{OWN_FOLDER}/{unmatched[1]}.yaml", rule, unmatched[2])
    refused = re.match(r"Could not override '([^']*)'", lines[0]) if lines else None
    if refused:
        return Fault(refused[1], "must be a value that exists" + (f" ({lines[-1]})" if len(lines) > 1 else ""))
    if lines and lines[0].startswith("Error merging override") and (override := _override(error)):
        return Fault(override.key_or_group, f"must be a place that exists ({first_line(causes[-1])})")
    reason = (lines[0] if lines else first_line(causes[-1])).replace("'++", "'")  # see `for_hydra`
    return Fault("command line", f"must compose, but {reason}")


def _python_fault(error: Exception) -> Fault:
    """The fault for an error of Python that Hydra and OmegaConf did not catch."""
    if override := _override(error):
        place, value = override.key_or_group or "command line", override.value()
        if str(error).startswith("Config group override"):
            return must(place, "be the name of a configuration", value)
        return Fault(place, f"must be a place that exists ({first_line(error)})")
    if isinstance(error, RecursionError) and (circle := _circle(error)):
        return Fault(f"{OWN_FOLDER}/{circle[0]}.yaml", f"must not be among its own defaults, got {' → '.join(circle)}")
    if isinstance(error, OSError) and error.filename:
        return must(str(error.filename), "be a place to write to", error.strerror)
    return Fault(OWN_FOLDER, f"must compose, but {first_line(error)}")


def _causes(error: BaseException) -> list[BaseException]:
    """The error and its chain of causes, the first cause last."""
    found = [error]
    while found[-1].__cause__ is not None:
        found.append(found[-1].__cause__)
    return found


def _override(error: BaseException) -> Any:
    """The override that Hydra was applying when the error was raised, or None."""
    value, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_globals.get("__name__", "").startswith("hydra."):
            value = trace.tb_frame.f_locals.get("override", value)
        trace = trace.tb_next
    return value


def _circle(error: BaseException) -> list[str]:
    """The files whose defaults name each other in a circle, the first one at both ends; empty if none do."""
    files: list[str] = []
    trace = error.__traceback__
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        if frame.f_code.co_name == "_create_defaults_tree_impl":  # of Hydra: called for each file below its parent
            file = str(frame.f_locals["root"].node.get_config_path())
            if file in files:
                return [*files[files.index(file) :], file]
            files.append(file)
    return []


def own_name(file: object) -> str:
    """The short path of a file for messages: `conf/model/x.yaml`, or the whole path outside of `conf/`."""
    inside = re.search(rf"(?:^|.*/)({OWN_FOLDER}/.*)", str(file))
    return inside[1] if inside else str(file)


def first_line(text: object) -> str:
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    return lines[0] if lines else type(text).__name__
