"""Which members share a compiled program, and in which mode a group of them is trained."""

import itertools
from pathlib import Path

import pytest
from configurations import TINY, composed, here, parse
from PIL import Image

from runner import cores, weights
from runner.errors import ConfigError
from runner.placement import Placement
from runner.sweep.engines import check_strategy, mode_of
from runner.sweep.engines.groups import Datasets, Group, grouped
from runner.sweep.members import Proposed, validated
from runner.training.alone import Training
from runner.training.member import Context, Member, Value
from runner.training.plan import planned

BUSY = (
    *TINY,
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, flatten, {dropout: {rate: 0.2}}, classifier]",
    "train.epochs=3",
)


def members(*changes: dict[str, Value]) -> list[Member]:
    proposed = []
    for number, change in enumerate(changes):
        experiment = parse(composed(*BUSY, *(f"{key}={value}" for key, value in change.items())))
        proposed.append(
            Proposed(number, change, experiment, Context(Path(), command="runner -m", tags={"sweep": "mine"}))
        )
    return validated(proposed)


def groups(*changes: dict[str, Value]) -> list[Group]:
    return grouped(members(*changes), Datasets(lambda line: None))


def test_groups_are_structures() -> None:
    found = groups(
        {"optimizer.learning_rate": 0.01},
        {"seed": 3},
        {"train.epochs": 2},
        {"model.layers.3.dropout.rate": 0.5},
        {"model.layers.0.conv.filters": 5},
        {"train.batch_size": 16},
        {"model.width": 2},
    )
    assert [[member.number for member in group.members] for group in found] == [[0, 1, 2, 3], [4], [5], [6]]
    # Those that take other steps cannot go in step.
    assert [[member.number for member in part] for part in found[0].lockstep] == [[0, 1, 3], [2]]


def test_members_that_read_other_windows_of_files_do_not_share_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CONVRUNNER_CACHE", str(tmp_path / "cache"))
    for name, grey in itertools.product(("dark", "light"), range(40)):
        (tmp_path / name).mkdir(exist_ok=True)
        Image.new("L", (12, 9), grey + 100 * (name == "light")).save(tmp_path / name / f"{grey}.png")
    files: dict[str, Value] = {"data": "folder", "data.root": str(tmp_path), "data.limit": "null"}
    files |= {"data.image": "{height: 8, width: 8, channels: 1}", "augment.random_resized_crop": "{original: true}"}
    areas = ({}, {"augment.random_resized_crop.least_area": 0.5}, {"optimizer.learning_rate": 0.01})
    [group] = groups(*(files | area for area in areas))
    assert [[member.number for member in part] for part in group.lockstep] == [[0, 2], [1]]


def test_members_are_named_so_that_values_are_told_apart() -> None:
    first, second = members(
        {"model.layers.0.conv.filters": 5, "model.layers.3.dropout.rate": 0.5, "seed": 1},
        {"model.layers.0.conv.filters": 5, "model.layers.0.conv.kernel_size": 1},
    )
    assert (first.name, first.title) == ("filters=5 rate=0.5 seed=1", "tiny filters=5 rate=0.5 seed=1")
    assert second.name == "filters=5 kernel_size=1"
    one = Proposed(0, {"optimizer.learning_rate": 0.1}, first.experiment, Context(Path()))
    [named] = validated([one], ["optimizer.learning_rate", "schedule.learning_rate"])
    assert named.name == "optimizer.learning_rate=0.1"
    assert named.title == "tiny optimizer.learning_rate=0.1"


def test_members_that_begin_with_a_file_are_not_mapped_with_those_that_do_not(tmp_path: Path) -> None:
    experiment = parse(composed(*BUSY))
    plan = planned(experiment, Datasets(lambda line: None).of(experiment), here())
    path = tmp_path / "weights.safetensors"
    weights.save(path, *Training(plan).learnt)
    [group] = groups({"seed": 1}, {"model.weights": str(path)}, {"seed": 2})
    assert [[member.number for member in part] for part in group.lockstep] == [[0, 2], [1]]


def test_auto_maps_on_accelerators_and_uses_threads_on_a_cpu_if_steps_are_small(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [group] = groups({"seed": 1}, {"seed": 2})
    monkeypatch.setattr(cores, "available", lambda: 2)
    assert mode_of("auto", group) == "threaded"
    assert mode_of("loop", group) == "sequential"
    monkeypatch.setattr(cores, "available", lambda: 1)
    assert mode_of("auto", group) == "sequential"
    monkeypatch.setattr(Placement, "platform", "gpu")
    assert mode_of("auto", group) == "vmapped"
    assert mode_of("parallel", group) == "threaded"


@pytest.mark.parametrize(("setting", "value"), [("debug_nans", "true"), ("profile", "2")])
def test_what_changes_jax_for_the_whole_process_needs_sequential_members(setting: str, value: str) -> None:
    changes = [{"seed": 1, f"train.{setting}": value}, {"seed": 2, f"train.{setting}": value}]
    [group] = groups(*changes)
    assert mode_of("auto", group) == "sequential"
    check_strategy(group.members, "auto")
    check_strategy(group.members, "loop")
    with pytest.raises(ConfigError) as caught:
        check_strategy(group.members, "vmap")
    assert str(caught.value) == f"sweep.strategy: must be auto or loop with train.{setting}, got vmap"


def test_the_experiment_of_a_member_is_what_its_configuration_says() -> None:
    [one] = members({"optimizer.learning_rate": 0.003, "seed": 1})
    assert one.experiment == parse(composed(*BUSY, "optimizer.learning_rate=0.003", "seed=1"))
    assert (one.title, one.name) == ("tiny learning_rate=0.003 seed=1", "learning_rate=0.003 seed=1")
    assert one.context.tags == {"sweep": "mine"}
