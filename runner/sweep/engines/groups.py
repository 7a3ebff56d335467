"""Groups members that share a compiled program: those whose programs have equal structure."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax

from runner import data
from runner.data import Dataset, copies
from runner.data.source import Source
from runner.edits import explained
from runner.errors import ConfigError
from runner.experiment import Experiment
from runner.placement import Placement, choose
from runner.sweep.members import Faults
from runner.training.member import Member
from runner.training.plan import planned

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Group:
    """Members of one structure on one device; `lockstep` lists those that take the same steps on the same images."""

    placement: Placement
    members: tuple[Member, ...]
    lockstep: tuple[tuple[Member, ...], ...]
    multiply_adds: int  # of one batch through the network, forwards

    def __len__(self) -> int:
        return len(self.members)


class Datasets:
    """Data sets that members share: each source is read once."""

    def __init__(self, report: Callable[[str], None]) -> None:
        self._report = report
        self._read: dict[Source, Dataset] = {}

    def of(self, experiment: Experiment) -> Dataset:
        """The data of an experiment. Raises DataError."""
        source = experiment.source
        if source not in self._read:
            self._read[source] = dataset = data.load(source, report=self._report)
            if found := copies.summary(dataset.leaks):
                _log.warning("%s (%s)", found, copies.ADVICE)
        return self._read[source]


def grouped(members: Sequence[Member], datasets: Datasets) -> list[Group]:
    """Groups members by compiled program, in the order of first members. Checks each against its data.

    Raises ConfigError with every fault of every member that does not fit its data.
    """
    faults = Faults()
    found: dict[tuple[Placement, object], dict[tuple[object, ...], list[Member]]] = {}
    costs: dict[tuple[Placement, object], int] = {}
    placements: dict[str, Placement] = {}
    for member in members:
        experiment = member.experiment
        device = experiment.train.device
        if device not in placements:
            placements[device] = choose(device, keep_memory=experiment.train.keep_memory)
        here = placements[device]
        here.use()
        try:
            plan = planned(experiment, datasets.of(experiment), here)
        except ConfigError as error:
            faults.note(member.number, member.name, explained(error, member.context.editors))
            continue
        key = (here, plan.structure)
        settings = experiment.train
        given = jax.tree.structure(plan.given)  # members with and without a weights file are mapped separately
        weighted = plan.class_weights is not None
        # Streamed images are decoded once for members that see them, or the same windows of them, in one order.
        seen = (experiment.seed, settings.sampling, plan.windows(1))
        order = seen if plan.dataset.train.streamed else None
        steps = (
            id(plan.dataset),
            plan.total_steps,
            settings.evaluation_batch_size,
            settings.keep,
            given,
            weighted,
            order,
        )
        found.setdefault(key, {}).setdefault(steps, []).append(member)
        costs[key] = plan.totals.multiply_adds * settings.batch_size
    faults.raise_any(len(members))
    return [
        Group(
            placement=key[0],
            members=tuple(sorted((member for part in parts.values() for member in part), key=lambda one: one.number)),
            lockstep=tuple(tuple(part) for part in parts.values()),
            multiply_adds=costs[key],
        )
        for key, parts in found.items()
    ]
