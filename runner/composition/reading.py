"""Reads the search space from `sweep.space` and the command line, in Hydra's grammar of overrides.

>>> space = read(["optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", "seed=1,2"], Sweep(sampler="tpe"))
>>> list(space.dimensions)
['optimizer.learning_rate', 'seed']
"""

import functools
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner.composition import overriding
from runner.errors import ConfigError, Fault, must, shown
from runner.sweep.settings import Sweep
from runner.sweep.space import Choice, Dimension, Interval, Space
from runner.training.member import Value


def read(arguments: Sequence[str], settings: Sweep, parser: OverridesParser | None = None) -> Space:
    """The space of `sweep.space` and a command line, which takes precedence. Raises ConfigError with all faults.

    If the parser has a configuration loader, `glob(*)` stands for all options of a group.
    """
    parser = parser or OverridesParser.create()
    overrides: dict[str, Override] = {}
    faults: list[Fault] = []
    for path, text in settings.space:
        if entry_faults := list(overriding.faults_of_entry(f"sweep.space.{path}", f"{path}={text}")):
            faults += entry_faults
            continue
        try:
            # parse_overrides, not parse_override: only the former expands globs.
            [overrides[path]] = parser.parse_overrides(
                [f"++{path}={text}" if "." in path or path == "seed" else f"{path}={text}"]
            )
        except HydraException:
            faults.append(must(f"sweep.space.{path}", "be the value of an override, such as interval(0, 1)", text))
    for override in parser.parse_overrides(list(arguments)):
        overrides[override.key_or_group] = override
    dimensions, fixed = {}, {}
    for path, override in overrides.items():
        if not override.is_sweep_override():
            fixed[path] = str(override.input_line)
            continue
        found = _dimension(path, override, settings.sampler)
        if isinstance(found, Fault):
            faults.append(found)
        else:
            dimensions[path] = found
    space = Space(
        dimensions=dimensions,
        fixed=fixed,
        order=tuple(overrides),
        conditions=dict(settings.conditions),
        zipped=settings.zip,
        constraints=settings.constraints,
        typed=typed,
    )
    faults += settings.faults() + space.faults(settings.sampler)
    if faults:
        raise ConfigError(*faults)
    return space


@functools.lru_cache(maxsize=100_000)
def typed(text: str) -> Value:
    """Converts a text as Hydra does: 0.1 to a number, true to a bool, relu to a string."""
    try:
        value: Any = OverridesParser.create().parse_override(f"a={text}").value()
    except HydraException:
        return text
    return value if isinstance(value, int | float | str | None) else shown(value)


def _dimension(path: str, override: Override, sampler: str) -> Dimension | Fault:
    text = str(override.input_line).partition("=")[2]
    prefix = str(override.get_key_element()).removesuffix(path)
    sweep = override.value()
    values: Choice | Interval
    if isinstance(sweep, IntervalSweep):
        low, high = sweep.start, sweep.end
        assert low is not None
        assert high is not None
        log, whole = "log" in sweep.tags, isinstance(low, int) and isinstance(high, int)
        if not low < high or (log and low <= 0):
            return must(f"sweep.space.{path}", "go from a number to a larger one" + (" above 0" if log else ""), text)
        if sampler == "grid":
            return must("sweep.sampler", f"be one that supports the interval of {path}, such as tpe or random", sampler)
        return Dimension(path, prefix, text, Interval(float(low), float(high), log, whole), ())
    written = tuple(override.sweep_string_iterator())
    if not written:
        return must(f"sweep.space.{path}", "have values", text)
    values = Choice(written)
    if isinstance(sweep, RangeSweep) and not sweep.shuffle and sweep.start is not None and len(written) > 1:
        numbers = [float(value) for value in written]
        step = numbers[1] - numbers[0]
        if step > 0:
            whole = all(value.lstrip("-").isdigit() for value in written)
            log = "log" in sweep.tags and whole and step == 1 and numbers[0] > 0
            values = Interval(numbers[0], numbers[-1], log, whole, step)
    return Dimension(path, prefix, text, values, written)
