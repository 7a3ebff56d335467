"""A training before its first step: the program, the steps, the learning rates, the costs and the data.

>>> plan = planned(experiment, dataset, placement)    # raises ConfigError if the experiment does not fit the data
>>> plan.epochs, plan.total_steps
(2, 10)
"""

import functools
import hashlib
import math
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from runner import compiling, limits, weights
from runner.class_weights import Weighting
from runner.class_weights import weights as weights_of_classes
from runner.data import Dataset, Examples
from runner.data.fit import normalise
from runner.data.windows import Windows
from runner.errors import ConfigError, must
from runner.experiment import Experiment, Program
from runner.layers import places
from runner.layers.base import Tree
from runner.network import Network, Totals
from runner.placement import Placement
from runner.training.feed import Feeder, balanced_order, order, steps_on_cpu
from runner.training.streams import Batch, Batches, filled, placed

# As many as the source of whitening takes.
_IMAGES_TO_WHITEN: Final = 5_000
# Members that train in threads would else each put the images on the device that they share.
_sharing = threading.Lock()


class HeldOut(NamedTuple):
    """Batches of images that are not trained on: on the device, or made when they are needed."""

    val: Iterable[Batch]
    test: Iterable[Batch]


@dataclass(frozen=True, eq=False)
class Plan:
    """What one training does. Two plans are never equal, even if their fields are."""

    experiment: Experiment
    dataset: Dataset
    placement: Placement
    program: Program
    steps_per_epoch: int
    total_steps: int
    learning_rates: np.ndarray  # float32 (total_steps,)
    given: tuple[weights.Loaded, ...]  # the values that training begins with in place of drawn ones; at most one

    @property
    def epochs(self) -> int:
        """The number of epochs; the last one can be shorter than the others."""
        return math.ceil(self.total_steps / self.steps_per_epoch)

    def steps_of(self, epoch: int) -> range:
        """The steps of an epoch (from 1), counted through training from 0."""
        first = (epoch - 1) * self.steps_per_epoch
        return range(first, min(first + self.steps_per_epoch, self.total_steps))

    def order(self, epoch: int) -> np.ndarray:
        """The order of the training images in an epoch: int32 (n,)."""
        seed, labels = self.experiment.seed, self.dataset.train.labels
        if self.experiment.train.sampling == "balanced":
            return balanced_order(seed, epoch - 1, labels)
        return order(seed, epoch - 1, len(labels))

    def windows(self, epoch: int) -> Windows | None:
        """The windows that are cut out of the files in an epoch; None if images are whole."""
        crop = self.experiment.augment.random_resized_crop
        if crop is None or not crop.original:
            return None
        height, width, _ = self.program.network.input_shape
        return Windows(self.experiment.seed, epoch - 1, (height, width), crop.least_area, crop.ratio)

    @functools.cached_property
    def class_weights(self) -> np.ndarray | None:
        """What multiplies the losses of each class, float32 (k,); None where all count alike."""
        loss = self.experiment.loss
        if not isinstance(loss, Weighting) or loss.class_weights == "none":
            return None
        counts = np.bincount(self.dataset.train.labels, minlength=len(self.dataset.classes))
        return weights_of_classes(loss, counts)

    def rates(self, first: int, count: int) -> np.ndarray:
        """The learning rates of `count` steps from step `first` on; zeros after the last step: float32 (count,)."""
        found: np.ndarray = self.learning_rates[first : first + count]
        return np.pad(found, (0, count - len(found)))

    @functools.cached_property
    def feeder(self) -> Feeder:
        """The training images on their way to the device."""
        settings = self.experiment.train
        with _sharing:
            return Feeder(
                self.dataset.train,
                self.placement,
                residence=self.experiment.data.residence,
                batch_size=settings.batch_size,
                steps_per_epoch=self.steps_per_epoch,
                steps_on_cpu=1 if settings.debug_nans else steps_on_cpu(self.program, self.totals.multiply_adds),
            )

    @functools.cached_property
    def held_out(self) -> HeldOut:
        """The validation and the test images on the device."""
        count, most = max(len(self.dataset.val), len(self.dataset.test)), self.experiment.train.evaluation_batch_size
        size = self.program.network.evaluated_together(count, most)
        if self.placement.processes > 1:  # each device has an equal part
            size = math.ceil(size / self.placement.count) * self.placement.count
        if self.experiment.data.residence == "host" or self.dataset.train.streamed:
            return HeldOut(*(Batches(part, size, self.placement) for part in (self.dataset.val, self.dataset.test)))
        with _sharing:
            return _held_out(self.dataset, self.placement, size)

    @functools.cached_property
    def values(self) -> tuple[Any, ...]:
        """The traced values of the program."""
        return compiling.leaves(self.program)

    @property
    def totals(self) -> Totals:
        """The costs of the network, for one image."""
        return self.program.network.totals

    @property
    def structure(self) -> Any:
        """What plans share that use one compiled program."""
        return jax.tree.structure(self.program)

    @functools.cached_property
    def group(self) -> str:
        """A short name of the compiled program. Runs that share it differ only in traced values."""
        return hashlib.sha256(str(self.structure).encode()).hexdigest()[:12]


