"""Normalisation over groups of channels of one image, against PyTorch."""

from typing import Any

import jax
import numpy as np
import pytest
from alone import images, normal, output

from runner.layers.base import Layer
from runner.layers.norm import GroupNorm, InstanceNorm


@pytest.mark.parametrize(("groups", "spatial"), [(1, (4, 5)), (2, (4, 5)), (3, (5,)), (6, (4, 5)), (2, ())], ids=str)
def test_group_norm_and_its_gradients_are_those_of_pytorch(groups: int, spatial: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    theirs = torch.nn.GroupNorm(groups, 6, eps=1e-3)
    same_as(theirs, GroupNorm(groups=groups, epsilon=1e-3), images(3, *spatial, 6))


@pytest.mark.parametrize("spatial", [(5,), (4, 5)], ids=str)
def test_instance_norm_and_its_gradients_are_those_of_pytorch(spatial: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    kind = torch.nn.InstanceNorm1d if len(spatial) == 1 else torch.nn.InstanceNorm2d
    same_as(kind(6, affine=True), InstanceNorm(), images(3, *spatial, 6))
    np.testing.assert_allclose(
        output(GroupNorm(groups=6), images(3, *spatial, 6)), output(InstanceNorm(), images(3, *spatial, 6)), atol=1e-6
    )


def same_as(theirs: Any, layer: Layer, x: np.ndarray) -> None:
    """Holds a layer with a scale and a bias against a module of PyTorch: the output and all gradients."""
    params = {"scale": normal(6, seed=1), "bias": normal(6, seed=2)}
    g, torch = normal(*x.shape, seed=3), pytest.importorskip("torch", reason="PyTorch is not installed")
    theirs.weight.data, theirs.bias.data = (torch.tensor(np.asarray(params[name])) for name in ("scale", "bias"))
    first = torch.tensor(np.moveaxis(x, -1, 1).copy(), requires_grad=True)
    expected = theirs(first)
    expected.backward(torch.tensor(np.moveaxis(np.asarray(g), -1, 1).copy()))

    @jax.jit
    def both(params: Any, x: jax.Array) -> Any:
        y, pull = jax.vjp(lambda params, x: output(layer, x, params, {}, training=True), params, x)
        return y, pull(g)

    y, (by_params, by_x) = both(params, x)
    np.testing.assert_allclose(y, np.moveaxis(expected.detach().numpy(), 1, -1), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_x, np.moveaxis(first.grad.numpy(), 1, -1), rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(by_params["scale"], theirs.weight.grad.numpy(), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(by_params["bias"], theirs.bias.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_an_image_is_normalised_alone() -> None:
    x = images(4, 5, 5, 6)
    params = {"scale": normal(6, seed=1), "bias": normal(6, seed=2)}
    for layer in (GroupNorm(groups=2), InstanceNorm()):
        run = jax.jit(lambda x, layer=layer: output(layer, x, params, {}, training=True))
        np.testing.assert_allclose(run(x)[1:2], run(x[1:2]), rtol=1e-5, atol=1e-6)
