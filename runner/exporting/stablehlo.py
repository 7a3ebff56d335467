"""A trained network as StableHLO with its weights inside, for CPU, CUDA and TPU and any number of inputs.

>>> call = runner_of(content(trained))
>>> call(images).shape
(5, 10)
"""

from collections.abc import Callable

import jax
import numpy as np
from jax import export

from runner import serving, train
from runner.trained import Trained


def content(trained: Trained) -> bytes:
    """The file, as `jax.export` serialises it: the program of inputs (n, …) that returns probabilities (n, k)."""
    params, statistics = jax.device_get((trained.params, trained.statistics))

    def probabilities(inputs: jax.Array) -> jax.Array:
        return train.predict(trained.program, params, statistics, inputs)

    dtype = np.dtype(trained.input_dtype)
    exported, _ = serving.exported(probabilities, (), trained.program.network.data_shape, dtype)
    return bytes(exported.serialize())


def runner_of(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
    """The program of a file, as a function of inputs (n, …)."""
    call: Callable[..., jax.Array] = export.deserialize(bytearray(content)).call
    return lambda inputs: np.asarray(call(inputs))
