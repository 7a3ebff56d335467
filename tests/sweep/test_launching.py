"""Members are composed once for all of a kind, and each comes to what Hydra composes for it alone."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from types import FrameType
from typing import Any, NamedTuple

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import setup_globals
from hydra.errors import HydraException
from hydra.types import HydraContext, RunMode
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from runner import composition
from runner.composition.launching import Jobs
from runner.errors import ConfigError

BASE = (
    "data.limit=160",
    "train.epochs=2",
    "tracking.tags={seed: '${seed}', home: '${oc.env:PLACE}'}",
    "model.name='${data.name}-${seed}'",
)


class Launched(NamedTuple):
    """What Hydra hands to a launcher."""

    context: HydraContext
    config: DictConfig

    def jobs(self, lines: Sequence[Sequence[str]]) -> Jobs:
        return Jobs(self.context, self.config, [composition.for_hydra([*BASE, *own]) for own in lines], 0)

    def alone(self, jobs: Jobs, index: int) -> DictConfig | None:
        """The whole configuration of a job as Hydra's own launcher composes it; None where Hydra refuses it."""
        lines = [str(override.input_line) for override in jobs.overrides[index]]
        try:
            found: DictConfig = self.context.config_loader.load_sweep_config(self.config, lines)
        except Exception:  # noqa: BLE001 - besides its own errors, Hydra lets those of Python through
            return None
        with open_dict(found):
            found.hydra.job.id = found.hydra.job.num = index
            found.hydra.sweep.dir = str(jobs.folder)
        return found


@pytest.fixture(scope="module")
def launched() -> Iterator[Launched]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLACE", "very-secret")
        GlobalHydra.instance().clear()
        composition.register()
        with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
            setup_globals()
            loader = GlobalHydra.instance().config_loader()
            config = loader.load_configuration("config", [], RunMode.MULTIRUN)
            config.hydra.mode = RunMode.MULTIRUN
            yield Launched(HydraContext(config_loader=loader, callbacks=None), config)  # type: ignore[arg-type]
        HydraConfig.instance().cfg = None


def own_part(config: DictConfig) -> dict[str, Any] | None:
    """Plain containers of a configuration without Hydra's part, resolved; None where an interpolation leads nowhere."""
    with open_dict(config):
        del config["hydra"]
    try:
        found: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except OmegaConfBaseException:
        return None
    return {str(key): value for key, value in found.items()}


def as_hydra_has_it(values: dict[str, Any], hydra: dict[str, Any]) -> dict[str, Any]:
    """A configuration without the blocks that the library added to those of Hydra's."""
    model, its = values.get("model"), hydra.get("model")
    if not isinstance(model, dict) or not isinstance(its, dict) or not isinstance(model.get("blocks"), dict):
        return values
    blocks = {name: block for name, block in model["blocks"].items() if name in (its.get("blocks") or {})}
    own = {key: blocks or its.get(key) if key == "blocks" else value for key, value in model.items()}
    return values | {"model": {key: value for key, value in own.items() if key in its}}


def check(launched: Launched, jobs: Jobs, order: Sequence[int]) -> list[bool]:
    """Holds jobs against Hydra's own, in an order that may repeat some. Returns whether both take them."""
    alone = {index: launched.alone(jobs, index) for index in set(order)}
    whole = {index: OmegaConf.to_container(found) for index, found in alone.items() if found is not None}
    wanted = {index: None if found is None else own_part(found) for index, found in alone.items()}
    taken = []
    for index in order:
        try:
            values = jobs.resolved(index).values
        except ConfigError:
            values = None
        its = wanted[index]
        taken.append(its is not None)
        assert (values is None) == (its is None)
        if values is not None and its is not None:
            # `repr` tells 1 from 1.0 and true, and the order of keys.
            assert repr(as_hydra_has_it(values, its)) == repr(its)
            assert repr(OmegaConf.to_container(jobs.config(index))) == repr(whole[index])
    return taken


def test_each_member_comes_to_what_it_comes_to_alone(launched: Launched) -> None:
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
    jobs = launched.jobs(lines)
    forth = range(len(lines))
    assert all(check(launched, jobs, [*forth, *reversed(forth)]))
    assert jobs.resolved(2).values["model"]["name"] == "digits-3"
    assert jobs.resolved(6).from_environment[("model", "name")] == "${oc.env:PLACE}"


