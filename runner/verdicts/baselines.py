"""What needs no network: the answer that is most frequent in training, and a linear classifier on the pixels.

    >>> images = np.array([[0.0], [1.0], [9.0], [8.0]])
    >>> found = linear(images, np.array([0, 0, 1, 1]), images, np.array([0, 0, 1, 1]), classes=2)
    >>> found.right, found.examples
    (4, 4)

The linear classifier is fitted by least squares with a ridge (scikit-learn's `RidgeClassifier`), which has one exact
solution and no settings that a network's would have to be compared with.
"""

import functools
from typing import Any, Final, NamedTuple

import numpy as np

Array = np.ndarray[Any, Any]
# What it may cost: a fifth of a second on two cores for images of 28×28.
_EXAMPLES, _VALUES, _READ = 5_000, 1_024, 2**26
_LEAST_EXAMPLES: Final = 1_000
_RIDGE: Final = 0.01  # of the mean variance of a value, for each example


class Majority(NamedTuple):
    """The class with the most training examples, and the share of test examples that it is right for."""

    number: int
    accuracy: float


class Fitted(NamedTuple):
    """What a linear model answers, (m, k), learnt from so many training examples of so many values each."""

    answers: Array
    examples: int
    values: int
    block: int


class Linear(NamedTuple):
    """What a linear classifier got right, of how many training examples it learnt from how many values each.

    `block` is the side of the squares of pixels whose means it reads; 1: the pixels themselves.
    """

    right: int
    examples: int
    values: int
    block: int


def majority(trained: Array, tested: Array) -> Majority:
    """From the labels of training and of test; of classes that are equally frequent the first."""
    number = int(np.bincount(trained).argmax())
    return Majority(number, float(np.mean(tested == number)))


def unread(shape: tuple[int, ...], count: int, tested: int) -> str:
    """Why there is no linear classifier for inputs of a shape, `count` for training; empty if there is one."""
    most = _READ // max(int(np.prod(shape)), 1) - tested
    return "" if most >= min(count, _LEAST_EXAMPLES) else "the images are large"


def linear(inputs: Array, labels: Array, tested: Array, tested_labels: Array, *, classes: int) -> Linear:
    """Fits inputs (n, …) to their labels, and counts the right answers for the inputs (m, …) of the test."""
    found = fitted(inputs, np.eye(classes, dtype=np.float32)[labels], tested)
    return Linear(int(np.sum(found.answers.argmax(axis=1) == tested_labels)), *found[1:])


def fitted(inputs: Array, wanted: Array, tested: Array) -> Fitted:
    """Fits inputs (n, …) to targets (n, k) by least squares, and answers the inputs (m, …) of the test.

    At most 5,000 inputs, from all over the set; images of more than 1,024 values as the means of squares of pixels.
    """
    shape = inputs.shape[1:]
    most = max(min(_EXAMPLES, _READ // max(int(np.prod(shape)), 1) - len(tested)), 1)
    some = np.linspace(0, len(inputs) - 1, min(most, len(inputs))).round().astype(int)
    block = next(side for side in range(1, max(shape) + 1) if _size(shape, side) <= _VALUES or side == max(shape))
    x = _means(inputs[some], block)  # (n, d)
    centre = x.mean(axis=0)
    x -= centre
    targets = wanted[some]  # (n, k)
    offset = targets.mean(axis=0)
    gram = x.T @ x
    np.fill_diagonal(gram, np.diagonal(gram) + _RIDGE * (float(np.diagonal(gram).mean()) or 1.0))
    weights = np.linalg.solve(gram, x.T @ (targets - offset))  # (d, k)
    answers = _means(tested, block) @ weights + (offset - centre @ weights)  # (m, k)
    return Fitted(answers, len(x), x.shape[1], block)


def _size(shape: tuple[int, ...], side: int) -> int:
    """How many values are left of an input with channels last."""
    return int(np.prod([max(size // side, 1) for size in shape[:-1]])) * shape[-1]


def _means(inputs: Array, side: int) -> Array:
    """Inputs (n, …, c) as float32 (n, d): the means of blocks of `side` positions along each axis but the channels."""
    values = inputs
    for axis in range(1, inputs.ndim - 1 if side > 1 else 1):
        own = min(side, inputs.shape[axis])
        parts = (np.moveaxis(values, axis, 0)[start::own][: inputs.shape[axis] // own] for start in range(own))
        total = functools.reduce(lambda sums, part: sums + part, (np.asarray(part, np.float32) for part in parts))
        values = np.moveaxis(total / own, 0, axis)
    found: Array = values.reshape(len(values), -1).astype(np.float32)
    return found
