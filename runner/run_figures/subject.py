"""What a figure of a run is drawn from, and what a file of this room declares.

    >>> FIGURE = RunFigure(draw, "the worst images", suits=has_images)     # in the module that has the figure's name
    >>> figure("worst_images").file("worst_images")
    'figures/worst_images.png'

To add a figure is to add its module: `figures.draw` and the verb `explain` find it by its name.
"""

import functools
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import jax
import numpy as np

from runner import compiling, judging
from runner.data import Dataset
from runner.data.vocabulary import token_text
from runner.explaining.excitation import responses
from runner.explaining.layers import last_spatial, printed
from runner.explaining.sight import Sight
from runner.layers.base import Tree
from runner.network import Network
from runner.placement import Placement
from runner.train import Variables
from runner.trained import Trained

if TYPE_CHECKING:
    from runner.figures import Answered

# What choosing examples may cost: a tenth of a second on two cores.
_JUDGED_MULTIPLY_ADDS: Final = 2**32
_LEAST_JUDGED: Final = 64
_EXCITING: Final = 2000


class Example(NamedTuple):
    """An input in the form of the data, its class if it is known, and its name: `#12`, or that of a file.

    `target` (k,) are its labels or numbers, if it has no class and they are known.
    """

    input: np.ndarray
    label: int | None
    name: str
    target: np.ndarray | None = None


class Excitement(NamedTuple):
    """The largest value of each filter's map for some validation images, and where; see `excitation.responses`."""

    indices: np.ndarray  # (n,) of the images
    values: np.ndarray  # (n, c)
    positions: np.ndarray  # (n, c, 2)


class Course(NamedTuple):
    """How training went: the metrics of each epoch, the best epoch (from 1), and the metric that selected it."""

    history: tuple[Mapping[str, float], ...]
    best_epoch: int | None
    monitor: str


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained network, and what figures show of it. What has to be computed is computed once, when it is asked for.

    `given` are the values that training began with in place of drawn ones, as in `training.plan.Plan`.
    """

    trained: Trained
    placement: Placement
    data: Callable[[], Dataset]
    course: Course | None = None
    given: tuple[tuple[Tree, Tree], ...] = ()
    chosen: tuple[Example, ...] = ()  # by the user; else `examples` chooses
    layer: str | None = None  # the path of the layer to look at; None: the last one with feature maps
    folder: Path | None = None  # of the run

    @functools.cached_property
    def sight(self) -> Sight:
        """The network as it is explained."""
        return Sight(self.trained, self.placement)

    @property
    def path(self) -> str:
        """The path of the layer to look at; only for networks that have feature maps."""
        found = self.layer or last_spatial(self.network)
        assert found is not None, "a figure of feature maps suits only networks that have some"
        return found

    def place(self, path: str) -> str:
        """The place of a layer in the YAML, as it is printed; copies of a repeated layer have their path instead."""
        return printed(self.network, path)

    @property
    def network(self) -> Network:
        """The network without its values."""
        return self.trained.program.network

    @functools.cached_property
    def dataset(self) -> Dataset:
        """The data of the run."""
        return self.data()

    @functools.cached_property
    def probabilities(self) -> np.ndarray:
        """The answers (n, k) to the validation examples: class probabilities, or those of another task."""
        return self.trained.answers(self.dataset.val.inputs, self.placement)

    @functools.cached_property
    def judged(self) -> tuple[np.ndarray, np.ndarray]:
        """Validation examples to choose from, as indices (n,), and the answers (n, k) to them.

        All of them unless that would cost much: the figures of each run choose from them.
        """
        count = _JUDGED_MULTIPLY_ADDS // max(self.network.totals.multiply_adds, 1)
        if count >= len(self.dataset.val):
            return np.arange(len(self.dataset.val)), self.probabilities
        indices = self.some(max(count, _LEAST_JUDGED))
        return indices, self.trained.answers(self.dataset.val.inputs[indices], self.placement)

    @functools.cached_property
    def tested(self) -> np.ndarray:
        """The answers (n, k) to the test examples: those of the run's own evaluation, if it just ended."""
        known = self.trained.tested
        return self.trained.answers(self.dataset.test.inputs, self.placement) if known is None else known

    @property
    def of_test(self) -> str:
        """The word for the test examples."""
        return "test texts" if self.trained.vocabulary else "test images" if has_images(self.network) else "test inputs"

    @functools.cached_property
    def verdict(self) -> judging.AnyVerdict:
        """The verdict on these answers; of classes with a temperature fitted to the `judged` validation examples."""
        task = self.trained.experiment.task
        if task.name not in CLASSES:
            return judging.verdict(self.dataset, self.tested, task)
        indices, probabilities = self.judged
        return judging.verdict(self.dataset, self.tested, task, (self.dataset.val.labels[indices], probabilities))

    @functools.cached_property
    def before(self) -> Variables:
        """The parameters and the statistics before the first step."""
        program = self.trained.program
        state = compiling.compiled(program, self.placement).init(compiling.leaves(program), *self.given)
        return Variables(state.params, state.statistics)

    @functools.cached_property
    def examples(self) -> tuple[Example, ...]:
        """The chosen examples; else two of the validation examples: the surest right one, and the worst one."""
        if self.chosen:
            return self.chosen
        indices, probabilities = self.judged
        labels = self.dataset.val.labels[indices]
        task = self.trained.program.task
        if task.name not in CLASSES:
            errors = task.errors(labels, probabilities)
            ends = dict.fromkeys((int(np.argmin(errors)), int(np.argmax(errors))))
            return tuple(self.validation_example(int(indices[place])) for place in ends)
        given = probabilities[np.arange(len(labels)), labels]
        is_right = probabilities.argmax(axis=1) == labels
        places = dict.fromkeys((int(np.argmax(np.where(is_right, given, -1))), int(np.argmin(given))))
        return tuple(self.validation_example(int(indices[place])) for place in places)

    def validation_example(self, index: int) -> Example:
        """The validation example at an index."""
        val = self.dataset.val
        name = val.files[index].rpartition("/")[2] if val.files else f"#{index}"
        label = val.labels[index]
        if label.ndim:
            return Example(val.inputs[index], None, name, label)
        return Example(val.inputs[index], int(label), name)

    @functools.cached_property
    def answers(self) -> np.ndarray:
        """The answers (n, k) to the examples."""
        return self.trained.answers(np.stack([example.input for example in self.examples]), self.placement)

    @functools.cached_property
    def seen(self) -> np.ndarray:
        """The examples in the size of the network's input, float32 (n, h, w, c)."""
        return self.sight.seen(np.stack([example.input for example in self.examples]))

    def some(self, most: int) -> np.ndarray:
        """The indices of at most so many validation examples, from all over the set."""
        count = len(self.dataset.val)
        return np.linspace(0, count - 1, min(most, count)).round().astype(int)

    @functools.cached_property
    def excitement(self) -> Excitement:
        """How validation images, at most 2,000, excite the filters of the layer to look at."""
        indices = self.some(_EXCITING)
        return Excitement(indices, *responses(self.sight, self.dataset.val.inputs[indices], self.path))

    @property
    def answered(self) -> "list[Answered]":
        """The examples with their answers, as figures show them."""
        from runner.figures import Answered

        words, task = self.trained.vocabulary, self.trained.program.task
        found = []
        for one, answer in zip(self.examples, self.answers, strict=True):
            text = token_text(one.input, words) if words else None
            said = task.said(self.trained.classes, answer, one.target) if task.name not in CLASSES else ""
            found.append(Answered(one.input, one.name, one.label, answer, text, said))
        return found

    @functools.cached_property
    def activations(self) -> dict[str, np.ndarray]:
        """The outputs (n, …) of each layer for the examples, by the layer's path."""
        trained = self.trained
        functions, values = compiling.compiled(trained.program, self.placement), compiling.leaves(trained.program)
        inputs = np.stack([example.input for example in self.examples])
        found = functions.activations(values, trained.params, trained.statistics, inputs)
        return {path: np.asarray(output, np.float32) for path, output in jax.device_get(found).items()}


