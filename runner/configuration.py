"""The configuration of one command: an experiment, its tracking, its figures, a sweep, and the settings of verbs.

    >>> configuration = parse(values)     # of the keys model, data, tracking, …; raises ConfigError with every fault
    >>> experiment, tracking = configuration.experiment, configuration.tracking

In YAML each part of the experiment, and each other part, is a top-level key.
"""

import functools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pydantic import Field, ValidationError, create_model

from runner.errors import ConfigError, Fault, must
from runner.experiment import Experiment, parse_as
from runner.faults import fault, first_causes
from runner.hosts import Distributed
from runner.layers.base import Shape
from runner.metrics import metric_of
from runner.records import R, Record, frozen
from runner.run_figures.settings import Figures
from runner.sweep.settings import Sweep
from runner.tracking.settings import Tracking

Records = Mapping[str, type[Record]]  # by verb, the record of its settings
_NONE: Records = MappingProxyType({})


@dataclass(frozen=True)
class Configuration:
    """A validated configuration. `verbs` has the given settings of verbs, by verb."""

    experiment: Experiment
    tracking: Tracking
    figures: Figures
    distributed: Distributed
    sweep: Sweep
    verbs: Mapping[str, Record]

    def settings(self, verb: str, kind: type[R]) -> R:
        """The settings of a verb, a record of type `kind`; its defaults if none were given."""
        found = self.verbs.get(verb, kind())
        assert isinstance(found, kind), "the settings of a verb were parsed as its own record"
        return found


class Layout(Experiment):
    """The whole configuration of one run. Each field is a group of `conf/`."""

    tracking: Tracking = Field(Tracking(), description="What is recorded in MLflow, and where.")
    figures: Figures = Field(Figures(), description="Which figures are drawn of each run.")
    distributed: Distributed = Field(Distributed(), description="The processes of one run, on one machine or several.")
    sweep: Sweep = Field(Sweep(), description="What a sweep varies, and how members are trained and compared.")

    def faults(self, data_shape: Shape, classes: int, vocabulary: int | None = None) -> list[Fault]:
        """What does not fit together, for data whose inputs have this shape, and are tokens if there are any."""
        found = super().faults(data_shape, classes, vocabulary) + self.sweep.faults() + self._unmeasured()
        if self.distributed.is_several and self.train.debug_nans:
            found.append(must("train.debug_nans", "be false for a run of several processes", True))
        return found + self.distributed.faults()

    def _unmeasured(self) -> list[Fault]:
        """The metrics that a sweep compares its members by, and that no member measures."""
        names = {recorded: metric_of(recorded) for recorded in self.sweep.metric}
        return [
            must("sweep.metric", "be measured, by train.metrics", recorded)
            for recorded, name in names.items()
            if name not in (None, *self.measured)
        ]


def layout(verbs: Records) -> type[Layout]:
    """The record of a whole configuration in YAML, with a key for each of these verbs."""
    return _layout(tuple(verbs.items()))


@functools.cache
def _layout(verbs: tuple[tuple[str, type[Record]], ...]) -> type[Layout]:
    fields: dict[str, Any] = {verb: (kind, Field(kind(), description=kind.__doc__)) for verb, kind in verbs}
    return create_model("Experiment", __base__=Layout, __doc__=Layout.__doc__, **fields)


def parse(config: dict[str, Any], block_library: Iterable[str] = (), verbs: Records = _NONE) -> Configuration:
    """The configuration of a plain mapping. Raises ConfigError with every fault.

    `block_library` names the available blocks. `verbs` may be lazy: only the records of verbs that are keys of the
    mapping are looked up, or all of them if another key is unknown.
    """
    others = [key for key in config if key not in Layout.model_fields]
    known = [key for key in others if key in verbs]
    used = {verb: verbs[verb] for verb in (sorted(known) if len(known) == len(others) else verbs)}
    found = parse_as(layout(used), config, block_library)
    return Configuration(
        experiment=Experiment.model_construct(**{name: getattr(found, name) for name in Experiment.model_fields}),
        tracking=found.tracking,
        figures=found.figures,
        distributed=found.distributed,
        sweep=found.sweep,
        verbs={verb: getattr(found, verb) for verb in used},
    )


def part(raw: dict[str, Any], name: str, kind: type[R]) -> R:
    """One part of a plain configuration alone. Raises ConfigError with every fault in it."""
    try:
        return kind.model_validate(frozen(raw.get(name) or {}))
    except ValidationError as error:
        items = first_causes(error.errors(include_url=False))
        raise ConfigError(*(fault({**item, "loc": (name, *item["loc"])}, raw) for item in items)) from None
