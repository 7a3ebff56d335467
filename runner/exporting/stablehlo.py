"""A trained network as StableHLO with its weights inside, for CPU, CUDA and TPU and any number of inputs.

>>> call = runner_of(content(trained))
>>> probabilities, outputs = call(images)
>>> probabilities.shape, outputs.shape
((5, 10), (5, 10))
"""

from collections.abc import Callable

import jax
import numpy as np
from jax import export

from runner import serving, train
from runner.trained import Trained


def content(trained: Trained) -> bytes:
    """The file, as `jax.export` serialises it: the program of inputs (n, …) with the results of `train.results`."""
    params, statistics = jax.device_get((trained.params, trained.statistics))

    def results(inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
        return train.results(trained.program, params, statistics, inputs)

    dtype = np.dtype(trained.input_dtype)
    exported, _ = serving.exported(results, (), trained.program.network.data_shape, dtype)
    return bytes(exported.serialize())


def runner_of(content: bytes) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The program of a file, as a function of inputs (n, …)."""
    call: Callable[..., tuple[jax.Array, jax.Array]] = export.deserialize(bytearray(content)).call

    def run(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, outputs = call(inputs)
        return np.asarray(probabilities), np.asarray(outputs)

    return run
