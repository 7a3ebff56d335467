"""Where a NaN was made: the operation, and the layer by its path in the YAML."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from configurations import UNTRACKED, tiny

from runner import nans
from runner.errors import TrainingError
from runner.layers import places
from runner.layers.base import Tree
from runner.layers.passes import Pass
from runner.model import Model
from runner.records import frozen
from runner.run import run
from runner.training.member import Context

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered")


# Weights of about 1e29 overflow in the second layer: to a NaN, or, where JAX adds up in wider numbers, to ∞, of which
# the third makes a NaN in any case.
OVERFLOWING = ((2, "dense"), (3, "classifier"))

NAN: dict[str, Any] = {"dense": {"units": 4}}  # a layer whose weights are infinite in the test below
REPEATED = "dense_connection.layers[0].repeat.layers[0].dense"


def lost(folder: Path, *overrides: str) -> str:
    """The error of a run that makes a NaN."""
    ruinous = ("optimizer=sgd", "optimizer.learning_rate=1e30", "schedule=constant", "train.debug_nans=true")
    with pytest.raises(TrainingError) as caught:
        run(tiny(*ruinous, *overrides), Context(folder, UNTRACKED))
    assert caught.value.exit_status == 1
    return str(caught.value)


def test_the_layer_and_the_operation_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = lost(tmp_path, "model.layers=[flatten, {dense: {units: 8}}, {dense: {units: 8}}, classifier]")
    assert line in {
        f"model.layers[{index}].{kind}: must stay finite, made a NaN in dot_general" for index, kind in OVERFLOWING
    }
    assert capsys.readouterr().out == "", "JAX announces that it runs the program again"
    assert jnp.isnan(jax.jit(jnp.log)(jnp.float32(-1.0))), "nobody searches after the run"


@pytest.mark.slow
def test_also_within_a_repetition(tmp_path: Path) -> None:
    line = lost(tmp_path, "model.layers=[flatten, {repeat: {times: 3, layers: [{dense: {units: 8}}]}}, classifier]")
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

    with pytest.raises(FloatingPointError) as caught, jax.debug_nans(True):
        jax.block_until_ready(apply(infinite, jnp.zeros((2, 4))))
    assert str(nans.located(caught.value)).startswith(f"model.layers[1].{place}: ")


def test_outside_the_layers_it_is_said_so() -> None:
    with pytest.raises(FloatingPointError) as caught, jax.debug_nans(True):
        jax.jit(jnp.log)(jnp.float32(-1.0)).block_until_ready()
    assert str(nans.located(caught.value)) == (
        "train: must stay finite, made a NaN in log (in the loss, the gradient or the update)"
    )


def test_a_run_that_makes_no_nan_ends_well(tmp_path: Path) -> None:
    assert run(tiny("train.debug_nans=true", "train.epochs=1"), Context(tmp_path, UNTRACKED)).status == "FINISHED"
