"""Members are composed once for all of a kind, and each comes to what Hydra composes for it alone."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any

import pytest
from configurations import TINY
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext, RunMode

from runner import cli, composition
from runner.composition import loading
from runner.composition.folders import Settled
from runner.composition.launching import Jobs, _without_hydra
from runner.composition.resolving import Resolved

BASE = (*TINY, "tracking.tags={seed: '${seed}', home: '${oc.env:PLACE}'}", "model.name='${data.name}-${seed}'")


@pytest.fixture
def context(monkeypatch: pytest.MonkeyPatch) -> Iterator[HydraContext]:
    monkeypatch.setenv("PLACE", "very-secret")
    GlobalHydra.instance().clear()
    composition.register()
    found: list[Any] = []

    class Started(Settled):
        def run(self, *arguments: Any, **named: Any) -> Any:
            from hydra.core.utils import setup_globals

            setup_globals()
            found.append(HydraContext(config_loader=self.config_loader, callbacks=None))  # type: ignore[arg-type]

    monkeypatch.setattr(loading, "Settled", Started)
    monkeypatch.setattr(sys, "argv", ["runner"])
    composition.look([], cli.parse, lambda job: 0)
    [own] = found
    yield own
    HydraConfig.instance().cfg = None


def jobs(context: HydraContext, lines: Sequence[Sequence[str]]) -> Jobs:
    config = context.config_loader.load_configuration("config", [], RunMode.MULTIRUN)
    config.hydra.mode = RunMode.MULTIRUN
    return Jobs(context, config, [composition.free([*BASE, *own]) for own in lines], 0)


def alone(found: Jobs, index: int) -> Resolved:
    return composition.resolve(_without_hydra(found._composed(found.overrides[index])))


def test_each_member_comes_to_what_it_comes_to_alone(context: HydraContext) -> None:
    lines = [
        ["seed=1", "optimizer=adam"],
        ["seed=2", "optimizer=sgd", "model.layers.0.conv.filters=2"],
        ["seed=3", "optimizer=adam"],
        ["seed='${train.epochs}'", "optimizer=adam"],  # an interpolation, in the place of a number
        ["seed=4", "optimizer=adam"],  # and a number in its place
        ["seed=5", "optimizer=adam", "model.name=mine"],
        ["seed=6", "optimizer=adam", "model.name='${oc.env:PLACE}'"],
        ["seed=7", "optimizer=adam", "model.name=null"],
        ["seed=8", "optimizer=sgd", "model.layers.0.conv.filters=3"],
        ["seed=9", "optimizer=adam", "model=resnet20_cifar"],
    ]
    found = jobs(context, lines)
    for index in [*range(len(lines)), *reversed(range(len(lines)))]:
        assert found.resolved(index) == alone(found, index), lines[index]
    assert found.resolved(2).values["model"]["name"] == "digits-3"
    assert found.resolved(6).from_environment[("model", "name")] == "${oc.env:PLACE}"


def calls(found: Jobs) -> Counter[str]:
    """How often what costs is called while all members are resolved: by function, in Hydra, OmegaConf and here."""
    counted: Counter[str] = Counter()
    watched = {"_load_configuration_impl", "to_container", "create", "parse_rule", "iterdir", "glob", "read_text"}

    def note(frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and frame.f_code.co_name in watched and "antlr4" not in frame.f_code.co_filename:
            counted[frame.f_code.co_name] += 1

    sys.setprofile(note)
    try:
        for index in range(len(found)):
            found.resolved(index)
            found.subfolder(index)
            composition.as_given((str(line.input_line) for line in found.overrides[index]), found.groups)
    finally:
        sys.setprofile(None)
    return counted


def test_a_thousand_members_are_composed_as_often_as_two(context: HydraContext) -> None:
    two, many = (jobs(context, [[f"seed={seed}"] for seed in range(count)]) for count in (2, 1000))
    assert calls(two) == calls(many)
