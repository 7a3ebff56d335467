"""The portable convolutions against NumPy: bit against bit where whole numbers allow it."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolutions import CASES, SQUARE, Case, assert_same, cases
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from runner.geometry import Window
from runner.ops import portable

# Of each direction, shapes that go every way it knows.
FEW = Case((3, 11, 9, 1), (5, 5, 1, 6), (Window(5),) * 2)
COLOURS = Case((2, 9, 9, 3), (3, 3, 3, 16), (Window(3, 2, 1, 1, 1),) * 2)
NARROW = Case((3, 14, 14, 6), (5, 5, 6, 16), (Window(5),) * 2)
WIDE = Case((16, 20, 40, 16), (3, 3, 16, 8), (Window(3, 1, 1, 1, 1),) * 2)
LEFT_OVER = Case((4, 8, 8, 4), (3, 3, 4, 5), (Window(3, 2, 1, 0, 0),) * 2)  # the last pixel is seen by nothing
SHAPES = [FEW, COLOURS, NARROW, WIDE, LEFT_OVER, *(case for case in CASES if case.groups == 1)]


@pytest.fixture(params=[portable.LARGE, 0], ids=["whole", "in pieces"])
def pieces(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel's gradient from the batch as a whole, and in pieces of two images."""
    monkeypatch.setattr(portable, "LARGE", request.param)
    monkeypatch.setattr(portable, "LEAST_PIECE", 2)


@given(cases(most_groups=1), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_equals_the_reference_and_its_gradients(case: Case, seed: int) -> None:
    assert portable.serves(case.x, case.kernel, jnp.float32, case.windows, 1)
    arrays = case.arrays(seed, whole=True)
    assert_same(case.compiled(*arrays, portable), case.reference(*arrays))


@pytest.mark.usefixtures("pieces")
@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_every_rule_of_every_direction(case: Case, dtype: Any) -> None:
    arrays = case.arrays(whole=True)
    found = jax.jit(lambda *each: case.all(*each, portable))(*(array.astype(dtype) for array in arrays))
    for ours, exact in zip(found, case.reference(*arrays), strict=True):
        assert ours.dtype == dtype
        assert_same(ours, exact.astype(dtype))  # float32 sums, rounded once


def test_the_shapes_here_use_different_rules() -> None:
    def largest_kernel(case: Case) -> tuple[int, ...]:
        x, kernel, _ = case.arrays()
        jaxpr = jax.make_jaxpr(lambda x, kernel: portable.forward(x, kernel, case.windows, 1))(x, kernel)
        [convolution] = [eqn for eqn in jaxpr.eqns if eqn.primitive.name == "conv_general_dilated"]
        found: tuple[int, ...] = convolution.invars[1].aval.shape
        return found

    def backward(case: Case) -> str:
        _, kernel, g = case.arrays()
        return str(jax.make_jaxpr(lambda g, k: portable.input_gradient(g, k, case.x, case.windows, 1))(g, kernel))

    # Four columns in one, none where the window strides, two, and none where channels are many.
    assert [largest_kernel(case) for case in (FEW, COLOURS, NARROW, WIDE)] == [
        (5, 2, 4, 24),
        (3, 3, 3, 16),
        (5, 3, 12, 32),
        (3, 3, 16, 8),
    ]
    assert ["conv_general_dilated" in backward(case) for case in (FEW, NARROW, WIDE)] == [False, False, True]


@pytest.mark.parametrize("case", SHAPES)
def test_members_of_a_vmap_and_steps_of_a_loop_equal_single_calls(case: Case) -> None:
    members = [case.arrays(seed, whole=True) for seed in range(3)]
    stacked = [jnp.stack(each) for each in zip(*members, strict=True)]
    together = jax.jit(jax.vmap(lambda *each: case.all(*each, portable)))(*stacked)
    in_turn = jax.jit(lambda *each: lax.map(lambda one: case.all(*one, portable), each))(*stacked)
    for number, member in enumerate(members):
        alone = case.reference(*member)
        assert_same([array[number] for array in together], list(alone))
        assert_same([array[number] for array in in_turn], list(alone))


def test_what_it_does_not_serve() -> None:
    served: dict[str, Any] = {"x_shape": SQUARE.x, "kernel_shape": SQUARE.kernel, "windows": SQUARE.windows}
    served |= {"dtype": jnp.float32, "groups": 1}
    assert portable.serves(**served)
    assert not portable.serves(**served | {"groups": 5})
    assert not portable.serves(**served | {"dtype": jnp.float16})
    assert not portable.serves(**served | {"x_shape": (0, 12, 12, 5)})
    assert not portable.serves(**served | {"windows": (Window(14), Window(3))})  # no position


def test_values_that_are_not_finite_are_not_lost() -> None:
    x, kernel, g = SQUARE.arrays(whole=True)
    spoilt = (x.at[2, 3, 4, 1].set(jnp.nan), kernel, g)
    found, expected = SQUARE.compiled(*spoilt, portable), SQUARE.reference(*spoilt)
    for ours, theirs in zip(found, expected, strict=True):
        assert np.isnan(ours)[np.isnan(theirs)].all()  # it may reach columns that were folded with it as well
