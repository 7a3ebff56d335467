"""A trained network as a value, from memory or from the folder of a run.

>>> trained.save(folder, config)
>>> again = load(folder)
>>> again.probabilities(images, placement).shape     # (n, k), the bits of the run's own evaluation
(5, 10)
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from runner import compiling, train, weights
from runner.data import Dataset
from runner.data.value_range import UNIT, Range
from runner.errors import ConfigError, Fault, must
from runner.experiment import Experiment, Program, parse_as
from runner.layers.base import Tree
from runner.placement import Placement
from runner.strict_yaml import read

CONFIG: Final = "config.yaml"
NETWORK: Final = "network.json"
WEIGHTS: Final = "weights.safetensors"
FILES: Final = (CONFIG, NETWORK, WEIGHTS)
"""The required files of a run's folder: its configuration, facts about its data, and its weights."""


_KEYS: Final = ("version", "digest", "metrics", "input", "mean", "std", "classes", "vocabulary")


@dataclass(frozen=True)
class Facts:
    """The origin of a network: the version that trained it, the digest of its data, and its metrics."""

    version: str
    digest: str
    metrics: Mapping[str, float]


@dataclass(frozen=True)
class Trained:
    """A network with its learnt values and the meaning of its inputs and outputs."""

    experiment: Experiment
    program: Program
    params: Tree
    statistics: Tree
    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]  # the word of each token; empty if inputs are not tokens
    input_dtype: str  # of the data
    facts: Facts

    def save(self, folder: Path, config: str) -> None:
        """Writes `FILES`. `config` is the configuration as YAML that can be launched again."""
        program = self.program
        values = UNIT if program.black is None or program.white is None else Range(program.black, program.white)
        known = {
            "version": self.facts.version,
            "digest": self.facts.digest,
            "metrics": dict(self.facts.metrics),
            "input": {"shape": program.network.data_shape, "dtype": self.input_dtype, "range": values},
            "mean": program.mean,
            "std": program.std,
            "classes": self.classes,
            "vocabulary": self.vocabulary,
        }
        (folder / CONFIG).write_text(config, encoding="utf-8")
        (folder / NETWORK).write_text(json.dumps(known, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        weights.save(folder / WEIGHTS, self.params, self.statistics)

    def probabilities(self, inputs: np.ndarray, placement: Placement) -> np.ndarray:
        """Class probabilities (n, k), float32, of any number of inputs in the form of the data.

        Raises ConfigError if the inputs have another type or shape.
        """
        shape, size = self.program.network.data_shape, self.experiment.train.evaluation_batch_size
        if inputs.dtype != self.input_dtype or inputs.shape[1:] != shape:
            wanted, got = (_described(*both) for both in ((self.input_dtype, shape), (inputs.dtype, inputs.shape[1:])))
            raise ConfigError(must("inputs", f"be {wanted} as in training", got))
        predict = compiling.compiled(self.program, placement).predict
        answers = [np.zeros((0, self.program.network.classes), np.float32)]
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            # Padded to one size, so that all batches use one program, with the exact bits of the run's evaluation.
            full = np.pad(batch, ((0, size - len(batch)),) + ((0, 0),) * len(shape))
            found = predict(compiling.leaves(self.program), self.params, self.statistics, full)
            answers.append(np.asarray(found)[: len(batch)])
        return np.concatenate(answers)


def of(
    experiment: Experiment,
    program: Program,
    dataset: Dataset,
    variables: train.Variables,
    metrics: Mapping[str, float],
) -> Trained:
    """The network that was just trained, from memory."""
    return Trained(
        experiment=experiment,
        program=program,
        params=variables.params,
        statistics=variables.statistics,
        classes=dataset.classes,
        vocabulary=dataset.vocabulary,
        input_dtype=str(dataset.train.inputs.dtype),
        facts=Facts(metadata.version("convrunner"), dataset.digest, metrics),
    )


def load(folder: Path, experiment: Experiment | None = None) -> Trained:
    """Reads the folder of a run. Raises ConfigError if a file is missing or cannot be read.

    `experiment` replaces the one in config.yaml, and is needed only if that has interpolations.
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        rule = f"must be a folder with {', '.join(FILES[:-1])} and {FILES[-1]}, as this version writes them"
        raise ConfigError(Fault("run", f"{rule}, got {folder} without {' and '.join(missing)}"))
    experiment = experiment or _experiment(folder / CONFIG)
    known = _known(folder / NETWORK)
    vocabulary = tuple(known["vocabulary"])
    network = experiment.network(
        tuple(known["input"]["shape"]),
        len(known["classes"]),
        experiment.data.vocabulary_size or len(vocabulary) or None,
    )
    black, white = known["input"]["range"]
    program = experiment.program(
        network, mean=tuple(known["mean"]), std=tuple(known["std"]), values=Range(tuple(black), tuple(white))
    )
    params, statistics = weights.load(str(folder / WEIGHTS), network)
    return Trained(
        experiment=experiment,
        program=program,
        params=params,
        statistics=statistics,
        classes=tuple(known["classes"]),
        vocabulary=vocabulary,
        input_dtype=known["input"]["dtype"],
        facts=Facts(known["version"], known["digest"], known["metrics"]),
    )


def _experiment(path: Path) -> Experiment:
    config = read(path.read_text(encoding="utf-8"), str(path))
    return parse_as(Experiment, {name: value for name, value in config.items() if name in Experiment.model_fields})


def _known(path: Path) -> dict[str, Any]:
    try:
        known: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(Fault("run", f"must have a whole {NETWORK}, got {path} ({error})")) from error
    if missing := [name for name in _KEYS if name not in known]:
        raise ConfigError(Fault("run", f"must have a whole {NETWORK}, got {path} without {', '.join(missing)}"))
    return known


def _described(dtype: Any, shape: tuple[int, ...]) -> str:
    return f"{dtype} (n, {', '.join(map(str, shape))})"
