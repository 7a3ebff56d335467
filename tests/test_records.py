"""Records are values: validated, hashable, and pytrees whose leaves are exactly what a program takes as arguments."""

from typing import Annotated, Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from annotated_types import Ge, Lt
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ConfigDict, ValidationError

from runner.records import TRACED, Record, frozen


class Dropout(Record):
    rate: Annotated[float, Ge(0), Lt(1), TRACED] = 0.5
    channelwise: bool = False


class Dense(Record):
    units: Annotated[int, Ge(1)]
    scale: Annotated[float, TRACED] = 1.0


class Model(Record):
    name: str
    layers: tuple[Dense | Dropout, ...]
    clip: Annotated[float | None, TRACED] = None


class Optimizer(Record):
    """Like an optimiser of Optax: its arguments are known by name only."""

    model_config = ConfigDict(extra="allow")

    name: Literal["sgd", "adam"] = "sgd"

    def static_arguments(self) -> frozenset[str]:
        return frozenset({"accumulator"})


MODEL = Model(name="small", layers=(Dense(units=3), Dropout(rate=0.25), Dense(units=2, scale=0.5)))


# Values


@pytest.mark.parametrize(
    ("cls", "values"),
    [
        (Dropout, {"rte": 0.5}),
        (Dropout, {"rate": "0.5"}),
        (Dropout, {"rate": 1.0}),
        (Dropout, {"channelwise": 1}),
        (Dense, {}),
        (Dense, {"units": 3.0}),
        (Dense, {"units": "3"}),
        (Dense, {"units": True}),
        (Dense, {"units": 0}),
        (Model, {"name": "small", "layers": [{"units": 3}]}),
    ],
)
def test_unknown_keys_loose_types_and_broken_bounds_are_refused(cls: type[Record], values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        cls.model_validate(values)


def test_an_integer_is_accepted_as_a_real_number() -> None:
    assert Dense(units=3, scale=2).scale == 2.0


def test_a_record_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        MODEL.name = "other"


def test_equal_records_have_equal_hashes() -> None:
    again = Model(name="small", layers=(Dense(units=3), Dropout(rate=0.25), Dense(units=2, scale=0.5)))
    assert again == MODEL
    assert hash(again) == hash(MODEL)
    assert len({MODEL, again, MODEL.model_copy(update={"name": "other"})}) == 2


def test_traced_prints_its_name() -> None:
    assert repr(TRACED) == "TRACED"


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda items: st.lists(items, max_size=3) | st.dictionaries(st.text(max_size=3), items, max_size=3),
    max_leaves=8,
)


@given(plain)
def test_frozen_turns_every_list_into_a_tuple_and_nothing_else(value: Any) -> None:
    def same(before: Any, after: Any) -> bool:
        if isinstance(before, list):
            return isinstance(after, tuple) and len(before) == len(after) and all(map(same, before, after))
        if isinstance(before, dict):
            return before.keys() == after.keys() and all(same(before[key], after[key]) for key in before)
        return before is after or before == after

    assert same(value, frozen(value))
    assert frozen(frozen(value)) == frozen(value)


def test_a_strict_record_accepts_frozen_input() -> None:
    assert Model.model_validate(frozen({"name": "small", "layers": [{"units": 3}]})).layers == (Dense(units=3),)


# Pytrees


def test_the_leaves_are_the_traced_fields() -> None:
    assert jax.tree.leaves(MODEL) == [1.0, 0.25, 0.5]
    assert jax.tree.leaves(MODEL.model_copy(update={"clip": 9.0})) == [1.0, 0.25, 0.5, 9.0]
    assert jax.tree.leaves(Model(name="empty", layers=())) == []


def test_a_leafs_path_is_its_dotted_path() -> None:
    leaves, _ = jax.tree_util.tree_flatten_with_path(MODEL)
    assert [jax.tree_util.keystr(path) for path, _ in leaves] == [
        ".layers[0].scale",
        ".layers[1].rate",
        ".layers[2].scale",
    ]


