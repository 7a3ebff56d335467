"""The settings of training: its length, its device, and the parameters that are kept."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import Field

from runner import limits
from runner.errors import Fault, must
from runner.layers.places import LayerNames
from runner.metrics import ALWAYS, Direction, Name, metric, natural_direction
from runner.ops.lowering import Choice
from runner.optim import Clip
from runner.records import TRACED, Record


class Monitor(Record):
    """The metric by which the epochs of a run are compared: for `keep`, `early_stopping` and the best epoch.

    Of equal epochs the first is the best; epochs of equal val/accuracy are compared by val/loss.
    """

    metric: Literal["val/accuracy", "val/loss"] = Field("val/accuracy", description="What is watched.")
    direction: Direction | None = Field(
        None, description="maximize or minimize; null: accuracy is maximized, loss minimized."
    )

    def cost(self, metrics: Mapping[str, float]) -> float:
        """The value that is watched, signed so that less is better."""
        value = metrics[self.metric]
        return -value if (self.direction or natural_direction(self.metric)) == "maximize" else value


class EarlyStopping(Record):
    """Ends training when the metric of train.monitor has stopped to improve."""

    renamed: ClassVar[Mapping[str, str]] = {"metric": "train.monitor.metric"}

    patience: Annotated[int, Ge(1)] = Field(5, description="Epochs without an improvement that are waited for.")
    min_delta: Annotated[float, Ge(0)] = Field(
        0.0, description="An improvement is a change by more than this since the last improvement."
    )


class Train(Record):
    """How a model is trained."""

    epochs: Annotated[int, Ge(1)] = Field(description="How many times training goes over the training images.")
    steps: Annotated[int, Ge(1)] | None = Field(None, description="Train for so many steps in place of `epochs`.")
    batch_size: Annotated[int, Ge(1)] = Field(description="Images in one step.")
    accumulate: Annotated[int, Ge(1)] = Field(
        1, description="Parts a batch is split into, whose gradients are averaged: the same step in less memory."
    )
    freeze: LayerNames = Field(
        (),
        description="Layers that stay as they begin, by kind (batch_norm), path (3_bottleneck) or place (layers[3]): "
        "their parameters are not updated, and their running statistics are used but not moved.",
    )
    clip: Clip = Field(Clip(), description="How gradients are clipped before the optimiser sees them.")
    ema_decay: Annotated[Annotated[float, Ge(0), Lt(1)] | None, TRACED] = Field(
        None,
        description="Evaluate, keep and log a running average of the parameters and batch statistics, which keeps this "
        "share of itself at every step; at step t at most (1 + t) / (10 + t), so that the initial parameters are soon "
        "forgotten.",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="What the layers compute in; parameters and statistics stay float32."
    )
    lowering: Choice = Field(
        "auto",
        description="How convolutions, max pooling and normalisation are computed: the fastest way for the device and "
        "the shape (auto), the fastest of XLA's own operations (portable), or its plain ones (reference). They differ "
        "in the last digits.",
    )
    device: Literal["auto", "cpu", "gpu", "tpu"] = Field("auto", description="Where; auto takes the best there is.")
    keep_memory: bool = Field(
        True,
        description="On a CPU, keep memory from step to step in place of asking the system for it again: faster, "
        "and more of it in use.",
    )
    metrics: tuple[Name, ...] = Field((), description="Metrics that are measured besides the loss and the accuracy.")
    monitor: Monitor = Field(Monitor(), description="Which epoch is the best.")
    early_stopping: EarlyStopping | None = Field(None, description="When to end before the last epoch.")
    keep: Literal["last", "best"] = Field(
        "last", description="The parameters that are tested and logged: the last, or those of the best epoch."
    )
    until_accuracy: Annotated[float, Gt(0), Le(1)] | None = Field(
        None, description="End once this share of the training images is classified rightly."
    )
    mirrored_evaluation: bool = Field(
        False, description="Evaluate the mean of what an image and its mirror image give."
    )
    evaluation_batch_size: Annotated[int, Ge(1), Le(limits.EVALUATED_IMAGES)] = Field(
        256, description="Images evaluated at once."
    )
    profile: Annotated[int, Ge(1)] | None = Field(
        None,
        description="Dispatches of training to trace, after the first; the trace, for https://ui.perfetto.dev, lies in "
        "the run's folder and in MLflow.",
    )
    debug_nans: bool = Field(False, description="Stop at the operation that made a NaN; slow.")

    @property
    def measured(self) -> tuple[str, ...]:
        """The names of all metrics that are measured, each once."""
        return tuple(dict.fromkeys((*ALWAYS, *self.metrics)))

    def faults(self) -> list[Fault]:
        """What does not fit together in it."""
        if self.batch_size % self.accumulate:
            return [must("train.accumulate", f"divide train.batch_size ({self.batch_size})", self.accumulate)]
        return []

    def metric_faults(self, classes: int) -> list[Fault]:
        """The metrics that need more classes than the data have."""
        least = {name: metric(name).least_classes for name in self.measured}
        return [
            must("train.metrics", f"contain {name} only for data of {count} classes or more", classes)
            for name, count in least.items()
            if classes < count
        ]
