"""A few steps of training on digits, for tests of the training program."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from configurations import begun, here, tiny

from runner import compiling, data, train
from runner.data import Dataset
from runner.experiment import Experiment, Program
from runner.training.alone import Training

SMOOTH = (
    "model.layers=[{conv: {filters: 3, kernel_size: 3, padding: same}}, tanh, {avg_pool: {size: 2}}, "
    "{conv: {filters: 4, kernel_size: 3}}, batch_norm, tanh, flatten, {dropout: {rate: 0.2}}, classifier]"
)


@functools.cache
def digits() -> Dataset:
    return data.load(tiny().data)


def started(experiment: Experiment) -> tuple[Program, train.State, train.Feed]:
    """The program of an experiment on the digits, its first state, and the training images in the first order."""
    training = begun(experiment, digits())
    examples = digits().train
    order = training.plan.order(1)
    return (
        training.plan.program,
        training.state,
        train.Feed(jnp.asarray(examples.inputs), jnp.asarray(examples.labels), order),
    )


def advanced(
    program: Program, state: train.State, feed: train.Feed, rates: list[float], start: int = 0
) -> tuple[train.State, train.Sums]:
    """The state after one step at each of the rates, dispatched one by one as the host does it."""
    functions, values = compiling.compiled(program, here()), compiling.leaves(program)
    state = jax.tree.map(jnp.copy, state)  # the program is given its argument's memory
    sums = state.sums
    for batch, rate in enumerate(rates, start):
        state, sums = functions.advance(values, state, feed, np.float32([rate]), np.int32(batch), np.int32(1))
    return state, sums


def trained(*overrides: str) -> Training:
    """A tiny experiment trained to its end."""
    training = begun(tiny(*overrides), digits())
    list(training.epochs())
    return training


def assert_same(one: Any, other: Any) -> None:
    """Equal bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, one, other)


def assert_close(one: Any, other: Any, *, rtol: float = 1e-4, atol: float = 1e-6) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=rtol, atol=atol), one, other)
