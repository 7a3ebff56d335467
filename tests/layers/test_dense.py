"""Fully connected layers against matrix products, finite differences and counts by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import check_gradients, drawn, evaluated_shape, normal, output, told

from runner.layers.dense import Classifier, Dense
from runner.layers.initializers import initializer


def test_values_are_those_of_a_product() -> None:
    x, layer = normal(5, 7), Dense(units=3, bias_init=initializer("normal", stddev=1.0))
    params, _ = drawn(layer, (7,))
    np.testing.assert_allclose(
        output(layer, x, params, {}), np.asarray(x) @ params["kernel"] + params["bias"][None], rtol=1e-5, atol=1e-6
    )
    bare = Dense(units=3, use_bias=False)
    np.testing.assert_allclose(output(bare, x, params, {}), np.asarray(x) @ params["kernel"], rtol=1e-5, atol=1e-6)


def test_gradients() -> None:
    layer = Dense(units=3)
    params, _ = drawn(layer, (4,))
    check_gradients(jax.jit(lambda params, x: output(layer, x, params, {})), params, normal(2, 4))


def test_counts_by_hand() -> None:
    # LeNet-5's F6.
    layer = Dense(units=84)
    assert layer.parameter_count((120,)) == 10_164 == sum(p.size for p in jax.tree.leaves(drawn(layer, (120,))[0]))
    assert layer.multiply_adds((120,)) == 120 * 84
    bare = Dense(units=84, use_bias=False)
    assert bare.parameter_count((120,)) == 120 * 84
    assert set(bare.parameters((120,))) == {"kernel"}
    assert layer.output_shape((120,)) == (84,) == evaluated_shape(layer, (120,))
    assert evaluated_shape(layer, (120,), jnp.bfloat16) == (84,)


def test_only_kernels_decay() -> None:
    parameters = Dense(units=2).parameters((3,))
    assert parameters["kernel"].decays
    assert not parameters["bias"].decays


def test_a_classifier_has_a_unit_for_each_class_of_the_data() -> None:
    assert Classifier().bind(7).output_shape((4,)) == (7,)
    assert Classifier(classes=3).bind(7).output_shape((4,)) == (3,)
    assert told("flatten", {"classifier": {"classes": 10}}) == []


def test_a_classifier_begins_with_every_class_about_as_likely() -> None:
    # Inputs of unit variance give logits of unit variance, and biases none.
    layer = Classifier(classes=10)
    params, _ = drawn(layer, (400,))
    assert float(output(layer, normal(200, 400), params, {}).std()) == pytest.approx(1.0, rel=0.1)
    assert not params["bias"].any()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (["classifier"], "[0].classifier: must have a flat input (put flatten before it), got 8×8×3"),
        (
            [{"dense": {"units": 3}}, "classifier"],
            "[0].dense: must have a flat input (put flatten before it), got 8×8×3",
        ),
        (["flatten", {"dense": {"units": 0}}], "[1].dense.units: must be ≥ 1, got 0"),
        (["flatten", {"dense": {"units": 2.5}}], "[1].dense.units: must be a whole number, got 2.5"),
        (["flatten", {"dense": {}}], "[1].dense.units: must be given, got nothing"),
        (["flatten", {"classifier": {"classes": 0}}], "[1].classifier.classes: must be ≥ 1, got 0"),
    ],
)
def test_faults(entries: list[object], expected: str) -> None:
    assert told(*entries) == [f"model.layers{expected}"]
