"""A small trained network, the same in PyTorch, and an image that both see."""

import functools

import numpy as np
import pytest
from configurations import here
from trainings import digits, trained

from runner.explaining.sight import Sight


@functools.cache
def sight(*overrides: str) -> Sight:
    return Sight(trained("train.epochs=2", *overrides).trained({}), here())


def seen(count: int = 1, *overrides: str) -> np.ndarray:
    """Validation images as the network sees them."""
    return sight(*overrides).seen(digits().val.inputs[:count])


class Twin:
    """The network of `sight()` in PyTorch, with images (n, 1, h, w) of its input."""

    def __init__(self) -> None:
        self.torch = pytest.importorskip("torch", reason="PyTorch is the oracle: make oracle")
        trained, tensor = sight().trained, self.torch.tensor
        conv, dense = trained.params["0_conv"], trained.params["4_classifier"]
        self._kernel = tensor(np.asarray(conv["kernel"]).transpose(3, 2, 0, 1))
        self._bias, self._weights = tensor(np.asarray(conv["bias"])), tensor(np.asarray(dense["kernel"]))
        self._last = tensor(np.asarray(dense["bias"]))
        self._mean, self._std = trained.program.mean[0], trained.program.std[0]

    def images(self, seen: np.ndarray):  # type: ignore[no-untyped-def]
        return self.torch.tensor(seen.transpose(0, 3, 1, 2)).requires_grad_()

    def __call__(self, images):  # type: ignore[no-untyped-def]
        """The maps after the pooling, and the scores."""
        functional = self.torch.nn.functional
        x = functional.conv2d((images - self._mean) / self._std, self._kernel, self._bias)
        maps = functional.max_pool2d(functional.relu(x), 2)
        maps.retain_grad()
        scores = maps.permute(0, 2, 3, 1).flatten(1) @ self._weights + self._last
        return maps, scores
