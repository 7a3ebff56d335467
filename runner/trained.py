"""A trained network as a value, from memory or from the folder of a run.

>>> trained.save(folder, config)
>>> again = load(folder)
>>> again.answers(images, placement).shape     # (n, k), the bits of the run's own evaluation
(5, 10)
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Annotated, Any, Final

import jax
import numpy as np
from pydantic import AllowInfNan, ValidationError

from runner import atomic, compiling, strict_yaml, train, weights
from runner.data import Dataset
from runner.data.inputs import Inputs
from runner.data.value_range import UNIT, Range
from runner.errors import ConfigError, Fault, must
from runner.experiment import Experiment, Program, parse_as
from runner.faults import fault
from runner.layers.base import Tree
from runner.placement import Placement
from runner.records import Record, frozen
from runner.tasks import Regression

CONFIG: Final = "config.yaml"
NETWORK: Final = "network.json"
WEIGHTS: Final = "weights.safetensors"
FILES: Final = (CONFIG, NETWORK, WEIGHTS)
"""The required files of a run's folder: its configuration, facts about its data, and its weights.

Each is written whole. An edited CONFIG is read as well, if the weights fit it.
"""


class _Input(Record):
    """The inputs of the data: the shape of one, their type, and the values of black and white."""

    shape: tuple[int, ...]
    dtype: str
    range: tuple[tuple[float, ...], tuple[float, ...]]


class _Known(Record):
    """The content of NETWORK. The checksum of WEIGHTS shows whether both are of one run."""

    version: str
    digest: str
    metrics: dict[str, Annotated[float, AllowInfNan()]]
    input: _Input
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: tuple[str, ...]
    vocabulary: tuple[str, ...]
    target_mean: tuple[float, ...] | None = None  # of the numbers of a regression, as its task has them, in training
    target_std: tuple[float, ...] | None = None
    weights: str | None = None  # of runs recorded before it was written: not compared


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
    tested: np.ndarray | None = None  # its answers (n, k) to the test examples, if it was just tested

    @property
    def value_range(self) -> Range:
        """The values of black and white in inputs; 0 and 1 for bytes, which are divided by 255."""
        black, white = self.program.black, self.program.white
        return UNIT if black is None or white is None else Range(black, white)

    @property
    def inputs(self) -> Inputs:
        """How files, images, arrays and texts become inputs of the network."""
        floats = not self.vocabulary and self.input_dtype != "uint8"
        return Inputs(
            shape=self.program.network.data_shape,
            dtype=self.input_dtype,
            fit=getattr(self.experiment.data, "fit", "resize"),
            range=tuple(self.value_range) if floats else None,  # type: ignore[arg-type] # of its two parts
            vocabulary=self.vocabulary,
            keeps_depth=getattr(self.experiment.data, "depth", "bytes") == "keep",
        )

    def on(self, placement: Placement) -> "Trained":
        """The same network with its values on a device: arrays of NumPy, as of files, are copied at every call."""
        params, statistics = jax.device_put((self.params, self.statistics), placement.everywhere)
        return replace(self, params=params, statistics=statistics)

    def save(self, folder: Path, config: str) -> None:
        """Writes `FILES`. `config` is the configuration as YAML that can be launched again."""
        program, learnt, values = self.program, weights.serialized(self.params, self.statistics), self.value_range
        known = _Known(
            version=self.facts.version,
            digest=self.facts.digest,
            metrics=dict(self.facts.metrics),
            input=_Input(shape=program.network.data_shape, dtype=self.input_dtype, range=(values.black, values.white)),
            mean=program.mean,
            std=program.std,
            classes=self.classes,
            vocabulary=self.vocabulary,
            target_mean=getattr(program.task, "mean", None),
            target_std=getattr(program.task, "std", None),
            weights=hashlib.sha256(learnt).hexdigest(),
        )
        text = json.dumps(known.model_dump(), indent=1, ensure_ascii=False) + "\n"
        atomic.write(folder / CONFIG, config.encode())
        atomic.write(folder / WEIGHTS, learnt)
        atomic.write(folder / NETWORK, text.encode())

    def answers(self, inputs: np.ndarray, placement: Placement) -> np.ndarray:
        """Answers (n, k), float32, to any number of inputs in the form of the data: see `tasks`.

        Raises ConfigError if the inputs have another type or shape.
        """
        network, most = self.program.network, self.experiment.train.evaluation_batch_size
        shape, size = network.data_shape, network.evaluated_together(len(inputs), most)
        if inputs.dtype != self.input_dtype or inputs.shape[1:] != shape:
            wanted, got = (_described(*both) for both in ((self.input_dtype, shape), (inputs.dtype, inputs.shape[1:])))
            raise ConfigError(must("inputs", f"be {wanted} as in training", got))
        predict = compiling.compiled(self.program, placement).predict
        answers = [np.zeros((0, network.classes), np.float32)]
        for start in range(0, len(inputs), size):
            batch = inputs[start : start + size]
            # Filled up, so that all batches use one program; that of the run's evaluation gives its exact bits.
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
    tested: np.ndarray | None = None,
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
        tested=tested,
    )


def load(folder: Path, experiment: Experiment | None = None) -> Trained:
    """Reads the folder of a run. Raises ConfigError if a file is missing, cannot be read, or is that of another run.

    `experiment` replaces the one in config.yaml, and is needed if a number there is an interpolation.
    """
    if missing := [name for name in FILES if not (folder / name).is_file()]:
        rule = f"must be a folder with {', '.join(FILES[:-1])} and {FILES[-1]}, as this version writes them"
        raise ConfigError(Fault("run", f"{rule}, got {folder} without {' and '.join(missing)}"))
    experiment = experiment or _experiment(folder / CONFIG)
    known = _known(folder / NETWORK)
    with (folder / WEIGHTS).open("rb") as file:
        if known.weights not in (None, hashlib.file_digest(file, "sha256").hexdigest()):
            rule = f"must have the {WEIGHTS} of its {NETWORK}"
            raise ConfigError(Fault("run", f"{rule}, got {folder} with a damaged file, or that of another run"))
    network = experiment.network(
        known.input.shape,
        len(known.classes),
        experiment.data.vocabulary_size or len(known.vocabulary) or None,
    )
    task = experiment.task
    if isinstance(task, Regression):
        task = task.model_copy(update={"mean": known.target_mean, "std": known.target_std})
    program = experiment.program(network, mean=known.mean, std=known.std, values=Range(*known.input.range), task=task)
    try:
        params, statistics = weights.load(str(folder / WEIGHTS), network)
    except ConfigError as error:
        text = f"must have the {CONFIG} of its {WEIGHTS}, got {folder} ({error.faults[0]})"
        raise ConfigError(Fault("run", text)) from error
    return Trained(
        experiment=experiment,
        program=program,
        params=params,
        statistics=statistics,
        classes=known.classes,
        vocabulary=known.vocabulary,
        input_dtype=known.input.dtype,
        facts=Facts(known.version, known.digest, known.metrics),
    )


def _experiment(path: Path) -> Experiment:
    config = strict_yaml.mapping(path)
    try:
        return parse_as(Experiment, {name: value for name, value in config.items() if name in Experiment.model_fields})
    except ConfigError as error:
        raise ConfigError(
            *(Fault(f"{path}: {fault.path}", _with_hint(fault.text)) for fault in error.faults)
        ) from error


def _with_hint(text: str) -> str:
    return f"{text}; replace it by its value" if "got ${" in text else text


def _known(path: Path) -> _Known:
    try:
        raw = frozen(json.loads(path.read_text(encoding="utf-8")))
        return _Known.model_validate(raw)
    except ValidationError as error:
        reason = str(fault(error.errors(include_url=False)[0], raw))
    except ValueError as error:
        reason = str(error)
    raise ConfigError(Fault("run", f"must have a whole {NETWORK}, got {path} ({reason})"))


def _described(dtype: Any, shape: tuple[int, ...]) -> str:
    return f"{dtype} (n, {', '.join(map(str, shape))})"
