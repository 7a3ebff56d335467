"""A model against its layers one by one: shapes, parameters, what is learnt where, what a user is told of the fold."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configurations import experiment

from runner.data.fit import fit
from runner.errors import Fault
from runner.layers.base import shape_text
from runner.layers.passes import Pass
from runner.model import Model
from runner.network import Network
from runner.records import frozen

KEY = jax.random.key(0)

LENET5: list[Any] = [
    *({"conv": {"filters": 6, "kernel_size": 5}}, "relu", {"max_pool": {"size": 2}}),
    *({"conv": {"filters": 16, "kernel_size": 5}}, "relu", {"max_pool": {"size": 2}}),
    *("flatten", {"dense": {"units": 120}}, "relu", {"dense": {"units": 84}}, "relu", "classifier"),
]
SMALL: list[Any] = [
    {"conv": {"filters": 3, "kernel_size": 3}},
    *("batch_norm", "relu", {"dropout": {"rate": 0.5}}, {"max_pool": {"size": 2}}, "flatten", "classifier"),
]


def model(*layers: Any, **more: Any) -> Model:
    return Model.model_validate(frozen({"name": "net", "layers": list(layers), **more}))


def lines(net: Model, shape: tuple[int, ...] = (8, 8, 1), classes: int = 10) -> list[str]:
    return [str(fault) for fault in net.survey(shape, classes).faults]


def test_lenet5_has_61706_parameters_and_416520_multiply_adds() -> None:
    net = model(*LENET5).bind((32, 32, 1), 10)
    params, statistics = jax.eval_shape(lambda: net.init(KEY))
    sums = net.totals
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == sums.parameters == 61_706
    assert sums.multiply_adds == 416_520
    assert (sums.receptive_field, sums.effective_stride, sums.effective_padding) == ((16, 16), (4, 4), (0, 0))
    assert statistics == {}


def test_every_row_is_what_jax_makes_of_it() -> None:
    net = model(*SMALL).bind((9, 8, 2), 10)
    params, statistics = jax.eval_shape(lambda: net.init(KEY))
    for index, row in enumerate(net.rows):
        part = net.model_copy(update={"layers": net.layers[: index + 1]})
        y, _ = jax.eval_shape(
            lambda p, s, x, part=part: part.apply(p, s, x, Pass(training=True, key=KEY)),
            params,
            statistics,
            jnp.zeros((2, 9, 8, 2)),
        )
        assert y.shape[1:] == row.output.shape
        assert row.activation_bytes == y.size // 2 * 4
        own = params.get(f"{index}_{row.kind}", {})
        assert row.parameters == sum(leaf.size for leaf in jax.tree.leaves(own))
        assert row.path == f"model.layers[{index}].{row.kind}"
    assert net.totals.parameters == sum(leaf.size for leaf in jax.tree.leaves(params))
    assert net.totals.activation_bytes == sum(row.activation_bytes for row in net.rows)


def test_a_network_without_feature_maps_has_the_totals_of_its_input() -> None:
    sums = model("flatten", "classifier").bind((8, 8, 1), 10).totals
    assert (sums.receptive_field, sums.effective_stride, sums.effective_padding) == ((1, 1), (1, 1), (0, 0))


def test_applying_is_a_fold_over_the_layers() -> None:
    net = model(*SMALL).bind((8, 8, 2), 10)
    params, statistics = net.init(KEY)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8, 8, 2)), jnp.float32)
    expected = x
    for index, layer in enumerate(net.layers):
        name = f"{index}_{layer.kind}"
        own = (params.get(name, {}), statistics.get(name, {}))
        expected, _ = layer.apply(*own, expected, Pass(training=False, key=KEY))
    found, after = net.apply(params, statistics, x, Pass(training=False, key=KEY))
    np.testing.assert_array_equal(found, expected)
    jax.tree.map(np.testing.assert_array_equal, after, statistics)  # evaluation measures nothing


def test_the_same_key_draws_the_same_parameters_and_another_others() -> None:
    net = model(*SMALL).bind((8, 8, 2), 10)
    first, again, other = (net.init(key)[0] for key in (KEY, KEY, jax.random.key(1)))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    assert not np.array_equal(first["0_conv"]["kernel"], other["0_conv"]["kernel"])


def test_training_takes_its_noise_from_the_key() -> None:
    net = model({"dropout": {"rate": 0.5}}, {"dropout": {"rate": 0.5}}).bind((20, 20, 1), 10)
    first, again, other = (
        net.apply({}, {}, jnp.ones((1, 20, 20, 1)), Pass(training=True, key=key))[0]
        for key in (KEY, KEY, jax.random.key(1))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    assert float(jnp.mean(first > 0)) == pytest.approx(0.25, abs=0.07)  # two layers leave out values of their own


def test_weight_decay_is_for_weights_alone() -> None:
    decays = model(*SMALL).bind((8, 8, 2), 10).decays()
    assert decays == {
        "0_conv": {"kernel": True, "bias": False},
        "1_batch_norm": {"scale": False, "bias": False},
        "6_classifier": {"kernel": True, "bias": False},
    }


def test_parameters_and_statistics_stay_float32_under_bfloat16() -> None:
    net = model(*SMALL).bind((8, 8, 2), 10)

    def loss(params: Any, statistics: Any, x: jax.Array) -> Any:
        y, after = net.apply(params, statistics, x, Pass(training=True, key=KEY))
        assert y.dtype == jnp.bfloat16
        return jnp.sum(y.astype(jnp.float32)), after

    params, statistics = jax.eval_shape(lambda: net.init(KEY))
    gradient, after = jax.eval_shape(
        jax.grad(loss, has_aux=True), params, statistics, jnp.zeros((2, 8, 8, 2), "bfloat16")
    )
    assert {leaf.dtype for leaf in jax.tree.leaves((params, gradient, after))} == {jnp.dtype("float32")}


def test_members_mapped_over_parameters_and_rates_are_members_in_turn() -> None:
    entries = ("batch_norm", "flatten", "classifier")
    members = [model({"dropout": {"rate": rate}}, *entries).bind((6, 6, 1), 10) for rate in (0.2, 0.6)]
    states = [net.init(jax.random.key(seed)) for seed, net in enumerate(members)]
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 6, 6, 1)), jnp.float32)
    traces = []

    @jax.jit
    def run(net: Network, state: Any) -> Any:
        traces.append(net.classes)
        return net.apply(*state, x, Pass(training=True, key=KEY))

    alone = [run(net, state) for net, state in zip(members, states, strict=True)]
    assert len(traces) == 1  # a rate is an argument of the program
    nets, stacked = (
        jax.tree.map(lambda *leaves: jnp.stack([*map(jnp.asarray, leaves)]), *both) for both in (members, states)
    )
    mapped = jax.vmap(run)(nets, stacked)
    for index, expected in enumerate(alone):
        jax.tree.map(
            lambda a, b, index=index: np.testing.assert_allclose(a[index], b, rtol=1e-4, atol=1e-5), mapped, expected
        )


# Input


@pytest.mark.parametrize("how", ["resize", "pad"])
def test_images_are_fitted_to_the_input(how: Any) -> None:
    net = model("relu", input={"height": 12, "width": 10, "fit": how}).bind((8, 8, 3), 10)
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
    fitted = net.fitted(jnp.asarray(images), 0.0)
    assert fitted.shape[1:] == net.input_shape == (12, 10, 3)
    np.testing.assert_array_equal(fitted, fit(jnp.asarray(images), (12, 10), how))


def test_without_an_input_images_stay_as_they_are() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 9, 1), np.uint8)
    np.testing.assert_allclose(
        model("relu").bind((8, 9, 1), 10).fitted(jnp.asarray(images), 0.0), images / 255.0, rtol=1e-6
    )
    assert model("relu").bind((8, 9, 1), 10).input_shape == (8, 9, 1)
    assert model("relu").bind((50, 2), 10).input_shape == (50, 2)


def test_a_series_goes_through_a_network_of_one_axis() -> None:
    net = model(
        {"conv": {"filters": 4, "kernel_size": 3, "padding": "causal"}}, "relu", "global_max_pool", "classifier"
    )
    assert lines(net, (50, 2)) == []
    bound = net.bind((50, 2), 10)
    params, statistics = bound.init(KEY)
    assert bound.apply(params, statistics, jnp.ones((3, 50, 2)), Pass(training=True, key=KEY))[0].shape == (3, 10)
    assert [len(row.output.fields) for row in bound.rows] == [1] * 4


# What a user is told


@pytest.mark.parametrize(
    ("net", "shape", "expected"),
    [
        (model("flatten"), (8, 8, 1), "[0]: must give one output for each of 10 classes (end with classifier), got 64"),
        (model("relu"), (8, 8, 1), "[0]: must give one output for each of 10 classes (end with classifier), got 8×8×1"),
        (
            model("flatten", {"classifier": {"classes": 3}}),
            (8, 8, 1),
            "[1]: must give one output for each of 10 classes (end with classifier), got 3",
        ),
        (model("classifier"), (8, 8, 1), "[0].classifier: must have a flat input (put flatten before it), got 8×8×1"),
    ],
)
def test_layers_that_do_not_fit_the_data(net: Model, shape: tuple[int, ...], expected: str) -> None:
    assert lines(net, shape) == [f"model.layers{expected}"]


def test_an_input_that_does_not_fit_the_images() -> None:
    ends: list[Any] = ["flatten", "classifier"]
    smaller = {"height": 4, "width": 4, "fit": "pad"}
    [line] = lines(model(*ends, input=smaller))
    assert line == "model.input: must be at least 8×8, the size of the images, for fit=pad, got 4×4"
    [line] = lines(model(*ends, input={**smaller, "height": 9, "fit": "crop"}))
    assert line == "model.input: must be at most 8×8, the size of the images, for fit=crop, got 9×4"
    [line] = lines(model(*ends, input=smaller), (50, 2))
    assert line == "model.input: must be null for data of one axis (50×2), got a size"


def test_lenet5_on_images_too_small_for_it_is_told_once() -> None:
    assert lines(model(*LENET5), (10, 10, 1)) == ["model.layers[3].conv.kernel_size: must fit the 3×3×6 input, got 5×5"]


def test_what_guesses_may_have_caused_is_not_told() -> None:
    net = model(
        "relu", {"conv": {"filters": 2, "kernel_size": 3, "groups": 7}}, {"max_pool": {"size": 9}}, "classifier"
    )
    faults = net.survey((8, 8, 1), 10, guessed=True).faults
    assert faults == [Fault("model.layers[2].max_pool.size", "must fit the 8×8×2 input, got 9×9")]


def test_classes_are_those_of_the_data_wherever_a_classifier_stands() -> None:
    bound = model("flatten", {"repeat": {"times": 1, "layers": ["classifier"]}}).bind((2, 2, 1), 7)
    assert shape_text(bound.rows[-1].output.shape) == "7"


# Width


@pytest.mark.parametrize(("width", "millions", "multiply_adds"), [(0.75, 2.6, 325), (0.5, 1.3, 149), (0.25, 0.5, 41)])
def test_a_mobilenet_of_another_width_costs_what_its_paper_says(
    width: float, millions: float, multiply_adds: int
) -> None:
    # Howard et al. 2017, arXiv:1704.04861, table 6.
    narrow = experiment("model=mobilenet_v1", "data=imagenet", f"model.width={width}").model.bind((224, 224, 3), 1000)
    sums = narrow.totals
    assert sums.parameters / 1e6 == pytest.approx(millions, abs=0.05)
    assert sums.multiply_adds / 1e6 == pytest.approx(multiply_adds, abs=1)


def test_what_classes_decide_stays_and_one_filter_is_left() -> None:
    net = model({"conv": {"filters": 4, "kernel_size": 3}}, "flatten", {"dense": {"units": 3}}, "classifier", width=0.1)
    params, _ = jax.eval_shape(lambda: net.bind((8, 8, 1), 10).init(KEY))
    assert params["0_conv"]["kernel"].shape == (3, 3, 1, 1)
    assert params["2_dense"]["kernel"].shape == (36, 1)
    assert params["3_classifier"]["kernel"].shape == (1, 10)


# A network as a value


def test_networks_that_compute_the_same_are_equal_in_structure_whatever_was_asked_of_them() -> None:
    asked, fresh = (model({"dropout": {"rate": rate}}, *SMALL).bind((8, 8, 2), 10) for rate in (0.2, 0.6))
    assert asked.totals.parameters > 0
    assert jax.tree.structure(asked) == jax.tree.structure(fresh)
    assert hash(jax.tree.structure(asked)) == hash(jax.tree.structure(fresh))
    assert asked == model({"dropout": {"rate": 0.2}}, *SMALL, name="other").bind((8, 8, 2), 10)
    assert jax.tree.leaves(asked)[0] == 0.2


def test_rows_are_made_once() -> None:
    net = model(*SMALL).bind((8, 8, 2), 10)
    assert net.rows is net.rows
    assert net.totals is net.totals
