"""One experiment as a validated, frozen record, or all faults of an invalid one.

    >>> experiment = parse_as(Experiment, values)     # of the keys model, data, …; raises ConfigError with every fault
    >>> network = experiment.network((28, 28, 1), classes=10)
    >>> program = experiment.program(network, mean=(0.13,), std=(0.31,))

A `Program` has all that the compiled program depends on: its structure is static, its leaves are traced.
"""

import math
import re
from collections.abc import Iterable
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Le
from pydantic import Field, TypeAdapter, ValidationError

from runner import limits
from runner.blocks import block_names, expanded, follows
from runner.class_weights import Weighting
from runner.data import Data, Source
from runner.data.augment import Augment
from runner.data.value_range import UNIT, Range
from runner.errors import ConfigError, Fault, must, shown, unknown
from runner.faults import fault, first_causes, unwritable, without_repeats
from runner.layers import KINDS, places
from runner.layers.base import Row, Shape, Step
from runner.layers.repair import repaired
from runner.losses import KINDS as LOSSES
from runner.losses import Loss, SoftmaxCrossEntropy
from runner.metrics import metric_of
from runner.model import Model
from runner.network import FIRST_KERNEL, Network
from runner.ops.lowering import Choice
from runner.optim import Clip, Optimizer, Schedule
from runner.records import TRACED, Record, frozen
from runner.settings import Train
from runner.tasks import Classification, Task
from runner.tracking.messages import PARAM_CHARACTERS
from runner.views import Views

# Weights of classes come with the images that are trained on, so that other weights need no other program.
_ALIKE = {name: field.default for name, field in Weighting.model_fields.items()}
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]


class Program(Record):
    """All that a compiled program depends on. Experiments with equal structure share a compiled program."""

    seed: Annotated[int, TRACED]
    network: Network
    mean: Annotated[tuple[float, ...], TRACED]
    std: Annotated[tuple[float, ...], TRACED]
    black: Annotated[tuple[float, ...] | None, TRACED]  # None, as `white`, for values in 0 … 1, such as bytes
    white: Annotated[tuple[float, ...] | None, TRACED]
    augment: Augment
    task: Task
    loss: Loss
    optimizer: Optimizer
    clip: Clip
    ema_decay: Annotated[float | None, TRACED]
    batch_size: int
    accumulate: int
    precision: Literal["float32", "bfloat16"]
    lowering: Choice
    freeze: tuple[str, ...]
    test_time: Views
    metrics: tuple[str, ...]