NUMBERS = ("0", "3", "-1", "0.5", "1e-3", ".5", "1_000", "010", "inf", "nan", "'3'", '"1e3"', "true", "null", "NULL")
TEXTS = ("abc", "a-b", "'a b'", '"it\'s"', r"a\,b", "''", "'null'", "a:b", "é", "'${'", r"'\${seed}'", "3_conv")
REFERENCES = (
    "${seed}", "'${train.epochs}'", "'${oc.env:PLACE}'", "'x-${model.name}'", "'${.name}'", "'${nothing}'",
    "'${oc.decode:\"[1, 2]\"}'", "'${oc.env:NOWHERE,3}'", "'${model.layers}'", "'${optimizer}'", "'${seed}${seed}'",
)  # fmt: skip
NESTED = (
    "[]", "[1, 2]", "{}", "{a: 1}", "{a: {b: '${seed}'}}", "[relu, {dropout: {rate: 0.5}}]", "{lr: '1e3', 3: x}",
    "[flatten, classifier]", "[{conv_bn_act: {filters: 3}}, flatten, classifier]",
)  # fmt: skip
KEYS = (
    "seed", "train.epochs", "optimizer.learning_rate", "optimizer.b1", "model.name", "data.name", "model.layers",
    "model.layers.0.conv.filters", "model.layers.0", "model.layers.1", "model.layers.0.conv.padding", "model.layers.99",
    "model.layers.relu", "model.blocks", "model.blocks.mine", "train", "train.clip.norm", "augment.cutout.size",
    "tracking.tags", "tracking.tags.seed", "new", "new.key.below", "seed.below", "data.root", "sweep.metric",
)  # fmt: skip
CHOICES = (
    "optimizer=adam", "optimizer=sgd", "optimizer=nothing", "model=lenet5", "model=resnet20_cifar", "loss=hinge",
    "augment=cutout", "augment=[cutout,mixup]", "+debug=fast", "debug=nan", "+experiment=textbook", "schedule=constant",
    "~augment", "~loss", "~optimizer=adam", "~new", "~seed", "~train.epochs", "~data.limit=160", "+optimizer=adam",
    "loss@other=hinge", "++model.name@x=3", "optimizer={name: sgd, learning_rate: 0.1}", "model@model=lenet5",
)  # fmt: skip

values = st.sampled_from((*NUMBERS, *TEXTS, *REFERENCES, *NESTED)) | st.integers().map(str) | st.floats().map(repr)
# How a line begins, and what follows: so that the members of a batch can share the places in which they differ.
places = st.tuples(st.sampled_from(("", "", "", "+", "++")), st.sampled_from(KEYS)).map("".join)


@st.composite
def batches(draw: st.DrawFn) -> list[list[str]]:
    """Jobs that give other values to the same places, and some of them choices and places of their own."""
    shared = draw(st.lists(places, max_size=3))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        own = [f"{place}={draw(values)}" for place in shared]
        own += draw(st.lists(st.sampled_from(CHOICES) | st.tuples(places, values).map("=".join), max_size=2))
        found.append(own)
    return found


def is_read(line: str) -> bool:
    """Whether a line is one of Hydra's overrides; a command line with another is refused before any job."""
    try:
        [override] = OverridesParser.create().parse_overrides(composition.for_hydra([line]))
    except HydraException:
        return False
    return not override.is_sweep_override()


@pytest.mark.slow
@settings(max_examples=6)
@given(batches())
@example([["model.layers=[{conv_bn_act: {filters: 3}}, flatten, classifier]"], ["model.layers=[flatten, classifier]"]])
@example([["seed='${train.epochs}'", "~augment"], ["seed={a: 1}", "~augment"]])
@example([["new=1", "new.below=2"], ["train.epochs=3", "~train.epochs"]])
@example([["model.layers.relu=1"], ["model.layers.99=1"], ["seed.below=1"]])
def test_whatever_a_sweep_overrides_comes_to_what_hydra_composes(launched: Launched, lines: list[list[str]]) -> None:
    jobs = launched.jobs([[line for line in own if is_read(line)] for own in lines])
    check(launched, jobs, [*range(len(jobs)), 0])  # the first once more, after the others


@pytest.mark.slow  # Hydra composes some hundred configurations
@settings(max_examples=150)
@given(batches())
def test_whatever_else_a_sweep_overrides_comes_to_what_hydra_composes(
    launched: Launched, lines: list[list[str]]
) -> None:
    jobs = launched.jobs([[line for line in own if is_read(line)] for own in lines])
    check(launched, jobs, [*range(len(jobs)), 0])


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
            composition.as_typed((str(line.input_line) for line in found.overrides[index]), found.groups)
    finally:
        sys.setprofile(None)
    return counted


def test_a_hundred_members_are_composed_as_often_as_two(launched: Launched) -> None:
    two, many = (launched.jobs([[f"seed={seed}"] for seed in range(count)]) for count in (2, 100))
    assert calls(two) == calls(many)
