"""What PyTorch has in one layout, in ours: element by element, and as features meet features."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from runner.errors import ConfigError
from runner.layers.base import Shape
from runner.layers.passes import Pass
from runner.model import Model
from runner.records import frozen
from runner.state_dicts import slots, translated

RNG = np.random.default_rng(0)


def model(*layers: Any) -> Model:
    return Model.model_validate(frozen({"name": "net", "layers": list(layers)}))


def taken(net: Model, shape: Shape, state: dict[str, Any]) -> dict[str, Any]:
    return translated(slots(net.bind(shape, 3).layers, shape), state, ordered=True)


def random(*shape: int) -> np.ndarray:
    return RNG.standard_normal(shape).astype(np.float32)


def test_the_axes_of_kernels_are_reordered() -> None:
    two, one = random(8, 3, 5, 7), random(6, 4, 5)
    net = model({"conv": {"filters": 8, "kernel_size": [5, 7], "groups": 2, "use_bias": False}}, "global_avg_pool")
    kernel = taken(net, (9, 9, 6), {"c.weight": two})["0_conv.kernel"]
    assert kernel.shape == (5, 7, 3, 8)
    assert kernel[1, 2, 0, 5] == two[5, 0, 1, 2]
    net = model({"conv": {"filters": 6, "kernel_size": 5, "use_bias": False}}, "global_avg_pool")
    kernel = taken(net, (9, 4), {"c.weight": one})["0_conv.kernel"]
    assert kernel.shape == (5, 4, 6)
    assert kernel[1, 2, 3] == one[3, 2, 1]


def test_the_kernel_of_a_transposed_convolution_is_that_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    theirs = torch.nn.ConvTranspose2d(4, 6, (2, 3), stride=2, padding=(0, 1), groups=2)
    state = {name: array.numpy() for name, array in theirs.state_dict().items()}
    kind = {"filters": 6, "kernel_size": [2, 3], "stride": 2, "padding": [0, 1], "groups": 2}
    x = random(2, 5, 3, 4)
    expected = np.moveaxis(theirs(torch.tensor(np.moveaxis(x, -1, 1).copy())).detach().numpy(), 1, -1)
    named = {f"up.{name}": array for name, array in state.items()}
    found = outputs(model({"conv_transpose": kind}), (5, 3, 4), named, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_normalisation_arrays_are_renamed() -> None:
    state = {name: random(4) for name in ("weight", "bias", "running_mean", "running_var")}
    arrays = {f"bn.{name}": array for name, array in state.items()} | {"bn.num_batches_tracked": np.array(7)}
    found = taken(model("batch_norm"), (5, 5, 4), arrays)
    for theirs, ours in (("weight", "scale"), ("bias", "bias"), ("running_mean", "mean"), ("running_var", "variance")):
        np.testing.assert_array_equal(found[f"0_batch_norm.{ours}"], state[theirs])


def outputs(net: Model, shape: Shape, state: dict[str, Any], x: np.ndarray) -> np.ndarray:
    """Of a network without parameters but those of a state dict."""
    params: dict[str, Any] = {}
    for path, array in taken(net, shape, state).items():
        *above, last = path.split(".")
        here = params
        for part in above:
            here = here.setdefault(part, {})
        here[last] = jnp.asarray(array)
    y, _ = net.bind(shape, 3).apply(params, {}, jnp.asarray(x), Pass(training=False, key=jax.random.key(0)))
    return np.asarray(y)


def channels_first(x: np.ndarray) -> np.ndarray:
    """Every value of a batch (n, h, w, c) in one row, as PyTorch flattens it."""
    return np.moveaxis(x, -1, 1).reshape(len(x), -1)


def test_a_dense_layer_after_flatten_has_its_inputs_reordered() -> None:
    x, weight, bias = random(2, 3, 5, 4), random(3, 60), random(3)
    # Layers that keep every feature at its place may stand between.
    net = model("flatten", "relu", {"dropout": {"rate": 0.5}}, "classifier")
    expected = np.maximum(channels_first(x), 0) @ weight.T + bias
    found = outputs(net, (3, 5, 4), {"fc.weight": weight, "fc.bias": bias}, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("per_channel", [False, True])
def test_the_slopes_of_a_prelu_follow_their_features(per_channel: bool) -> None:
    x, weight = random(2, 3, 5, 4), random(60 if per_channel else 1)
    net = model("flatten", {"prelu": {"per_channel": per_channel}}, "classifier")
    dense, bias, first = random(3, 60), random(3), channels_first(x)
    expected = np.where(first > 0, first, first * weight) @ dense.T + bias
    found = outputs(net, (3, 5, 4), {"act.weight": weight, "fc.weight": dense, "fc.bias": bias}, x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_groups_of_flattened_features_are_not_those_of_pytorch() -> None:
    state = {"norm.weight": random(60), "norm.bias": random(60)}
    net = model("flatten", {"group_norm": {"groups": 4}}, "classifier")
    with pytest.raises(ConfigError) as caught:
        taken(net, (3, 5, 4), state)
    rule = "must stand before flatten, as PyTorch has the flattened features in another order"
    assert str(caught.value) == f"model.layers[1].group_norm: {rule}, got 4 groups"
    with pytest.raises(ConfigError) as caught:
        taken(model("flatten", "local_response_norm", "classifier"), (3, 5, 4), {"fc.weight": random(10, 60)})
    assert str(caught.value) == f"model.layers[1].local_response_norm: {rule}, got 5 neighbours"
    single = model("flatten", {"group_norm": {"groups": 1}}, {"dense": {"units": 2, "use_bias": False}})
    assert len(taken(single, (3, 5, 4), {**state, "fc.weight": random(2, 60)})) == 3


def test_layers_after_the_first_dense_layer_are_not_reordered() -> None:
    # As many units as inputs: the order of the features ends all the same.
    x, first, second = random(2, 2, 2, 3), random(12, 12), random(3, 12)
    net = model("flatten", {"dense": {"units": 12, "use_bias": False}}, {"classifier": {"use_bias": False}})
    found = outputs(net, (2, 2, 3), {"a.weight": first, "b.weight": second}, x)
    np.testing.assert_allclose(found, channels_first(x) @ first.T @ second.T, rtol=1e-4, atol=1e-5)


def test_normalisation_of_flattened_features_is_reordered_too() -> None:
    x, scale, bias = random(2, 2, 3, 4), random(24), random(24)
    found = outputs(model("flatten", "layer_norm"), (2, 3, 4), {"n.weight": scale, "n.bias": bias}, x)
    flat = channels_first(x)
    normal = (flat - flat.mean(1, keepdims=True)) / np.sqrt(flat.var(1, keepdims=True) + 1e-5)
    # What comes out is in our order: the same values, each at the place of its feature.
    np.testing.assert_allclose(np.sort(found), np.sort(normal * scale + bias), rtol=1e-4, atol=1e-5)


def test_paths_that_flatten_are_joined_feature_by_feature() -> None:
    x, weight = random(2, 4, 4, 2), random(3, 8 + 2 + 32)
    paths = [[{"max_pool": {"size": 2}}, "flatten"], ["global_avg_pool"], ["flatten"]]
    pooled = x.reshape(2, 2, 2, 2, 2, 2).max((2, 4))
    features = np.concatenate([channels_first(pooled), x.mean((1, 2)), channels_first(x)], axis=1)
    net = model({"branches": {"paths": paths}}, {"classifier": {"use_bias": False}})
    np.testing.assert_allclose(
        outputs(net, (4, 4, 2), {"fc.weight": weight}, x), features @ weight.T, rtol=1e-4, atol=1e-5
    )
    net = model("flatten", {"dense_connection": {"layers": ["relu"]}}, {"classifier": {"use_bias": False}})
    flat, weight = channels_first(x), random(3, 64)
    features = np.concatenate([flat, np.maximum(flat, 0)], axis=1)
    np.testing.assert_allclose(
        outputs(net, (4, 4, 2), {"fc.weight": weight}, x), features @ weight.T, rtol=1e-4, atol=1e-5
    )


def test_a_side_head_does_not_change_the_order() -> None:
    x, beside, weight = random(2, 2, 2, 3), random(3, 12), random(3, 12)
    head: dict[str, Any] = {"classifier": {"use_bias": False}}
    net = model("flatten", {"auxiliary": {"layers": [head]}}, head)
    found = outputs(net, (2, 2, 3), {"aux.weight": beside, "fc.weight": weight}, x)
    np.testing.assert_allclose(found, channels_first(x) @ weight.T, rtol=1e-4, atol=1e-5)


def test_adding_features_in_two_orders_is_refused() -> None:
    net = model("flatten", {"residual": {"layers": [{"dense": {"units": 12}}]}}, "classifier")
    with pytest.raises(ConfigError) as caught:
        slots(net.bind((2, 2, 3), 3).layers, (2, 2, 3))
    assert str(caught.value) == (
        "model.weights: must give the features that layers[1].residual merges in one order, "
        "got flattened ones and others"
    )


def test_a_convolution_over_its_whole_input_is_a_dense_layer() -> None:
    x, weight = random(2, 2, 2, 3), random(3, 3, 2, 2)
    net = model("flatten", {"classifier": {"use_bias": False}})
    expected = channels_first(x) @ weight.reshape(3, -1).T
    np.testing.assert_allclose(outputs(net, (2, 2, 3), {"fc.weight": weight}, x), expected, rtol=1e-4, atol=1e-5)
