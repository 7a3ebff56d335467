"""What an override may cost: how long it is, how deep its brackets are, and how many values it lists for a sweep."""

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
    """Raises ConfigError for an override that Hydra's parser should not be given."""
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
    """How many values an override lists for a sweep, without listing them; 1 where it lists none."""
    sweep = override.value()
    if isinstance(sweep, RangeSweep):
        start, stop, step = sweep.start or 0, sweep.stop, sweep.step
        steps = (stop - start) / step if stop is not None and step else 0.0
        if not math.isfinite(steps):
            return limits.SWEEP_VALUES + 1
        return max(0, math.ceil(steps))
    return len(sweep.list) if isinstance(sweep, ChoiceSweep) else 1


def check_counts(parsed: Iterable[Override]) -> None:
    """Raises ConfigError where an entry of a sweep lists too many values. What they multiply to is the sampler's."""
    faults = [fault for override in parsed for fault in _count_faults(override.key_or_group, override)]
    if faults:
        raise ConfigError(*faults)


def combinations_fault(parsed: Iterable[Override]) -> Iterator[Fault]:
    """What is too much for a sweeper that makes a list of every combination first, as Hydra's own does."""
    total = math.prod(count(override) for override in parsed)
    if total > limits.SWEEP_VALUES:
        yield must("command line", f"have at most {limits.SWEEP_VALUES:,} combinations", f"{total:,}")


def _count_faults(place: str, override: Override) -> Iterator[Fault]:
    if override.is_sweep_override() and (values := count(override)) > limits.SWEEP_VALUES:
        yield must(place, f"list at most {limits.SWEEP_VALUES:,} values (an interval lists none)", f"{values:,}")


def faults_of_entry(place: str, text: str) -> Iterator[Fault]:
    """What is too much in an entry of a sweep that YAML holds; what Hydra cannot parse is told where it is used."""
    try:
        check_text(text, place)
        yield from _count_faults(place, OverridesParser.create().parse_override(text))
    except ConfigError as error:
        yield from error.faults
    except HydraException:
        pass
