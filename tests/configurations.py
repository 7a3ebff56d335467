"""Configurations as users compose them, and ways to spoil them: for tests of what stands on a whole experiment."""

import copy
import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from runner import cli, composition, data
from runner.command import Command
from runner.composition.complaints import as_config_errors
from runner.configuration import Configuration
from runner.data import Dataset, Examples
from runner.errors import ConfigError
from runner.experiment import Experiment
from runner.placement import Placement
from runner.tracking import Tracking
from runner.training.alone import Training
from runner.training.plan import planned

# A network that compiles in a moment, on few of the embedded digits.
TINY = (
    "model.name=tiny",
    "model.input=null",
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, relu, {max_pool: {size: 2}}, flatten, classifier]",
    "data.limit=160",
    "train.batch_size=32",
    "train.epochs=2",
    "tracking.enabled=false",
)


UNTRACKED = Tracking(enabled=False)


@functools.cache
def _chosen(choices: tuple[str, ...]) -> DictConfig:
    with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
        return compose("config", overrides=composition.for_hydra(list(choices)))


@functools.cache
def _composed(overrides: tuple[str, ...]) -> dict[str, Any]:
    # Hydra reads all files for each composition, which takes most of a short test. Only choices of groups name files;
    # the values are put in afterwards, as Hydra does it.
    values = [override for override in overrides if re.match(r"\w+\.[\w.]+=", override)]
    config = copy.deepcopy(_chosen(tuple(override for override in overrides if override not in values)))
    for override in OverridesParser.create().parse_overrides(composition.for_hydra(values)):
        OmegaConf.update(config, override.key_or_group, override.value(), force_add=True)
    return composition.plain(config)


def composed(*overrides: str) -> dict[str, Any]:
    """The configuration of a command line, as plain containers of the caller's own."""
    return copy.deepcopy(_composed(overrides))


def command(*arguments: str) -> Command:
    """The command of these arguments."""
    return cli.read(arguments)


def parse(config: dict[str, Any], library: Iterable[str] = ()) -> Experiment:
    """The experiment of a whole configuration in plain containers."""
    return command().parse(config, library).experiment


def configured(*overrides: str) -> Configuration:
    """The configuration of a command line."""
    return command().parse(composed(*overrides))


def experiment(*overrides: str) -> Experiment:
    """The experiment of a command line."""
    return parse(composed(*overrides))


def tiny(*overrides: str) -> Experiment:
    """A network of 4 filters on 160 digits, changed by overrides."""
    return experiment(*TINY, *overrides)


def here() -> Placement:
    """Where tests train."""
    return Placement(jax.devices()[0])


def begun(experiment: Experiment, dataset: Dataset | None = None) -> Training:
    """The training of an experiment before its first step, on its own data or those given."""
    return Training(planned(experiment, dataset or data.load(experiment.source), here()))


def probabilities(training: Training, examples: Examples) -> np.ndarray:
    """The class probabilities (n, k) of examples by what a training kept."""
    return training.trained({}).answers(examples.inputs, here())


def steps(path: str) -> list[int | str]:
    """`model.layers[0].conv` → ["model", "layers", 0, "conv"]."""
    return [int(part) if part.isdigit() else part for part in re.findall(r"[^.\[\]]+", path)]


def with_value(config: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The configuration with a value at a path, whether there was one or not."""
    changed = copy.deepcopy(config)
    *above, last = steps(path)
    here: Any = changed
    for part in above:
        if isinstance(here, dict) and not isinstance(here.get(part), dict | list):
            here[part] = {}
        here = here[part]
    here[last] = value
    return changed


def without(config: dict[str, Any], path: str) -> dict[str, Any]:
    """The configuration with nothing at a path."""
    changed = copy.deepcopy(config)
    *above, last = steps(path)
    here: Any = changed
    for part in above:
        here = here[part]
    del here[last]
    return changed


def group(name: str) -> list[str]:
    """The options of a group of the shipped `conf/`."""
    return sorted(path.stem for path in (composition.shipped() / name).glob("*.yaml"))


def option(name: str, stem: str) -> dict[str, Any]:
    """One file of a group of the shipped `conf/`, as it is written."""
    written = OmegaConf.load(composition.shipped() / name / f"{stem}.yaml")
    return OmegaConf.to_container(written)  # type: ignore[return-value]


def arrays_file(folder: Path, *, length: int = 16, examples: int = 120, classes: Iterable[int] = (0, 1)) -> Path:
    """One-dimensional signals told apart by their frequency, as an .npz with x_train and y_train: (n, length, 1)."""
    generator = np.random.default_rng(0)
    y = np.resize(list(classes), examples)
    waves = np.sin(np.arange(length)[None, :] * (0.5 + y[:, None]))
    x = (waves + 0.1 * generator.standard_normal(waves.shape)).astype(np.float32)[..., None]
    path = folder / "signals.npz"
    np.savez(path, x_train=x, y_train=y.astype(np.int64))
    return path


def report(config: Any) -> list[str]:
    """The lines that a user reads of a configuration with something wrong in it."""
    with pytest.raises(ConfigError) as caught:
        parse(config)
    return str(caught.value).splitlines()


def fail_in_test(monkeypatch: pytest.MonkeyPatch, *seeds: int) -> None:
    """Makes the evaluation on the test set fail in trainings with these seeds, as a bug of ours would."""
    test = Training.test

    def failing(self: Training) -> dict[str, float]:
        if self.plan.experiment.seed in seeds:
            raise ZeroDivisionError("of ours")
        return test(self)

    monkeypatch.setattr(Training, "test", failing)


def composed_here(*overrides: str) -> dict[str, Any]:
    """What a command line comes to in the current folder."""
    composition.register()
    with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())), as_config_errors():
        return composition.plain(compose("config", overrides=composition.for_hydra(list(overrides))))
