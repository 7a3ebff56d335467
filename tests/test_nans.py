"""Where a NaN was made: the operation, and the layer by its path in the YAML."""

import re
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from configurations import here, tiny

from runner import data, nans
from runner.errors import TrainingError
from runner.layers import places
from runner.layers.base import Tree
from runner.layers.passes import Pass
from runner.loop import Loop
from runner.model import Model
from runner.records import frozen

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered")


# Weights of about 1e29 overflow in the second layer: to a NaN, or, where JAX adds up in wider numbers, to ∞, of which
# the third makes a NaN in any case.
OVERFLOWING = ((2, "dense"), (3, "classifier"))


NAN: dict[str, Any] = {"dense": {"units": 4}}  # a layer whose weights are infinite in the test below
REPEATED = "dense_connection.layers[0].repeat.layers[0].dense"


def lost(*overrides: str) -> str:
    """What is said of a training that makes a NaN."""
    ruinous = ("optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant", "train.debug_nans=true")
    experiment = tiny(*ruinous, *overrides)
    loop = Loop(experiment, data.load(experiment.data), here())
    with pytest.raises(TrainingError) as caught, nans.located(True):
        list(loop.epochs())
    assert caught.value.exit_status == 1
    return str(caught.value)


def test_the_layer_and_the_operation_are_named() -> None:
    line = lost("model.layers=[flatten, {dense: {units: 8}}, {dense: {units: 8}}, classifier]")
    assert line in {
        f"model.layers[{index}].{kind}: must stay finite, made a NaN in dot_general" for index, kind in OVERFLOWING
    }


def test_also_within_a_repetition() -> None:
    line = lost("model.layers=[flatten, {repeat: {times: 3, layers: [{dense: {units: 8}}]}}, classifier]")
    assert line == "model.layers[1].repeat.layers[0].dense: must stay finite, made a NaN in dot_general"


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"residual": {"layers": ["relu"], "shortcut": ["relu", NAN]}}, "residual.shortcut[1].dense"),
        ({"branches": {"paths": [[], ["relu", NAN]]}}, "branches.paths[1][1].dense"),
        ({"dense_connection": {"layers": [{"repeat": {"times": 2, "layers": [NAN]}}]}}, REPEATED),
        ({"auxiliary": {"layers": [NAN, "classifier"]}}, "auxiliary.layers[0].dense"),
    ],
    ids=["shortcut", "branch", "repetition", "side head"],
)
def test_the_place_is_the_one_in_the_yaml(entry: dict[str, Any], place: str) -> None:
    net = Model.model_validate(frozen({"name": "nan", "layers": ["flatten", entry]})).bind((4,), 10)
    params, _ = net.init(jax.random.key(0))
    infinite = places.nested({path: leaf * jnp.inf for path, leaf in places.dotted(params).items()})

    @jax.jit
    def apply(params: Tree, x: jax.Array) -> Any:
        at = Pass(training=True, key=jax.random.key(0))
        return net.apply(params, {}, x, at), at.side_outputs

    with pytest.raises(TrainingError, match="^" + re.escape(f"model.layers[1].{place}: ")), nans.located(True):
        jax.block_until_ready(apply(infinite, jnp.zeros((2, 4))))


def test_outside_the_layers_it_is_said_so() -> None:
    with pytest.raises(TrainingError) as caught, nans.located(True):
        jax.jit(jnp.log)(jnp.float32(-1.0)).block_until_ready()
    assert str(caught.value) == "train: must stay finite, made a NaN in log (in the loss, the gradient or the update)"


def test_where_nothing_is_lost_nothing_is_said() -> None:
    experiment = tiny("train.debug_nans=true", "train.epochs=1")
    loop = Loop(experiment, data.load(experiment.data), here())
    with nans.located(True):
        assert len(list(loop.epochs())) == 1


def test_without_the_preset_a_nan_is_left_to_the_loop() -> None:
    with nans.located(False):
        assert jnp.isnan(jax.jit(jnp.log)(jnp.float32(-1.0)))
