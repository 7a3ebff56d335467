"""A run in the processes after the first: they train and evaluate their share of every batch, and write nothing."""

from runner import data, hosts, placement
from runner.data import Dataset
from runner.experiment import Experiment
from runner.observers.checkpointer import Checkpointer, settings_of
from runner.observers.parting import Parting
from runner.training.alone import Snapshot
from runner.training.driver import NOTHING, train
from runner.training.member import Context, Member
from runner.training.observer import Events
from runner.training.outcome import Outcome
from runner.training.plan import Plan, planned


def follow(experiment: Experiment, context: Context) -> Outcome:
    """Takes part in the run of the first process. Raises ConvrunnerError."""
    agree_on_settings(experiment)
    settings = experiment.train
    here = placement.choose(settings.device, count=settings.device_count, keep_memory=settings.keep_memory)
    member, checkpointer = Member(0, "", experiment, context), Checkpointer()
    snapshots: list[Snapshot | None] = []

    def plan_of(member: Member) -> Plan:
        dataset = data.load(experiment.source)
        plan = planned(experiment, dataset, here)
        snapshots.append(checkpointer.alone(member, plan))
        agree_on_beginning(dataset, plan, snapshots[0])
        return plan

    earlier = NOTHING._replace(alone=lambda *_: snapshots[0])
    [ended] = train([member], plan_of, Events([Parting()]), earlier=earlier)
    if ended.error is not None:
        raise ended.error
    return ended.outcome


def agree_on_settings(experiment: Experiment) -> None:
    """Raises ConfigError if the processes would not train the same."""
    settings = settings_of(experiment)
    hosts.agree(settings | {"train.epochs": str(experiment.train.epochs)})


def agree_on_beginning(dataset: Dataset, plan: Plan, snapshot: Snapshot | None) -> None:
    """Raises ConfigError if the processes have not the same data, or would not go on from the same step."""
    mean, std = plan.program.mean, plan.program.std
    step = 0 if snapshot is None else int(snapshot.state.step)
    found = {"data": dataset.digest[:12], "data.mean": repr(mean), "data.std": repr(std), "checkpoint": f"step {step}"}
    hosts.agree(found)