class Experiment(Record):
    """What is trained. Each field is a group of `conf/`."""

    seed: Seed = Field(0, description="Seed of the initial parameters, the order, the augmentation and dropout.")
    model: Model = Field(description="The network.")
    data: Data = Field(description="The data set.")
    augment: Augment = Field(Augment(), description="Random changes to the training images.")
    task: Task = Field(Classification(), description="What is learnt of each example: its class, labels or numbers.")
    loss: Loss = Field(SoftmaxCrossEntropy(), description="The loss that training minimizes.")
    optimizer: Optimizer = Field(description="The optimiser of the parameters.")
    schedule: Schedule = Field(Schedule(), description="How the learning rate changes from step to step.")
    train: Train = Field(description="The length of training, its device, and what is measured and kept.")

    def faults(self, data_shape: Shape, classes: int, vocabulary: int | None = None) -> list[Fault]:
        """What does not fit together, for data whose inputs have this shape, and are tokens if there are any."""
        step = Step(self.train.batch_size, self.train.accumulate, self.train.freeze)
        found = self.model.survey(data_shape, classes, vocabulary=vocabulary, step=step)
        faults = found.faults + _too_large(found.rows)
        last = self.model.layers[-1]
        path = f"model.layers[{len(self.model.layers) - 1}]"
        doubled = last.kind == self.loss.applies
        if doubled and not any(fault.path == path for fault in faults):
            faults.append(Fault(path, f"must not be {last.kind} under loss {self.loss.name}, which applies it itself"))
        if not faults:
            network = self.model.bind(data_shape, classes, vocabulary)
            faults += self._fine_tuning_faults(network) + _whitening_faults(network)
        faults += self.train.faults() + self._task_faults(classes)
        if len(data_shape) != 3 and self.augment != Augment():
            faults.append(must("augment", "be empty for data that are not images", "augmentations"))
        faults += self._view_faults(data_shape)
        input_shape = self.model.input_shape(data_shape)
        return faults + (self.augment.faults(input_shape) if len(input_shape) == 3 else [])

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of all metrics that are measured, each once; the first compares runs."""
        return tuple(dict.fromkeys((*self.task.measured, *self.train.metrics)))

    @property
    def source(self) -> Source:
        """The data source, for the labels of the task and the windows of the augmentation.

        Images of several sizes are fitted to the model's input.
        """
        data, size = self.data.for_labels(self.task.form).for_windows(self.augment.cuts_files), self.model.input
        return data if size is None else data.for_input(size.height, size.width)

    def network(self, data_shape: Shape, classes: int, vocabulary: int | None = None) -> Network:
        """The model bound to its data. Raises ConfigError with all faults."""
        if faults := self.faults(data_shape, classes, vocabulary):
            raise ConfigError(*faults)
        return self.model.bind(data_shape, classes, vocabulary, self.train.precision)

    def program(
        self,
        network: Network,
        *,
        mean: tuple[float, ...],
        std: tuple[float, ...],
        values: Range = UNIT,
        task: Task | None = None,
    ) -> Program:
        """The program of this experiment, for inputs of this mean, standard deviation and range.

        `task` is the experiment's, bound to training labels; a classification needs none.
        """
        return Program(
            seed=self.seed,
            network=network,
            mean=mean,
            std=std,
            black=None if values == UNIT else values.black,
            white=None if values == UNIT else values.white,
            augment=self.augment,
            task=task or self.task,
            loss=self.loss.model_copy(update=_ALIKE) if isinstance(self.loss, Weighting) else self.loss,
            optimizer=self.optimizer,
            clip=self.train.clip,
            ema_decay=self.train.ema_decay,
            batch_size=self.train.batch_size,
            accumulate=self.train.accumulate,
            precision=self.train.precision,
            lowering=self.train.lowering,
            freeze=network.resolved(self.train.freeze),
            test_time=self.train.test_time,
            metrics=self.measured,
        )

    def _view_faults(self, data_shape: Shape) -> list[Fault]:
        """What `train.test_time` cannot take from data of this shape."""
        views, size = self.train.test_time, self.model.input
        if len(data_shape) != 3:
            rule = "be one for data that are not images"
            return [must("train.test_time.views", rule, views.views)] if views.views != "one" else []
        if views.margin is None or size is None or size.fit != "crop":
            return []
        most = min(data_shape[0] - size.height, data_shape[1] - size.width)
        if views.margin <= most or most < 0:  # the latter is a fault of model.input
            return []
        return [must("train.test_time.margin", f"be at most {most}, what fit=crop leaves out", views.margin)]

    def _task_faults(self, outputs: int) -> list[Fault]:
        """What does not suit the task, for data of so many classes, labels or numbers."""
        faults = self.task.loss_faults(self.loss, LOSSES)
        faults += self.task.metric_faults(self.train.metrics, outputs) + self.data.label_faults(self.task.form)
        weights = self.loss if isinstance(self.loss, Weighting) else Weighting()
        if self.task.form == "classes":
            faults += weights.weighting_faults(outputs)
        else:
            if weights.class_weights != "none":
                faults.append(self._only_of_classes("loss.class_weights", "none", weights.class_weights))
            if self.train.sampling != "all":
                faults.append(self._only_of_classes("train.sampling", "all", self.train.sampling))
            if self.train.until_accuracy is not None:
                faults.append(self._only_of_classes("train.until_accuracy", "null", self.train.until_accuracy))
        name = metric_of(self.train.monitor.metric)
        if name is not None and name not in self.measured:
            known = ", ".join(f"val/{one}" for one in self.measured)
            rule = f"be val/loss or one of {known}, which are measured"
            faults.append(must("train.monitor.metric", rule, self.train.monitor.metric))
        return faults

    def _only_of_classes(self, path: str, rule: str, value: object) -> Fault:
        return must(path, f"be {rule} for task {self.task.name}", value)

    def _fine_tuning_faults(self, network: Network) -> list[Fault]:
        """The faults of `train.freeze` and `model.weights_except`, for a model that fits its data."""
        faults, freeze = [], self.train.freeze
        if freeze:
            parameters, statistics = network.shapes()
            faults = places.unknown_names(freeze, [*parameters, *statistics], "train.freeze", network.located())
            meant = network.resolved(freeze)
            if not faults and all(places.chosen(meant, path) for path in parameters):
                faults.append(must("train.freeze", "leave a layer to learn", freeze))
        if self.model.weights_except and self.model.weights is None:
            rule = "be empty where model.weights is null"
            faults.append(must("model.weights_except", rule, self.model.weights_except))
        return faults


def _whitening_faults(network: Network) -> list[Fault]:
    """The fault of whitening filters anywhere but in a first convolution of images."""
    found = network.whitened()
    of_images = len(network.input_shape) == 3 and not network.layers[0].grouped
    if not found or (found == [FIRST_KERNEL] and of_images):
        return []
    rule = "have kernel_init whitening in a first convolution of images alone, without groups"
    return [must("model.layers", rule, places.place_of(found[-1], network.located()))]


def _too_large(rows: list[Row]) -> list[Fault]:
    """The fault of the first layer whose arrays are too large; later ones may be consequences."""
    for row in rows:
        largest = max(math.prod(row.output.shape), row.parameters)
        if largest > limits.ARRAY_VALUES:
            return [must(row.path, f"have at most {limits.ARRAY_VALUES} outputs and parameters", largest)]
    return []


E = TypeVar("E", bound=Experiment)


def parameters(record: Record, path: str = "", *, with_nulls: bool = False) -> dict[str, str]:
    """Every value that applies, as in YAML, by its dotted path below `path`; without the layer list."""
    found: dict[str, str] = {}

    def visit(value: Any, path: str) -> None:
        if isinstance(value, Record):
            names = [*type(value).model_fields, *(value.model_extra or {})]
            for name, own in ({name: getattr(value, name) for name in names} | value.implied()).items():
                below = f"{path}.{name}" if path else name
                if below != "model.layers":  # `config.yaml` has it
                    visit(own, below)
        elif value is not None or with_nulls:
            found[path] = shown(value, longest=PARAM_CHARACTERS)

    visit(record, path)
    return found


def parse_as(kind: type[E], config: dict[str, Any], block_library: Iterable[str] = ()) -> E:
    """The experiment of a plain mapping, as a record of this kind. Raises ConfigError with every fault.

    `block_library` names the available blocks, to suggest one for a misspelt name.
    """
    try:
        return _parsed(kind, frozen(config), frozenset(block_library))
    except RecursionError:
        raise ConfigError(Fault("configuration", "must be less deeply nested")) from None


def _parsed(kind: type[E], raw: dict[str, Any], block_library: frozenset[str]) -> E:
    if faults := list(unwritable(raw)):
        raise ConfigError(*faults)
    if isinstance(raw.get("model"), dict):
        block_library |= block_names(raw["model"])
        model, faults = expanded(raw["model"])
        raw = {**raw, "model": model}
    try:
        experiment = kind.model_validate(raw)
    except ValidationError as error:
        found = first_causes(error.errors(include_url=False))
        faults += [_block_meant(fault(item, raw), block_library) for item in found if not follows(item["input"])]
        faults += _further_faults(raw) + _train_faults(raw)
    else:
        data = experiment.data
        if data.shape is not None and data.output_count is not None and not data.undeclared:
            faults = faults or experiment.faults(data.shape, data.output_count, data.vocabulary_size)
    if faults:
        raise ConfigError(*without_repeats(_in_order(faults, list(kind.model_fields))))
    return experiment


def _block_meant(fault: Fault, blocks: frozenset[str]) -> Fault:
    """The fault of an unknown layer, with the nearest known kind or block."""
    said = re.match(r'unknown layer "(.*?)"', fault.text)
    return Fault(fault.path, unknown("", "layer", said[1], {*KINDS, *blocks}).text) if said else fault


def _further_faults(raw: dict[str, Any]) -> list[Fault]:
    """Faults of a model's layers if other parts of the experiment, or of the model, are invalid."""
    data, model = _readable(raw.get("data")), raw.get("model")
    if (
        data is None
        or data.shape is None
        or data.output_count is None
        or data.undeclared
        or not isinstance(model, dict)
    ):
        return []
    try:
        whole, guessed = Model.model_validate(model), False
    except ValidationError:
        layers = repaired(model.get("layers"))
        try:
            whole = Model.model_validate({**model, "name": "guessed", "layers": layers or ()})
        except ValidationError:
            return []
        guessed = True
    found = whole.survey(data.shape, data.output_count, vocabulary=data.vocabulary_size, guessed=guessed)
    return found.faults


def _train_faults(raw: dict[str, Any]) -> list[Fault]:
    try:
        return Train.model_validate(raw.get("train")).faults()
    except ValidationError:
        return []


_DATA: TypeAdapter[Source] = TypeAdapter(Data)


def _readable(data: Any) -> Source | None:
    """A data source without its invalid settings; None if that is invalid too."""
    try:
        return _DATA.validate_python(data)
    except ValidationError as error:
        wrong = {part for item in error.errors(include_url=False) for part in item["loc"]}
    if not isinstance(data, dict):
        return None
    try:
        return _DATA.validate_python({key: value for key, value in data.items() if key not in wrong})
    except ValidationError:
        return None


def _in_order(faults: Iterable[Fault], fields: list[str]) -> list[Fault]:
    """The faults by the field that they are in, then by index and name."""

    def key(fault: Fault) -> tuple[int, list[tuple[int, str]]]:
        first = re.split(r"[.\[]", fault.path)[0]
        parts = re.findall(r"\d+|[^.\[\]]+", fault.path)
        return (
            fields.index(first) if first in fields else len(fields),
            [(int(part), "") if part.isdigit() else (-1, part) for part in parts],
        )

    return sorted(dict.fromkeys(faults), key=key)
