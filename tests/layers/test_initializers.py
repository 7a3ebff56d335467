"""Initialisers against those of jax.nn.initializers under the same key, and the properties that their papers claim."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, drawn, told
from jax.nn import initializers

from runner.layers.conv import Conv
from runner.layers.dense import Dense
from runner.layers.initializers import InitializerRecord, draw, fans, initializer

# The stream of a distribution is drawn from the model's key, folded with its place in this list: a change of it
# would change what every seed gives.
STREAMS = ("normal", "truncated_normal", "uniform")

SCALED = [
    f"{author}_{distribution}"
    for author in ("glorot", "xavier", "lecun", "he", "kaiming")
    for distribution in ("uniform", "normal")
]
FACTORIES = {"zeros": lambda: initializers.zeros, "ones": lambda: initializers.ones}


def theirs(name: str, **arguments: Any) -> Any:
    factory = FACTORIES.get(name) or getattr(initializers, name)
    return factory(**arguments)


def ours(record: InitializerRecord, *shape: int) -> np.ndarray:
    [value] = draw(KEY, [(record, shape)])
    assert value.dtype == jnp.float32
    return np.asarray(value)


CASES: list[tuple[str, dict[str, Any]]] = [
    ("zeros", {}),
    ("ones", {}),
    ("constant", {"value": -0.3}),
    ("normal", {"stddev": 0.7}),
    ("truncated_normal", {"stddev": 0.7}),
    ("uniform", {"scale": 0.3}),
    ("orthogonal", {"scale": 1.5}),
    *((name, {}) for name in SCALED),
    *(
        ("variance_scaling", {"scale": 1.7, "mode": mode, "distribution": distribution})
        for mode in ("fan_in", "fan_out", "fan_avg", "fan_geo_avg")
        for distribution in ("truncated_normal", "normal", "uniform")
    ),
]


@pytest.mark.parametrize(("name", "arguments"), CASES, ids=str)
def test_a_single_parameter_is_that_of_jax(name: str, arguments: dict[str, Any]) -> None:
    record = initializer(name, **arguments)
    position = STREAMS.index(record.distribution) if record.distribution else 0
    # JAX compiles its draws anew for every shape: tall and wide ones differ only for orthogonal kernels.
    for shape in ((5, 4, 6), (2, 60)) if name == "orthogonal" else ((5, 4, 6),):
        expected = theirs(name, **arguments)(jax.random.fold_in(KEY, position), shape)
        np.testing.assert_allclose(ours(record, *shape), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(5, 4, 6), (3, 4, 2, 5)], ids=str)
def test_delta_orthogonal_is_that_of_jax(shape: tuple[int, ...]) -> None:
    expected = initializers.delta_orthogonal(scale=0.5)(jax.random.fold_in(KEY, 0), shape)
    np.testing.assert_allclose(ours(initializer("delta_orthogonal", scale=0.5), *shape), expected, atol=1e-6)


@pytest.mark.parametrize("name", ["normal", "truncated_normal", "uniform", "orthogonal", "delta_orthogonal"])
def test_defaults_are_those_of_jax(name: str) -> None:
    record = initializer(name)
    assert record.distribution
    expected = theirs(name)(jax.random.fold_in(KEY, STREAMS.index(record.distribution)), (5, 4, 6))
    np.testing.assert_allclose(ours(record, 5, 4, 6), expected, atol=1e-6)


def test_every_name_is_one_of_jax() -> None:
    names = {name for name, _ in CASES} | {"delta_orthogonal"}
    assert all(hasattr(initializers, name) for name in names)
    [line] = told({"dense": {"units": 1, "kernel_init": "nothing like it"}})
    assert line == 'model.layers[0].dense.kernel_init: unknown initialiser "nothing like it"'


def test_orthogonal_columns_or_rows_are_orthonormal() -> None:
    tall, wide = ours(initializer("orthogonal"), 7, 3), ours(initializer("orthogonal"), 3, 7)
    np.testing.assert_allclose(tall.T @ tall, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(wide @ wide.T, np.eye(3), atol=1e-5)
    kernel = ours(initializer("orthogonal", scale=2.0), 3, 3, 2, 4).reshape(18, 4)
    np.testing.assert_allclose(kernel.T @ kernel, 4 * np.eye(4), atol=1e-5)


def test_delta_orthogonal_keeps_lengths() -> None:
    # Xiao et al. 2018, arXiv:1806.05393: nothing but the middle tap, and that tap orthogonal.
    kernel = ours(initializer("delta_orthogonal"), 3, 5, 2, 4)
    middle = kernel[1, 2]
    np.testing.assert_allclose(middle @ middle.T, np.eye(2), atol=1e-5)
    assert np.count_nonzero(kernel) == middle.size


def test_a_partial_identity_passes_channels_on_and_draws_the_rest() -> None:
    kernel = ours(initializer("partial_identity"), 3, 3, 4, 400)
    image = np.random.default_rng(0).normal(size=(6, 6, 4))
    for filter_ in range(4):
        passed = sum(
            image[1 + i : 5 + i - 0, 1 + j : 5 + j, :] @ kernel[i + 1, j + 1, :, filter_]
            for i in (-1, 0, 1)
            for j in (-1, 0, 1)
        )
        np.testing.assert_allclose(passed, image[1:5, 1:5, filter_])
    # PyTorch's own: evenly from ±1/√fan_in.
    rest = kernel[..., 4:]
    assert np.abs(rest).max() <= 1 / 6
    assert rest.var() == pytest.approx(1 / (3 * 36), rel=0.05)


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("he_normal", 2 / 300),  # He et al. 2015: 2 / fan_in
        ("he_uniform", 2 / 300),
        ("lecun_normal", 1 / 300),
        ("glorot_uniform", 2 / (300 + 600)),  # Glorot & Bengio 2010: 2 / (fan_in + fan_out)
        ("glorot_normal", 2 / (300 + 600)),
    ],
)
def test_variances_are_those_of_the_papers(name: str, variance: float) -> None:
    kernel = ours(initializer(name), 5, 5, 12, 24)
    assert kernel.var() == pytest.approx(variance, rel=0.05)
    assert abs(kernel.mean()) < 5 * math.sqrt(variance / kernel.size)


def test_fans_by_hand() -> None:
    assert fans((5, 5, 3, 8)) == (75, 200)
    assert fans((10, 4)) == (10, 4)
    assert fans((6,)) == (6, 6)


def test_a_layer_begins_as_it_says() -> None:
    params, _ = drawn(Conv(filters=2, kernel_size=3, bias_init=initializer("constant", value=0.1)), (5, 5, 4))
    np.testing.assert_allclose(params["bias"], [0.1, 0.1])
    expected = initializers.he_normal()(jax.random.fold_in(KEY, 1), (3, 3, 4, 2))
    np.testing.assert_allclose(params["kernel"], expected, rtol=1e-5)
    # A grouped convolution's inputs are those of its group.
    assert Conv(filters=2, kernel_size=3, groups=2).parameters((5, 5, 4))["kernel"].shape == (3, 3, 2, 2)


def test_parameters_of_one_model_are_independent_draws() -> None:
    record = initializer("normal", stddev=1.0)
    first, second = draw(KEY, [(record, (50, 50)), (record, (50, 50))])
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.1
    again = draw(KEY, [(record, (50, 50)), (record, (50, 50))])
    np.testing.assert_array_equal(first, again[0])
    other = draw(jax.random.key(1), [(record, (50, 50)), (record, (50, 50))])
    assert not np.array_equal(first, other[0])


def test_constants_take_no_draws_from_the_others() -> None:
    normal, zeros = initializer("normal"), initializer("zeros")
    [alone] = draw(KEY, [(normal, (3,))])
    with_zeros = draw(KEY, [(zeros, (5,)), (normal, (3,)), (zeros, ())])
    np.testing.assert_array_equal(alone, with_zeros[1])


# What a user is told


CHOICES = {
    "mode": "fan_in, fan_out, fan_avg, fan_geo_avg",
    "distribution": "truncated_normal, normal, uniform",
}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("henormal", 'unknown initialiser "henormal"; did you mean "he_normal"?'),
        ({"unifrom": {}}, 'unknown initialiser "unifrom"; did you mean "uniform"?'),
        (3, "must be the name of an initialiser or numbers, got 3"),
        (None, "must be the name of an initialiser or numbers, got null"),
        ({"normal": {}, "zeros": {}}, "must be the name of an initialiser or numbers, got {normal: {}, zeros: {}}"),
        ({"constant": 3}, "must name the arguments of constant, got 3"),
        ({"constant": {"valeu": 3}}, 'unknown argument of constant "valeu"; did you mean "value"?'),
        ({"zeros": {"q": 3}}, 'unknown argument of zeros "q"'),
        ({"constant": {"value": "much"}}, "must give value as a number, got much"),
        ({"constant": {"value": True}}, "must give value as a number, got true"),
        ({"constant": {"value": float("nan")}}, "must give value as a number, got nan"),
        ({"normal": {"stddev": -1}}, "must give stddev as a number ≥ 0, got -1"),
        ({"uniform": {"scale": -0.5}}, "must give scale as a number ≥ 0, got -0.5"),
        ({"variance_scaling": {"mode": "fan"}}, f"must give mode as one of {CHOICES['mode']}, got fan"),
        (
            {"variance_scaling": {"distribution": ["normal"]}},
            f"must give distribution as one of {CHOICES['distribution']}, got [normal]",
        ),
    ],
    ids=str,
)
def test_faults(value: Any, expected: str) -> None:
    lines = told("flatten", {"dense": {"units": 3, "kernel_init": value}}, "classifier")
    assert lines == [f"model.layers[1].dense.kernel_init: {expected}"]


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        (
            [{"conv": {"filters": 4, "kernel_size": 3, "bias_init": "orthogonal"}}, "flatten"],
            "model.layers[0].conv.bias_init: must not be orthogonal for a vector, got [4]",
        ),
        (
            [{"conv": {"filters": 4, "kernel_size": 3, "bias_init": "delta_orthogonal"}}, "flatten"],
            "model.layers[0].conv.bias_init: must not be delta_orthogonal for a vector, got [4]",
        ),
        (
            ["flatten", {"dense": {"units": 4, "bias_init": "orthogonal"}}],
            "model.layers[1].dense.bias_init: must not be orthogonal for a vector, got [4]",
        ),
        (
            [{"conv": {"filters": 2, "kernel_size": 3, "kernel_init": "delta_orthogonal"}}, "flatten"],
            "model.layers[0].conv.kernel_init: must have a window and at least as many filters as input channels "
            "under delta_orthogonal, got [3, 3, 3, 2]",
        ),
        (
            ["flatten", {"dense": {"units": 200, "kernel_init": "delta_orthogonal"}}],
            "model.layers[1].dense.kernel_init: must have a window and at least as many filters as input channels "
            "under delta_orthogonal, got [192, 200]",
        ),
    ],
)
def test_initialisers_that_do_not_suit_a_shape(entries: list[Any], expected: str) -> None:
    assert told(*entries, "classifier") == [expected]


def test_jax_refuses_the_same_shapes() -> None:
    for name, shape in (("orthogonal", (4,)), ("delta_orthogonal", (6, 4)), ("delta_orthogonal", (3, 3, 3, 2))):
        assert initializer(name).refuses(shape)
        with pytest.raises(ValueError, match=r"rthogonal|at least|fan_in"):
            theirs(name)(KEY, shape)


@pytest.mark.parametrize("value", ["he_normal", {"he_normal": None}, {"he_normal": {}}], ids=str)
def test_a_name_with_nothing_under_it_takes_no_arguments(value: Any) -> None:
    assert Dense.model_validate({"units": 1, "kernel_init": value}).kernel_init == initializer("he_normal")
