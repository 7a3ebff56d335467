"""The settings of training: its length, its device, and the parameters that are kept."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, Self

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, BeforeValidator, Field, ModelWrapValidatorHandler, WithJsonSchema, model_validator

from runner import limits
from runner.errors import Fault, must
from runner.layers.places import LayerNames
from runner.metrics import Direction, Name, Validated, natural_direction
from runner.ops.lowering import Choice
from runner.optim import Clip
from runner.records import TRACED, Record
from runner.views import Views


class Monitor(Record):
    """The metric by which the epochs of a run are compared: for `keep`, `early_stopping` and the best epoch.

    Of equal epochs the first is the best; epochs that are equal in another metric are compared by val/loss.
    """

    metric: Validated = Field(
        "val/accuracy",
        description="The metric that compares epochs: val/loss, or val/NAME of a metric that is measured.",
    )
    direction: Direction | None = Field(
        None, description="maximize or minimize; null: loss is minimized, another metric has its own direction."
    )

    def cost(self, metrics: Mapping[str, float]) -> float:
        """The value that is watched, signed so that less is better."""
        value = metrics[self.metric]
        return -value if (self.direction or natural_direction(self.metric)) == "maximize" else value


class EarlyStopping(Record):
    """Ends training when the metric of train.monitor no longer improves."""

    renamed: ClassVar[Mapping[str, str]] = {"metric": "train.monitor.metric"}

    patience: Annotated[int, Ge(1)] = Field(
        5, description="Number of epochs without an improvement after which training ends."
    )
    min_delta: Annotated[float, Ge(0)] = Field(
        0.0, description="Only a change by more than this, since the last improvement, is an improvement."
    )


class Every(NamedTuple):
    """How often something happens: `2 epochs`."""

    number: int
    unit: str  # epoch, step, second, minute or hour

    @property
    def seconds(self) -> float:
        """The interval in seconds, if it is a time."""
        return self.number * _SECONDS[self.unit]


_SECONDS: Final = {"second": 1.0, "minute": 60.0, "hour": 3600.0}
_EVERY: Final = re.compile(r"([1-9]\d{0,8}) ?(epoch|step|second|minute|hour)s?")


def _every(value: str | None) -> str | None:
    if value is not None and not _EVERY.fullmatch(value):
        rule = "be a number of epochs, steps, seconds, minutes or hours, such as '2 epochs'"
        raise ValueError(must("", rule, value).text)
    return value


_COUNT: Final = {"anyOf": [{"type": "integer", "minimum": 1}, {"const": "all"}]}


def _count(value: Any) -> Any:
    if value == "all" or (type(value) is int and value >= 1):
        return value
    raise ValueError(must("", "be a whole number from 1 on, or all", value).text)


class KeepCheckpoints(Record):
    """How many checkpoints of a training are kept."""

    last: Annotated[int, Ge(1)] = Field(2, description="Number of the latest checkpoints that are kept.")
    best: Annotated[int, Ge(0)] = Field(
        0, description="Number of others that are kept: those with the best value of train.monitor in their last epoch."
    )


class Train(Record):
    """How a model is trained."""

    renamed: ClassVar[Mapping[str, str]] = {"mirrored_evaluation": "train.test_time.views"}

    epochs: Annotated[int, Ge(1)] = Field(description="Number of passes over the training images.")
    steps: Annotated[int, Ge(1)] | None = Field(None, description="Number of training steps; replaces `epochs`.")
    batch_size: Annotated[int, Ge(1)] = Field(description="Number of images in one step.")
    sampling: Literal["all", "balanced"] = Field(
        "all",
        description="The images of an epoch: all, each once; balanced, as many of every class, so that images of rare "
        "classes come several times and some of frequent ones not at all.",
    )
    accumulate: Annotated[int, Ge(1)] = Field(
        1,
        description="Number of parts that a batch is split into. Their gradients are averaged: the same step in less "
        "memory.",
    )
    freeze: LayerNames = Field(
        (),
        description="Layers that are not trained, by kind (batch_norm), path (3_bottleneck) or place (layers[3]): "
        "their parameters and running statistics are used, and do not change.",
    )
    clip: Clip = Field(Clip(), description="How gradients are clipped before the optimiser uses them.")
    ema_decay: Annotated[Annotated[float, Ge(0), Lt(1)] | None, TRACED] = Field(
        None,
        description="Share that a running average of the parameters and batch statistics keeps at each step. The "
        "average is then evaluated, kept and logged. At step t the share is at most (1 + t) / (10 + t), "
        "so that the initial parameters soon count little.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="The type that layers compute in; parameters and statistics are always float32."
    )
    lowering: Choice = Field(
        "auto",
        description="How convolutions, max pooling and normalisation are computed: the fastest way for the device "
        "and the shape (auto), the fastest of XLA's own operations (portable), or its plain ones "
        "(reference). Results differ in the last digits.",
    )
    device: Literal["auto", "cpu", "gpu", "tpu"] = Field(
        "auto", description="The device; auto: the best that is available."
    )
    device_count: Annotated[int | Literal["all"], BeforeValidator(_count), WithJsonSchema(_COUNT)] = Field(
        1,
        description="Number of devices of this kind, among which each batch is divided, or the members of a mapped "
        "sweep; batch statistics are those of the whole batch. all: every one.",
    )
    keep_memory: bool = Field(
        True,
        description="On a CPU, keep memory between steps instead of returning it to the system: faster, but more "
        "memory is used.",
    )
    metrics: tuple[Name, ...] = Field(
        (),
        description="Metrics that are measured in addition to loss, accuracy and what else the task always measures.",
    )
    monitor: Monitor = Field(Monitor(), description="How the best epoch is chosen.")
    early_stopping: EarlyStopping | None = Field(
        None, description="When training ends before the last epoch; null: never."
    )
    keep: Literal["last", "best"] = Field(
        "last", description="The parameters that are tested and logged: those of the last epoch, or of the best."
    )
    save_every: Annotated[str | None, AfterValidator(_every)] = Field(
        "5 minutes",
        description="How often a checkpoint is written, from which `runner resume` goes on: '2 epochs', '500 steps', "
        "'10 minutes'; by time, they take less than a hundredth of it. Ctrl+C and SIGTERM write one too. null: never.",
    )
    keep_checkpoints: KeepCheckpoints = Field(KeepCheckpoints(), description="Which checkpoints are kept.")
    until_accuracy: Annotated[float, Gt(0), Le(1)] | None = Field(
        None, description="Training ends when train/accuracy reaches this value."
    )
    test_time: Views = Field(Views(), description="Test-time augmentation: the views of each image, for evaluation.")
    evaluation_batch_size: Annotated[int, Ge(1), Le(limits.EVALUATED_IMAGES)] = Field(
        256, description="Number of images that are evaluated at once."
    )
    profile: Annotated[int, Ge(1)] | None = Field(
        None,
        description="Number of dispatches of training to trace, after the first. The trace, for "
        "https://ui.perfetto.dev, is in the run's folder and in MLflow.",
    )
    debug_nans: bool = Field(False, description="Stop at the operation that made a NaN; slow.")

    @model_validator(mode="wrap")
    @classmethod
    def _of_earlier_versions(cls, value: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        """Leaves out what runs of an earlier version have recorded for a setting that they did not use."""
        if isinstance(value, dict) and value.get("mirrored_evaluation") is False:
            value = {key: item for key, item in value.items() if key != "mirrored_evaluation"}
        return handler(value)

    @property
    def saving(self) -> Every | None:
        """How often a checkpoint is written."""
        found = _EVERY.fullmatch(self.save_every) if self.save_every else None
        return Every(int(found[1]), found[2]) if found else None

    def faults(self) -> list[Fault]:
        """What does not fit together in it."""
        found = self.test_time.faults()
        if self.batch_size % self.accumulate:
            found.append(must("train.accumulate", f"divide train.batch_size ({self.batch_size})", self.accumulate))
        return found
