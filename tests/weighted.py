"""A small network with residuals and normalisation, new or trained on digits, for tests of its weights."""

import functools

import numpy as np
from configurations import begun, tiny

from runner import data
from runner.data import Dataset
from runner.layers import places
from runner.training.alone import Training

LAYERS = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, batch_norm, relu, {max_pool: {size: 2}}, "
    "{residual: {layers: [{conv: {filters: 4, kernel_size: 3, padding: 1}}, batch_norm]}}, relu, flatten, classifier]"
)


@functools.cache
def digits() -> Dataset:
    return data.load(tiny().data)


def fresh(*overrides: str) -> Training:
    return begun(tiny(LAYERS, *overrides), digits())


def trained(*overrides: str) -> Training:
    training = fresh(*overrides)
    list(training.epochs())
    return training


def held(training: Training) -> dict[str, np.ndarray]:
    """Every parameter and statistic by its path."""
    leaves = places.dotted(training.state.params) | places.dotted(training.state.statistics)
    return {name: np.asarray(leaf) for name, leaf in leaves.items()}
