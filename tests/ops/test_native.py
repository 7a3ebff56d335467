"""Native convolutions against the reference: bit against bit where whole numbers allow it."""

import ctypes
import threading
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from convolutions import CASES, LINE, SQUARE, STRIDED, Case, assert_same, cases, installed
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from runner.geometry import Window
from runner.ops import native


@installed
@given(cases(), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_equals_the_reference_and_its_gradients(case: Case, seed: int) -> None:
    if not native.serves(case.x, case.kernel, jnp.float32, case.windows, case.groups):
        return
    arrays = case.arrays(seed, whole=True)
    assert_same(case.compiled(*arrays), case.reference(*arrays))


@installed
@pytest.mark.parametrize("case", CASES)
def test_these_cases_are_served_and_close_to_the_reference(case: Case) -> None:
    assert native.serves(case.x, case.kernel, jnp.float32, case.windows, case.groups)
    arrays = case.arrays()
    for ours, theirs in zip(case.all(*arrays), case.reference(*arrays), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@installed
@pytest.mark.parametrize("case", CASES)
def test_the_same_call_gives_the_same_bits(case: Case) -> None:
    arrays = case.arrays()
    first = case.all(*arrays)
    for _ in range(5):
        assert_same(case.all(*arrays), first)


@installed
@pytest.mark.parametrize("mapped", [(0, 0, 0), (None, 0, 0), (0, None, 0), (0, 0, None)])
@pytest.mark.parametrize("case", [SQUARE, STRIDED])
def test_a_member_gets_the_bits_that_it_gets_alone(case: Case, mapped: tuple[int | None, ...]) -> None:
    members = [case.arrays(seed) for seed in range(3)]
    members = [tuple(m[i] if axis == 0 else members[0][i] for i, axis in enumerate(mapped)) for m in members]
    stacked = [
        jnp.stack(each) if axis == 0 else each[0] for each, axis in zip(zip(*members, strict=True), mapped, strict=True)
    ]
    together = jax.jit(jax.vmap(case.all, in_axes=mapped))(*stacked)
    for number, member in enumerate(members):
        assert_same([array[number] for array in together], list(jax.jit(case.all)(*member)))


@installed
def test_nested_members_find_their_operands() -> None:
    x, kernel, _ = LINE.arrays()
    xs, kernels = jnp.stack([x, x + 1]), jnp.stack([kernel, 2 * kernel, 3 * kernel])

    def forward(x: jax.Array, kernel: jax.Array) -> jax.Array:
        return native.forward(x, kernel, LINE.windows, LINE.groups)

    table = jax.vmap(lambda x: jax.vmap(lambda kernel: forward(x, kernel))(kernels))(xs)
    for row in range(2):
        for column in range(3):
            assert_same(table[row, column], forward(xs[row], kernels[column]))


@installed
def test_runs_in_loops() -> None:
    x, kernel, g = SQUARE.arrays()

    def step(_: Any, kernel: jax.Array) -> jax.Array:
        return kernel - 1e-3 * native.kernel_gradient(x, g, SQUARE.kernel, SQUARE.windows, SQUARE.groups)

    looped = jax.jit(lambda kernel: lax.fori_loop(0, 3, step, kernel))(kernel)
    for _ in range(3):
        kernel = jax.jit(step)(0, kernel)
    np.testing.assert_allclose(looped, kernel, rtol=1e-6)


@installed
def test_two_threads_at_once_get_what_each_gets_alone() -> None:
    programs = [(jax.jit(case.all), case.arrays()) for case in (SQUARE, STRIDED)]
    alone = [program(*arrays) for program, arrays in programs]
    failures: list[BaseException] = []

    def repeat(number: int) -> None:
        program, arrays = programs[number % 2]
        try:
            for _ in range(50):
                assert_same(program(*arrays), alone[number % 2])
        except BaseException as failure:  # noqa: BLE001 - a thread's own failures are seen by nobody
            failures.append(failure)

    threads = [threading.Thread(target=repeat, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@installed
def test_does_not_change_the_threads_of_others() -> None:
    openmp = ctypes.CDLL("libgomp.so.1")
    before = openmp.omp_get_max_threads()
    openmp.omp_set_num_threads(5)
    try:
        jax.block_until_ready(SQUARE.all(*SQUARE.arrays()))
        assert openmp.omp_get_max_threads() == 5
    finally:
        openmp.omp_set_num_threads(before)


@installed
@pytest.mark.parametrize("case", CASES)
def test_bfloat16_if_the_processor_multiplies_it(case: Case) -> None:
    if not native.serves(case.x, case.kernel, jnp.bfloat16, case.windows, case.groups):
        pytest.skip("this processor does not multiply bfloat16")
    arrays = case.arrays(whole=True)
    for ours, exact in zip(case.all(*(a.astype(jnp.bfloat16) for a in arrays)), case.reference(*arrays), strict=True):
        assert ours.dtype == jnp.bfloat16
        assert_same(ours, exact.astype(jnp.bfloat16))  # float32 sums, rounded once


@installed
def test_nan_has_the_positions_of_the_reference() -> None:
    x, kernel, g = SQUARE.arrays(whole=True)
    spoilt = (x.at[2, 3, 4, 1].set(jnp.nan), kernel, g)
    assert_same(SQUARE.all(*spoilt), SQUARE.reference(*spoilt))


@installed
def test_what_it_does_not_serve() -> None:
    served: dict[str, Any] = {"x_shape": SQUARE.x, "kernel_shape": SQUARE.kernel, "windows": SQUARE.windows}
    served |= {"dtype": jnp.float32, "groups": 1}
    assert native.serves(**served)
    assert not native.serves(**served | {"dtype": jnp.float16})
    assert not native.serves(**served | {"x_shape": (0, 12, 12, 5)})
    assert not native.serves(**served | {"windows": (Window(14), Window(3))})  # no position
    cube = {"x_shape": (2, 4, 4, 4, 3), "kernel_shape": (1, 1, 1, 3, 2), "windows": (Window(1),) * 3}
    assert not native.serves(**served | cube)


@installed
@given(st.integers(1, 3000), st.sampled_from([1, 3, 10, 16, 64, 200]), st.integers(0, 2**32 - 1))
@settings(max_examples=15)
def test_moments_are_accurate_if_the_mean_is_large(rows: int, channels: int, seed: int) -> None:
    x = jnp.asarray(np.random.default_rng(seed).normal(100, 1, (rows, channels)), jnp.float32)
    mean, variance = native.moments(x)
    exact = np.asarray(x, np.float64)
    np.testing.assert_allclose(mean, exact.mean(0), rtol=1e-6)
    np.testing.assert_allclose(variance, exact.var(0), rtol=1e-4, atol=1e-6)


@installed
def test_moments_of_members_and_of_bfloat16() -> None:
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 500, 12)), jnp.float32)
    together = jax.jit(jax.vmap(native.moments))(x)
    for number in range(3):
        assert_same([array[number] for array in together], list(native.moments(x[number])))
    half = x[0].astype(jnp.bfloat16)
    assert_same(native.moments(half), native.moments(half.astype(jnp.float32)))
