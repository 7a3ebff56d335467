"""What varies, as `sweep.space` and the command line say it, in Hydra's own grammar for overrides.

>>> space = read(["optimizer.learning_rate=tag(log,interval(1e-4,1e-1))", "seed=1,2"], Sweep(sampler="tpe"))
>>> list(space.dimensions)
['optimizer.learning_rate', 'seed']
"""

import graphlib
import math
from collections.abc import Iterator, Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException

from runner import overriding
from runner.errors import ConfigError, Fault, must
from runner.sweep import constraints
from runner.sweep.settings import Sweep
from runner.sweep.space import MOST_COMBINATIONS, Choice, Dimension, Interval, Space, leading


def read(arguments: Sequence[str], settings: Sweep, parser: OverridesParser | None = None) -> Space:
    """The space of `sweep.space` and a command line, which comes before it. Raises ConfigError with every fault.

    With a parser that knows the configurations, `glob(*)` stands for all of a group.
    """
    parser = parser or OverridesParser.create()
    said: dict[str, Override] = {}
    faults: list[Fault] = []
    for path, text in settings.space:
        if too_much := list(overriding.faults_of_entry(f"sweep.space.{path}", f"{path}={text}")):
            faults += too_much
            continue
        try:
            # Hydra's parser lets globs see the configurations where it is given a list.
            [said[path]] = parser.parse_overrides(
                [f"++{path}={text}" if "." in path or path == "seed" else f"{path}={text}"]
            )
        except HydraException:
            faults.append(must(f"sweep.space.{path}", "be what an override takes, such as interval(0, 1)", text))
    for override in parser.parse_overrides(list(arguments)):
        said[override.key_or_group] = override
    dimensions, fixed = {}, {}
    for path, override in said.items():
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
        order=tuple(said),
        conditions=dict(settings.conditions),
        zipped=settings.zip,
        constraints=settings.constraints,
    )
    faults += settings.faults() + _faults(space, settings)
    if faults:
        raise ConfigError(*faults)
    return space


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
            return must(
                "sweep.sampler", f"be one that can take {path} from an interval, such as tpe or random", sampler
            )
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


def _faults(space: Space, settings: Sweep) -> list[Fault]:
    """What does not fit together in a space."""
    faults = [*_condition_faults(space), *_zip_faults(space), *_constraint_faults(space)]
    if not faults and settings.sampler == "grid":
        count = math.prod(len(space.dimensions[path].written) for path in space.leaders())
        if count > MOST_COMBINATIONS:
            faults.append(must("sweep.space", f"have at most {MOST_COMBINATIONS} combinations", count))
    return faults


def _condition_faults(space: Space) -> Iterator[Fault]:
    known, leads = space.dimensions, leading(space.zipped)
    for path, where in space.conditions.items():
        place = f"sweep.conditions.{path}"
        if path not in known:
            yield must("sweep.conditions", "be of paths that vary", path)
        elif path in leads:
            yield must("sweep.conditions", f"be of {leads[path]}, the first of what varies together", path)
        for other, _ in where:
            if other == path:
                yield must(place, "speak of others", other)
            elif other not in known and other not in space.fixed:
                yield must(place, "speak of what the sweep varies or sets", other)
    waits = {
        path: {leads.get(other, other) for other, _ in where if other in known and other != path}
        for path, where in space.conditions.items()
    }
    try:
        graphlib.TopologicalSorter(waits).prepare()
    except graphlib.CycleError as error:
        yield must("sweep.conditions", "not wait for each other", " → ".join(reversed(error.args[1])))


def _zip_faults(space: Space) -> Iterator[Fault]:
    known, seen = space.dimensions, set[str]()
    for index, group in enumerate(space.zipped):
        place = f"sweep.zip[{index}]"
        if len(group) < 2 or any(path not in known for path in group):
            yield must(place, "list two or more paths that vary", group)
        elif len(set(group)) < len(group) or seen & set(group):
            yield must(place, "list paths that no other entry lists", group)
        elif len({len(known[path].written) for path in group}) > 1 or not known[group[0]].written:
            yield must(place, "list paths with as many values each", tuple(len(known[path].written) for path in group))
        else:
            seen |= set(group)


def _constraint_faults(space: Space) -> Iterator[Fault]:
    for index, constraint in enumerate(space.constraints):
        place = f"sweep.constraints[{index}]"
        try:
            spoken = constraints.names(constraint)
        except ValueError as error:
            yield Fault(place, str(error))
        else:
            for missing in sorted(spoken - set(space.dimensions) - set(space.fixed))[:1]:
                yield must(place, "speak of what the sweep varies or sets", missing)