def test_flattening_and_unflattening_restores_a_record() -> None:
    for record in (MODEL, Optimizer.model_validate({"name": "adam", "b1": 0.9, "nesterov": True})):
        leaves, structure = jax.tree.flatten(record)
        again = jax.tree.unflatten(structure, leaves)
        assert again == record
        assert hash(again) == hash(record)
        assert type(again).model_validate(again.model_dump()) == record


def test_records_share_a_structure_if_only_traced_fields_differ() -> None:
    def structure(**changes: Any) -> Any:
        return jax.tree.structure(MODEL.model_copy(update=changes))

    assert structure(layers=(Dense(units=3, scale=7.0), Dropout(rate=0.0), Dense(units=2))) == structure()
    assert structure(layers=(Dense(units=4), Dropout(rate=0.25), Dense(units=2))) != structure()
    assert structure(layers=(Dense(units=3), Dropout(channelwise=True), Dense(units=2))) != structure()
    assert structure(layers=MODEL.layers[:2]) != structure()
    assert structure(name="other") != structure()
    assert structure(clip=1.0) != structure()
    assert hash(structure()) == hash(structure(layers=tuple(MODEL.layers)))


def test_only_structure_retraces() -> None:
    traces = 0

    @jax.jit
    def total(model: Model) -> jax.Array:
        nonlocal traces
        traces += 1
        units = sum(layer.units for layer in model.layers if isinstance(layer, Dense))
        return units * jnp.sum(jnp.stack(jax.tree.leaves(model)))

    def model(*, units: int = 3, rate: float = 0.25) -> Model:
        return Model(name="small", layers=(Dense(units=units), Dropout(rate=rate)))

    assert total(model()) == 3 * 1.25
    assert total(model(rate=0.5)) == 3 * 1.5
    assert traces == 1
    assert total(model(units=4)) == 4 * 1.25
    assert traces == 2


def test_a_record_of_tracers_works_like_any_other() -> None:
    def scaled(model: Model, x: jax.Array) -> jax.Array:
        first = model.layers[0]
        assert isinstance(first, Dense)
        return x * jnp.asarray(first.scale, x.dtype) * first.units

    gradient = jax.grad(scaled)(MODEL, jnp.float32(2.0))
    assert isinstance(gradient, Model)
    np.testing.assert_array_equal(jax.tree.leaves(gradient), [6.0, 0.0, 0.0])

    many = jax.tree.map(lambda leaf: jnp.float32(leaf) * jnp.arange(3, dtype=jnp.float32), MODEL)
    np.testing.assert_array_equal(jax.vmap(scaled, in_axes=(0, None))(many, jnp.float32(2.0)), [0.0, 6.0, 12.0])


# Further arguments by name


def test_extra_arguments_that_are_real_numbers_are_traced() -> None:
    optimizer = Optimizer.model_validate(
        {"learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "steps": 5, "betas": (0.9, 0.99), "accumulator": 0.5}
    )
    assert jax.tree.leaves(optimizer) == [0.1, 0.9]

    def structure(**changes: Any) -> Any:
        return jax.tree.structure(Optimizer.model_validate((optimizer.model_extra or {}) | changes))

    assert structure(learning_rate=0.2, momentum=0.0) == structure()
    for change in ({"nesterov": False}, {"steps": 6}, {"betas": (0.9, 0.9)}, {"accumulator": 0.6}, {"extra": 0.0}):
        assert structure(**change) != structure(), change


def test_extra_arguments_can_be_tracers() -> None:
    optimizer = Optimizer.model_validate({"learning_rate": 0.1, "nesterov": True})
    gradient = jax.grad(lambda o: o.learning_rate**2)(optimizer)
    assert gradient.model_extra == {"learning_rate": pytest.approx(0.2), "nesterov": True}
