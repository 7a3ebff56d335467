"""The target, the outputs and the loss of one example, before and after training.

With `train.steps=1` the picture is that of one step of gradient descent.
"""

from typing import TYPE_CHECKING, Final, NamedTuple

import jax.numpy as jnp
import numpy as np

from runner import train
from runner.layers.base import Array, Tree
from runner.losses import L2Loss
from runner.network import Network
from runner.run_figures.subject import Example, RunFigure, Subject, has_numbers

if TYPE_CHECKING:
    from runner.figures.learning_step import Outputs

_CLASSES: Final = 20  # rows that have room


class Compared(NamedTuple):
    """An example with its target (k,), and its outputs before and after training."""

    example: Example
    target: Array
    before: "Outputs"
    after: "Outputs"


def draw(subject: Subject) -> bytes:
    """The first of the chosen examples, else the first validation example."""
    from runner.figures import png
    from runner.figures.learning_step import learning_step

    found, trained = compared(subject), subject.trained
    loss = trained.program.loss
    text = "½ Σ (target − output)²" if isinstance(loss, L2Loss) else loss.name
    return png(learning_step(found.example.input, trained.classes, *found[1:], loss=text))


def compared(subject: Subject) -> Compared:
    """The outputs and the loss of an example; the target of an image without a class is its most probable class."""
    from runner.figures.learning_step import Outputs

    example = (subject.chosen or (subject.validation_example(0),))[0]
    trained = subject.trained
    target = np.zeros(len(trained.classes), np.float32)
    answer = trained.answers(example.input[None], subject.placement)[0]
    target[int(answer.argmax()) if example.label is None else example.label] = 1
    loss = trained.program.loss

    def found(params: Tree) -> Outputs:
        inputs = jnp.asarray(example.input[None])
        values = np.asarray(train.outputs(trained.program, params, trained.statistics, inputs)[0])
        total = float(loss.per_example(jnp.asarray(values[None]), jnp.asarray(target[None]))[0])
        parts = 0.5 * (target - values) ** 2 if isinstance(loss, L2Loss) else None
        return Outputs(values, total, parts)

    return Compared(example, target, found(subject.before.params), found(trained.params))


def _suits(network: Network) -> bool:
    return has_numbers(network) and network.classes <= _CLASSES


FIGURE = RunFigure(draw, "target, outputs and loss of an example before and after training", suits=_suits)
