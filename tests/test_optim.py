"""Optimisers against plain Optax called with the same numbers, and every text that a user can meet."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import jsonschema
import numpy as np
import optax
import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from pydantic import ValidationError

from runner.arguments import REQUIRED, arguments
from runner.optim import REFUSED, Clip, Optimizer, optimizers

PARAMETERS = {
    "kernel": jnp.linspace(-1.0, 1.0, 16, dtype=jnp.float32).reshape(2, 2, 2, 2),  # (h, w, c, filters)
    "units": jnp.array([[1.0, -2.0], [0.5, 3.0], [-1.0, 0.25]], jnp.float32),
    "bias": jnp.array([0.3, -0.7], jnp.float32),
}
DECAYS = {"kernel": True, "units": True, "bias": False}
CURVATURES = jax.tree.map(lambda leaf: 1.0 + jnp.abs(leaf), PARAMETERS)
RATES = (0.05, 0.02, 0.04)

# These differ from one another in what they need: a mask, the loss, a line search, a key, matrices, factors.
DISTINCT = {"adafactor", "adam", "adamw", "lars", "lbfgs", "lion", "muon", "noisy_sgd", "polyak_sgd", "rmsprop", "sgd"}


def quadratic(parameters: Any) -> jax.Array:
    terms = jax.tree.map(lambda leaf, scale: jnp.sum(scale * (leaf - 0.5) ** 2), parameters, CURVATURES)
    return sum(jax.tree.leaves(terms), jnp.float32(0.0))


def descend(transformation_at: Callable[[Any], Any], rates: Any) -> Any:
    """Parameters after a step at each of the rates, the way the training program goes: a scan."""

    def step(carry: Any, rate: jax.Array) -> tuple[Any, None]:
        parameters, state = carry
        value, grad = jax.value_and_grad(quadratic)(parameters)
        extra = {"value": value, "grad": grad, "value_fn": quadratic}
        updates, state = transformation_at(rate).update(grad, state, parameters, **extra)
        return (optax.apply_updates(parameters, updates), state), None

    start = (PARAMETERS, transformation_at(jnp.float32(0.0)).init(PARAMETERS))
    (parameters, _), _ = jax.lax.scan(step, start, rates)
    return parameters


def ours(optimizer: Optimizer, rates: Any) -> Any:
    return descend(lambda rate: optimizer.transformation(rate, DECAYS), rates)


def real_arguments(name: str) -> dict[str, float]:
    """Every real-valued argument of an optimiser, given a value where Optax has none."""
    values = {}
    for argument in arguments(optimizers()[name]).values():
        said_elsewhere = "learning_rate" in argument.name or "weight_decay" in argument.name
        if argument.kind is float and not said_elsewhere:
            chosen = 0.9 if argument.name == "momentum" else 0.1
            values[argument.name] = argument.default if isinstance(argument.default, float) else chosen
    return values


def structure(name: str) -> dict[str, int]:
    """The arguments that are integers and have no default."""
    found = arguments(optimizers()[name]).values()
    return {argument.name: 3 for argument in found if argument.kind is int and argument.default is REQUIRED}


def faults(**fields: Any) -> list[str]:
    with pytest.raises(ValidationError) as caught:
        Optimizer(**fields)
    return [f"{'.'.join(str(part) for part in error['loc'])}: {error['msg']}" for error in caught.value.errors()]


def test_catalogue_holds_every_optimizer_of_optax() -> None:
    published = {
        "adabelief", "adadelta", "adan", "adafactor", "adagrad", "adam", "adamw", "adamax", "adamaxw", "amsgrad",
        "fromage", "lamb", "lars", "lbfgs", "lion", "nadam", "nadamw", "noisy_sgd", "novograd",
        "optimistic_gradient_descent", "polyak_sgd", "radam", "rmsprop", "rprop", "sgd", "sign_sgd", "sm3", "yogi",
    }  # fmt: skip
    assert published <= set(optimizers())
    assert {"muon", "prodigy", "ademamix"} <= set(optimizers())
    assert not set(REFUSED) & set(optimizers())


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in DISTINCT else pytest.mark.slow) for name in optimizers()]
)
def test_trains_as_plain_optax_does_with_every_number_traced(name: str) -> None:
    numbers, whole = real_arguments(name), structure(name)
    function = optimizers()[name]
    rate_name = "max_learning_rate" if name == "polyak_sgd" else "learning_rate"
    mask = {key: DECAYS for key in ("mask", "weight_decay_mask") if key in arguments(function)}

    def plain(rate: jax.Array) -> Any:
        return optax.with_extra_args_support(function(**{rate_name: rate}, **numbers, **whole, **mask))

    with jax.numpy_dtype_promotion("standard"):  # Optax alone does not pass strict promotion
        expected = jax.jit(lambda rates: descend(plain, rates))(jnp.array(RATES))
    optimizer = Optimizer(name=name, learning_rate=0.05, **numbers, **whole)
    leaves = len(jax.tree.leaves(optimizer))
    assert leaves == 2 + len(numbers), "every real number is a leaf: the learning rate, the biases' factor and these"

    traced: list[Optimizer] = []

    def counted(optimizer: Optimizer, rates: jax.Array) -> Any:
        traced.append(optimizer)
        return ours(optimizer, rates)

    program = jax.jit(counted)
    actual = program(optimizer, jnp.array(RATES))
    for leaf, other in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        # 1 − b2 is worked out in float32 here and in float64 there.
        np.testing.assert_allclose(leaf, other, rtol=2e-4, atol=1e-6)
    assert np.isfinite(jax.tree.leaves(actual)[0]).all()

    changed = jax.tree.map(lambda number: number * 0.9, optimizer)
    program(changed, jnp.array(RATES) / 2)
    assert len(traced) == 1, "a changed number compiles nothing"


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd", "lamb", "lion", "rmsprop"])
def test_state_does_not_depend_on_the_learning_rate(name: str) -> None:
    optimizer = Optimizer(name=name, learning_rate=0.1)
    one, other = (optimizer.transformation(rate, DECAYS).init(PARAMETERS) for rate in (0.0, 3.0))
    assert jax.tree.structure(one) == jax.tree.structure(other)
    assert all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


@pytest.mark.parametrize("name", optimizers())
def test_state_keeps_its_types_from_step_to_step(name: str) -> None:
    """A program that takes a state and returns one is compiled once, not again for weak types."""
    optimizer = Optimizer(name=name, learning_rate=0.1, **structure(name))

    def before(optimizer: Optimizer) -> Any:
        return optimizer.transformation(0.1, DECAYS).init(PARAMETERS)

    def after(optimizer: Optimizer) -> Any:
        transformation = optimizer.transformation(0.1, DECAYS)
        extra = {"value": quadratic(PARAMETERS), "grad": PARAMETERS, "value_fn": quadratic}
        return transformation.update(PARAMETERS, transformation.init(PARAMETERS), PARAMETERS, **extra)[1]

    one, other = jax.eval_shape(before, optimizer), jax.eval_shape(after, optimizer)
    assert jax.tree.structure(one) == jax.tree.structure(other)
    for leaf, later in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True):
        assert (leaf.shape, leaf.dtype, leaf.weak_type) == (later.shape, later.dtype, later.weak_type)


def test_mapped_members_train_as_they_do_alone() -> None:
    members = [Optimizer(name="adamw", learning_rate=0.1, weight_decay=d, b1=b) for d, b in [(0.1, 0.9), (0.0, 0.5)]]
    rates = jnp.array([RATES, [0.1, 0.2, 0.3]])
    stacked = jax.tree.map(lambda *leaves: jnp.array(leaves, jnp.float32), *members)
    together = jax.jit(jax.vmap(ours))(stacked, rates)
    for index, member in enumerate(members):
        alone = jax.jit(ours)(member, rates[index])
        for key in PARAMETERS:
            np.testing.assert_allclose(together[key][index], alone[key], rtol=1e-6)


def test_sgd_by_hand() -> None:
    """One step of w ← w − rate · (gradient + weight_decay · w), the bias without its decay."""
    optimizer = Optimizer(name="sgd", learning_rate=0.1, weight_decay=0.01)
    gradient = jax.tree.map(jnp.ones_like, PARAMETERS)
    transformation = optimizer.transformation(0.1, DECAYS)
    updates, _ = transformation.update(gradient, transformation.init(PARAMETERS), PARAMETERS)
    np.testing.assert_allclose(updates["units"], -0.1 * (1 + 0.01 * PARAMETERS["units"]), rtol=1e-6)
    np.testing.assert_allclose(updates["bias"], -0.1 * np.ones(2), rtol=1e-6)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_bias_scale_multiplies_the_steps_of_biases(name: str) -> None:
    gradient = jax.tree.map(jnp.ones_like, PARAMETERS)

    def steps(factor: float) -> dict[str, jax.Array]:
        transformation = Optimizer(name=name, learning_rate=0.1, bias_scale=factor).transformation(0.1, DECAYS)
        updates: dict[str, jax.Array]
        updates, _ = transformation.update(gradient, transformation.init(PARAMETERS), PARAMETERS)
        return updates

    plain, larger = steps(1.0), steps(64.0)
    np.testing.assert_allclose(larger["bias"], 64 * plain["bias"], rtol=1e-6)
    for other in ("kernel", "units"):
        np.testing.assert_array_equal(larger[other], plain[other])


def decayed_by(optimizer: Optimizer) -> dict[str, bool]:
    """Which parameters an optimiser moves although their gradient is 0."""
    transformation = optimizer.transformation(0.1, DECAYS)
    zeros = jax.tree.map(jnp.zeros_like, PARAMETERS)
    extra = {"value": jnp.float32(0.0), "grad": zeros, "value_fn": quadratic}
    updates, _ = transformation.update(zeros, transformation.init(PARAMETERS), PARAMETERS, **extra)
    return {name: bool(np.any(np.asarray(update) != 0)) for name, update in updates.items()}


@pytest.mark.parametrize("name", ["sgd", "adam", "adamw", "lion", "lamb", "adadelta", "adafactor", "lars", "rmsprop"])
@pytest.mark.parametrize("decays", ["weights", "all"])
def test_weight_decay_skips_biases_by_default(name: str, decays: str) -> None:
    optimizer = Optimizer(name=name, learning_rate=0.1, weight_decay=0.1, weight_decay_mask=decays)
    assert decayed_by(optimizer) == {"kernel": True, "units": True, "bias": decays == "all"}


def test_the_default_weight_decay_is_that_of_optax() -> None:
    transformation = Optimizer(name="adamw", learning_rate=0.1).transformation(0.1, DECAYS)
    zeros = jax.tree.map(jnp.zeros_like, PARAMETERS)
    updates, _ = transformation.update(zeros, transformation.init(PARAMETERS), PARAMETERS)
    np.testing.assert_allclose(updates["units"], -0.1 * 1e-4 * PARAMETERS["units"], rtol=1e-5)
    assert decayed_by(Optimizer(name="adamw", learning_rate=0.1)) == DECAYS
    assert not any(decayed_by(Optimizer(name="adam", learning_rate=0.1)).values())


@pytest.mark.parametrize("name", optimizers())
def test_no_optimizer_decays_biases_by_default(name: str) -> None:
    """An optimiser without a mask must not decay anything until it is asked to."""
    takes = arguments(optimizers()[name])
    if not {"mask", "weight_decay_mask"} & set(takes):
        assert all(not takes[key].default for key in takes if "weight_decay" in key)


def test_lbfgs_finds_the_minimum_of_a_quadratic() -> None:
    found = jax.jit(ours)(Optimizer(name="lbfgs", learning_rate=1.0), jnp.ones(12))
    assert all(np.allclose(leaf, 0.5, atol=1e-3) for leaf in jax.tree.leaves(found))


def test_integers_become_floats_and_type_names_are_accepted() -> None:
    optimizer = Optimizer(name="adam", learning_rate=1, b1=0, mu_dtype="bfloat16")
    assert optimizer.model_extra == {"b1": 0.0, "mu_dtype": "bfloat16"}
    assert type(optimizer.model_extra["b1"]) is float
    state = optimizer.transformation(0.1, DECAYS).init(PARAMETERS)
    assert jnp.dtype("bfloat16") in {leaf.dtype for leaf in jax.tree.leaves(state)}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "adamm"}, ['name: unknown optimizer "adamm"; did you mean "adam"?']),
        ({"name": "adam", "beta1": 0.5}, ['beta1: unknown adam argument "beta1"; did you mean "b1"?']),
        ({"name": "adam", "b1": "much"}, ["b1: must be a number, got much"]),
        ({"name": "adam", "b1": True}, ["b1: must be a number, got true"]),
        ({"name": "adam", "eps": float("inf")}, ["eps: must be a finite number, got inf"]),
        ({"name": "adam", "eps": -1e-8}, ["eps: must be ≥ 0, got -1e-08"]),
        ({"name": "adam", "b1": 1}, ["b1: must be ≥ 0 and < 1, got 1.0"]),
        ({"name": "prodigy", "betas": (0.9, 1.5)}, ["betas: must be ≥ 0 and < 1, got [0.9, 1.5]"]),
        ({"name": "prodigy", "betas": (0.9,)}, ["betas: must be a list of 2 values, got [0.9]"]),
        ({"name": "sgd", "nesterov": 1}, ["nesterov: must be true or false, got 1"]),
        ({"name": "lbfgs", "memory_size": 2.5}, ["memory_size: must be a whole number, got 2.5"]),
        ({"name": "lbfgs", "linesearch": "zoom"}, [
            "linesearch: must be left out: Optax takes a Python object here, got zoom"
        ]),
        ({"name": "adam", "mu_dtype": "int8"}, ["mu_dtype: must be one of float32, bfloat16, float16, got int8"]),
        ({"name": "adamw", "mask": True}, ["mask: must be given as weight_decay_mask, got true"]),
        ({"name": "adafactor", "weight_decay_rate": 0.1}, [
            "weight_decay_rate: must be given as weight_decay, got 0.1"
        ]),
        ({"name": "polyak_sgd", "max_learning_rate": 0.1}, [
            "max_learning_rate: must be given as learning_rate, got 0.1"
        ]),
        ({"name": "noisy_sgd"}, ["key: must be given for noisy_sgd, got null"]),
        ({"name": "noisy_sgd", "key": 1, "seed": 1}, ["seed: must be given as key, got 1"]),
        ({"name": "novograd", "weight_decay": 0.1}, [
            "weight_decay_mask: must be all, because novograd decays every parameter, got weights"
        ]),
        ({"name": "polyak_sgd", "variant": "xps"}, [
            ": must have arguments that Optax accepts (Invalid argument value for Polyak SGD: variant='xps'), "
            "got polyak_sgd"
        ]),
        ({"name": "dpsgd"}, [
            "name: must be another optimiser, as this one needs the gradient of every example, got dpsgd"
        ]),
        ({"name": "sophia"}, [
            "name: must be another optimiser, as this one needs an estimate of the Hessian, got sophia"
        ]),
    ],
)  # fmt: skip
def test_a_fault_is_reported_at_its_path(fields: dict[str, Any], expected: list[str]) -> None:
    assert faults(learning_rate=0.1, **fields) == expected


def test_every_fault_is_reported_at_once() -> None:
    found = faults(name="adam", learning_rate=-1.0, weight_decay="x", beta1=0.5, b2=None, nesterov="yes")
    assert [line.split(":")[0] for line in found] == ["learning_rate", "weight_decay", "beta1", "b2", "nesterov"]


@given(
    name=st.sampled_from(sorted(optimizers())),
    key=st.sampled_from(["b1", "eps", "momentum", "nesterov", "mu_dtype", "betas", "init_step", "rank", "mask", "x"]),
    value=st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text(max_size=3)
    | st.tuples(st.floats(), st.integers()) | st.dictionaries(st.text(max_size=2), st.integers(), max_size=1),
)  # fmt: skip
def test_any_argument_parses_or_is_reported(name: str, key: str, value: Any) -> None:
    with contextlib.suppress(ValidationError):
        optimizer = Optimizer(name=name, learning_rate=0.1, **{key: value}, **structure(name))
        assert optimizer.name == name


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "conf" / "optimizer").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_optimizer_of_conf_is_valid(path: Path) -> None:
    said = OmegaConf.to_container(OmegaConf.load(path))
    optimizer = Optimizer(**said)
    jsonschema.validate(said, Optimizer.model_json_schema())
    before = quadratic(PARAMETERS)
    after = quadratic(ours(optimizer, jnp.full(3, optimizer.learning_rate / 10)))
    assert after < before


def test_json_schema_knows_the_arguments() -> None:
    schema = Optimizer.model_json_schema()
    validator = jsonschema.Draft202012Validator(schema)
    assert validator.is_valid({"name": "adam", "learning_rate": 0.1, "b1": 0.5, "mu_dtype": "bfloat16"})
    assert validator.is_valid({"name": "prodigy", "learning_rate": 1.0, "betas": [0.9, 0.99]})
    assert not validator.is_valid({"name": "adam", "learning_rate": 0.1, "beta1": 0.5})
    assert not validator.is_valid({"name": "adma", "learning_rate": 0.1})
    assert not validator.is_valid({"name": "sgd", "learning_rate": 0.1, "nesterov": 1})


def test_clip_by_hand() -> None:
    gradient = {"a": jnp.array([3.0, -4.0]), "b": jnp.array([0.0])}  # its norm is 5

    def clipped(**fields: float) -> Any:
        transformation = Clip(**fields).transformation()
        return transformation.update(gradient, transformation.init(gradient))[0]["a"]

    np.testing.assert_allclose(clipped(), [3.0, -4.0])
    np.testing.assert_allclose(clipped(norm=1.0), [0.6, -0.8], rtol=1e-6)
    np.testing.assert_allclose(clipped(norm=10.0), [3.0, -4.0])
    np.testing.assert_allclose(clipped(value=1.0), [1.0, -1.0])
    # Elements first: [1, −1] has norm √2.
    np.testing.assert_allclose(clipped(value=1.0, norm=1.0), [2**-0.5, -(2**-0.5)], rtol=1e-6)


def test_clip_is_traced_and_positive() -> None:
    assert jax.tree.leaves(Clip(norm=2.0)) == [2.0]
    for value in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValidationError):
            Clip(norm=value)
