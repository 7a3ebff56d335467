"""Limits for overrides: their length, the depth of their brackets, and the number of values that they list."""

import math
import re
from collections.abc import Iterable, Iterator
from typing import Final

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner import limits
from runner.errors import ConfigError, Fault, must

_BRACKETS: Final = re.compile(r"\\.|'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"|[\[\](){}]", re.DOTALL)


def check_text(text: str, place: str = "command line") -> None:
    """Raises ConfigError for an override that is too long or too deep for Hydra's parser."""
    text = text.removeprefix("++")  # see `spelling.for_hydra`
    shown = text[:40]
    if len(text) > limits.TEXT_CHARACTERS:
        rule = f"have overrides of at most {limits.TEXT_CHARACTERS:,} characters"
        raise ConfigError(Fault(place, f"must {rule}, got {len(text):,}: {shown}..."))
    depth = 0
    for token in _BRACKETS.findall(text):
        depth += (token in "[({") - (token in "])}")
        if depth > limits.YAML_DEPTH:
            rule = f"have at most {limits.YAML_DEPTH} brackets inside one another"
            raise ConfigError(Fault(place, f"must {rule}, got more: {shown}..."))


def count(override: Override) -> int:
    """The number of values that an override lists for a sweep, computed without listing them; 1 if it lists none."""
    sweep = override.value()
    if isinstance(sweep, RangeSweep):
        start, stop, step = sweep.start or 0, sweep.stop, sweep.step
        steps = (stop - start) / step if stop is not None and step else 0.0
        if not math.isfinite(steps):
            return limits.SWEEP_VALUES + 1
        return max(0, math.ceil(steps))
    return len(sweep.list) if isinstance(sweep, ChoiceSweep) else 1


def check_counts(parsed: Iterable[Override]) -> None:
    """Raises ConfigError if an override lists too many values. The sampler limits the number of combinations."""
    faults = [fault for override in parsed for fault in _count_faults(override.key_or_group, override)]
    if faults:
        raise ConfigError(*faults)


def combinations_fault(parsed: Iterable[Override]) -> Iterator[Fault]:
    """The fault of too many combinations for a sweeper that first lists them all, as Hydra's own does."""
    total = math.prod(count(override) for override in parsed)
    if total > limits.SWEEP_VALUES:
        yield must("command line", f"have at most {limits.SWEEP_VALUES:,} combinations", f"{total:,}")


def _count_faults(place: str, override: Override) -> Iterator[Fault]:
    if override.is_sweep_override() and (values := count(override)) > limits.SWEEP_VALUES:
        yield must(place, f"list at most {limits.SWEEP_VALUES:,} values (an interval lists none)", f"{values:,}")


def faults_of_entry(place: str, text: str) -> Iterator[Fault]:
    """The faults of limits in an entry of a sweep in YAML. Entries that Hydra cannot parse are reported on use."""
    try:
        check_text(text, place)
        yield from _count_faults(place, OverridesParser.create().parse_override(text))
    except ConfigError as error:
        yield from error.faults
    except HydraException:
        pass