def planned(experiment: Experiment, dataset: Dataset, placement: Placement) -> Plan:
    """The plan of an experiment on its data. Raises ConfigError if they do not fit."""
    mean, std = experiment.data.mean, experiment.data.std
    if mean is None or std is None:  # measuring reads every streamed image
        measured = dataset.statistics
        mean, std = mean or measured[0], std or measured[1]
    vocabulary = experiment.data.vocabulary_size or len(dataset.vocabulary) or None
    network = experiment.network(dataset.shape, len(dataset.classes), vocabulary)
    task = experiment.task.bound(dataset.train.labels)
    program = experiment.program(network, mean=mean, std=std, values=dataset.range, task=task)
    together, batch = placement.count * experiment.train.accumulate, experiment.train.batch_size
    if placement.others and batch % together:
        rule = f"be a multiple of {together}, which are the devices and the parts of a batch"
        raise ConfigError(must("train.batch_size", rule, batch))
    steps_per_epoch, total_steps = _steps(experiment, len(dataset.train))
    return Plan(
        experiment=experiment,
        dataset=dataset,
        placement=placement,
        program=program,
        steps_per_epoch=steps_per_epoch,
        total_steps=total_steps,
        learning_rates=experiment.schedule.learning_rates(
            experiment.optimizer.learning_rate, total_steps=total_steps, steps_per_epoch=steps_per_epoch
        ),
        given=_given(experiment, program, dataset),
    )


def batches(examples: Examples, size: int, placement: Placement) -> list[Batch]:
    """Examples cut into batches of one size on a device, the last one filled up with zeros of weight 0."""
    made = (filled(examples, start, size, placement) for start in range(0, len(examples), size))
    return [placed(arrays, placement) for arrays in made]


def _steps(experiment: Experiment, images: int) -> tuple[int, int]:
    """The steps of an epoch and of the whole training. Raises ConfigError."""
    settings = experiment.train
    in_an_epoch = images // settings.batch_size
    if not in_an_epoch:
        raise ConfigError(must("train.batch_size", f"be at most the {images} training images", settings.batch_size))
    in_all = settings.steps or settings.epochs * in_an_epoch
    if in_all > limits.TRAINING_STEPS:
        name = "steps" if settings.steps else "epochs"
        rule = f"come to at most {limits.TRAINING_STEPS} steps"
        raise ConfigError(must(f"train.{name}", rule, getattr(settings, name)))
    return in_an_epoch, in_all


def _given(experiment: Experiment, program: Program, dataset: Dataset) -> tuple[weights.Loaded, ...]:
    """The values that training begins with: those of a weights file, and filters that are made of the images."""
    model = experiment.model
    white = _whitening(dataset, program.network, program.mean, program.std)
    if model.weights is None:
        return (weights.Loaded(white, {}),) if white else ()
    params, statistics = weights.load(model.weights, program.network, fresh=model.weights_except)
    return (weights.Loaded(places.merged(white, params), statistics),)


# Members of a sweep share the images on the device. Those of the last two data sets are kept for the next members.
@functools.lru_cache(maxsize=2)
def _held_out(dataset: Dataset, placement: Placement, size: int) -> HeldOut:
    return HeldOut(batches(dataset.val, size, placement), batches(dataset.test, size, placement))


@functools.lru_cache(maxsize=2)
def _whitening(dataset: Dataset, network: Network, mean: tuple[float, ...], std: tuple[float, ...]) -> Tree:
    """The parameters that are made of training images."""
    if not network.whitened():
        return {}
    inputs = dataset.train.inputs
    # From all over the set, which may be sorted by class. The patches of these images are enough.
    some = inputs[np.linspace(0, len(inputs) - 1, min(len(inputs), _IMAGES_TO_WHITEN)).astype(int)]
    images = normalise(
        network.fitted(jnp.asarray(some), np.asarray(dataset.range.black, np.float32)),
        jnp.asarray(mean),
        jnp.asarray(std),
    )
    return network.whitening(np.asarray(images))
