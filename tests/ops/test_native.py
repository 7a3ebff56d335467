"""Native convolutions against the reference, bit against bit where whole numbers allow it; and what happens without."""

import ctypes
import importlib.util
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax import lax

from runner.geometry import Window
from runner.ops import native

installed = pytest.mark.skipif(
    importlib.util.find_spec("convrunner_native") is None,
    reason="native convolutions are not installed: `make native` builds them",
)


class Case(NamedTuple):
    """A convolution of some shape."""

    x: tuple[int, ...]
    kernel: tuple[int, ...]
    windows: tuple[Window, ...]
    groups: int = 1

    def arrays(self, seed: int = 0, *, whole: bool = False) -> tuple[jax.Array, jax.Array, jax.Array]:
        """An input, a kernel and an output's gradient; `whole` numbers add up exactly in whatever order."""
        rng = np.random.default_rng(seed)
        y = (self.x[0], *native._positions(self.x, self.windows), self.kernel[-1])
        draw = (lambda shape: rng.integers(-4, 5, shape)) if whole else (lambda shape: rng.normal(size=shape))
        x, kernel, g = (jnp.asarray(draw(shape), jnp.float32) for shape in (self.x, self.kernel, y))
        return x, kernel, g

    def all(self, x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The output and both gradients, natively."""
        return (
            native.forward(x, kernel, self.windows, self.groups),
            native.input_gradient(g, kernel, self.x, self.windows, self.groups),
            native.kernel_gradient(x, g, self.kernel, self.windows, self.groups),
        )

    def reference(self, x: jax.Array, kernel: jax.Array, g: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The same by XLA."""
        y, pull = jax.vjp(self.plain, x, kernel)
        return y, *pull(g)

    def plain(self, x: jax.Array, kernel: jax.Array) -> jax.Array:
        spatial = "HW"[2 - len(self.windows) :]
        return lax.conv_general_dilated(
            x,
            kernel,
            window_strides=[window.stride for window in self.windows],
            padding=[(window.low, window.high) for window in self.windows],
            rhs_dilation=[window.dilation for window in self.windows],
            dimension_numbers=(f"N{spatial}C", f"{spatial}IO", f"N{spatial}C"),
            feature_group_count=self.groups,
        )


SQUARE = Case((6, 12, 12, 5), (3, 3, 5, 8), (Window(3, 1, 1, 1, 1),) * 2)
STRIDED = Case((5, 11, 9, 6), (3, 2, 3, 8), (Window(3, 2, 1, 1, 0), Window(2, 1, 2, 0, 2)), groups=2)
LINE = Case((4, 20, 3), (5, 3, 7), (Window(5, 2, 1, 4, 0),))
CASES = [SQUARE, STRIDED, LINE]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """A convolution over one or two axes that has at least one position."""
    groups, axes = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    c, filters = (groups * draw(st.integers(1, 18)) for _ in range(2))
    windows, sizes = [], []
    for _ in range(axes):
        size, dilation = draw(st.integers(1, 4)), draw(st.integers(1, 3))
        low, high = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        windows.append(Window(size, draw(st.integers(1, 3)), dilation, low, high))
        sizes.append(draw(st.integers(max(1, windows[-1].extent - low - high), 13)))
    kernel = (*(window.size for window in windows), c // groups, filters)
    return Case((draw(st.integers(1, 7)), *sizes, c), kernel, tuple(windows), groups)


def assert_same(ours: Any, theirs: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


@installed
@given(cases(), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_equals_the_reference_and_its_gradients(case: Case, seed: int) -> None:
    if not native.serves(case.x, case.kernel, jnp.float32, case.windows, case.groups):
        return
    arrays = case.arrays(seed, whole=True)
    assert_same(case.all(*arrays), case.reference(*arrays))


@installed
@pytest.mark.parametrize("case", CASES)
def test_these_cases_are_served_and_close_to_the_reference(case: Case) -> None:
    assert native.serves(case.x, case.kernel, jnp.float32, case.windows, case.groups)
    arrays = case.arrays()
    for ours, theirs in zip(case.all(*arrays), case.reference(*arrays), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@installed
@pytest.mark.parametrize("relu", [False, True])
def test_adds_a_bias_and_cuts_off_what_is_negative(relu: bool) -> None:
    x, kernel, _ = STRIDED.arrays(whole=True)
    bias = jnp.arange(-4.0, 4.0)
    y = STRIDED.plain(x, kernel) + bias.reshape(1, 1, 1, -1)
    ours = native.forward(x, kernel, STRIDED.windows, STRIDED.groups, bias, relu=relu)
    assert_same(ours, jnp.maximum(y, 0) if relu else y)


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
def test_members_of_members_find_their_operands() -> None:
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
def test_leaves_the_threads_of_others_alone() -> None:
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
def test_bfloat16_where_the_processor_multiplies_it(case: Case) -> None:
    if not native.serves(case.x, case.kernel, jnp.bfloat16, case.windows, case.groups):
        pytest.skip("this processor does not multiply bfloat16")
    arrays = case.arrays(whole=True)
    for ours, exact in zip(case.all(*(a.astype(jnp.bfloat16) for a in arrays)), case.reference(*arrays), strict=True):
        assert ours.dtype == jnp.bfloat16
        assert_same(ours, exact.astype(jnp.bfloat16))  # float32 sums, rounded once


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
def test_moments_lose_no_digits_where_the_mean_is_large(rows: int, channels: int, seed: int) -> None:
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


# Where it is not, or does not load


def told(tmp_path: Path, package: str | None) -> str:
    """What a process says of native convolutions, twice, with this source in place of the package, or without one."""
    place = "sys.modules['convrunner_native'] = None"
    if package is not None:
        (tmp_path / "convrunner_native.py").write_text(package)
        place = f"sys.path.insert(0, {str(tmp_path)!r})"
    program = f"""
import logging, sys
logging.basicConfig(level="INFO", format="%(levelname)s %(message)s", stream=sys.stdout)
logging.getLogger("jax").setLevel("ERROR")
{place}
from runner.ops import native
print(native.available(), native.available())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_one_line_says_that_it_is_not_there(tmp_path: Path) -> None:
    said = "INFO native convolutions are not installed (pip install ./native); the portable ones serve"
    assert told(tmp_path, None).splitlines() == [said, "False False"]


def test_one_line_says_that_it_does_not_load(tmp_path: Path) -> None:
    said = "WARNING native convolutions do not load (libdnnl.so.3: cannot open); the portable ones serve"
    assert told(tmp_path, "raise OSError('libdnnl.so.3: cannot open')").splitlines() == [said, "False False"]
    said = "WARNING native convolutions do not load (No module named 'gone'); the portable ones serve"
    assert told(tmp_path, "import gone").splitlines() == [said, "False False"]


def test_one_line_says_that_xla_refuses_it(tmp_path: Path) -> None:
    # XLA must have begun when it is told: it refuses one handler then, and else the whole processor.
    source = """
from jax._src import xla_bridge
def targets(): raise ValueError(f"version 9, after XLA began: {xla_bridge.backends_are_initialized()}")
"""
    said = (
        "WARNING native convolutions do not fit this jaxlib (version 9, after XLA began: True); the portable ones serve"
    )
    assert told(tmp_path, source).splitlines() == [said, "False False"]