CLASSES: Final = frozenset({"classification"})
LABELS: Final = frozenset({"multi_label"})
NUMBERS: Final = frozenset({"regression"})
ALL: Final = CLASSES | LABELS | NUMBERS


def always(network: Network) -> bool:
    """Suits every network."""
    del network
    return True


def has_numbers(network: Network) -> bool:
    """Suits networks of images and of signals."""
    return network.vocabulary is None


def has_images(network: Network) -> bool:
    """Suits networks of images."""
    return has_numbers(network) and len(network.input_shape) == 3


def has_maps(network: Network) -> bool:
    """Suits networks of images with feature maps of more than one position."""
    return has_images(network) and last_spatial(network) is not None


def has_texts(network: Network) -> bool:
    """Suits networks of texts."""
    return network.vocabulary is not None


@dataclass(frozen=True)
class RunFigure:
    """A figure of a run. `draw` returns the content of its file; it is called in the background when a run has ended.

    It is drawn of networks that it `suits` and that learnt one of its `tasks`, after a training only if `in_runs`
    agrees; the verb `explain` draws it of each. `of_layer`: it looks at `Subject.path`. `of_training`: it needs the
    course of the training, which only the run itself knows. `about` says in a few words what it shows.
    """

    draw: Callable[[Subject], bytes]
    about: str
    suits: Callable[[Network], bool] = always
    tasks: frozenset[str] = CLASSES
    in_runs: Callable[[Network], bool] = always
    of_training: bool = False
    of_layer: bool = False
    place: str = "figures/{name}.png"

    def fits(self, subject: Subject) -> bool:
        """Whether it can be drawn of this network."""
        return subject.trained.experiment.task.name in self.tasks and self.suits(subject.network)

    def file(self, name: str) -> str:
        """The path of its file in the run's folder and among the run's artifacts."""
        return self.place.format(name=name)


def figure(name: str) -> RunFigure:
    """The figure of this name, which must be one of `settings.names`."""
    found: RunFigure = importlib.import_module(f"{__package__}.{name}").FIGURE
    return found
