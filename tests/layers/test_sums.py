"""Sums in bfloat16: every kind of layer against itself in float32, where sums kept in bfloat16 would be far off.

Inputs, parameters and the output's gradient hold 0.5, 1 and 1.5, which bfloat16 holds exactly. A sum of ones that is
kept in bfloat16 stops at 256, since 256 + 1 rounds to 256.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, drawn
from configurations import here
from layer_kinds import TOKENS
from test_registry import entries

from runner.compiling import compiler_options
from runner.layers import KINDS
from runner.layers.base import Layer, Shape
from runner.layers.passes import Pass
from runner.ops.lowering import Choice, lowered

# What is allowed: a few roundings to bfloat16, each by at most 2⁻⁹, of a value, and of the largest that is added to it.
OF_ITSELF, OF_THE_LARGEST = 2**-7, 2**-8


class Case(NamedTuple):
    """A layer, and a batch over which it, or its gradient, sums many values."""

    entry: dict[str, Any]
    shape: Shape
    n: int = 8

    @property
    def kind(self) -> str:
        return next(iter(self.entry))

    def __str__(self) -> str:
        return str(self.entry)[:60]


IMAGE: Shape = (32, 32, 2)
CONV = {"filters": 2, "kernel_size": 3, "padding": 1}
CASES = [
    Case({"conv": CONV}, IMAGE),
    Case({"conv": {"filters": 2, "kernel_size": 1}}, (2, 2, 2048)),
    *(Case({"conv": {**CONV, "padding_mode": mode}}, IMAGE) for mode in ("reflect", "circular")),
    Case({"avg_pool": {"size": 3, "padding": 600, "stride": 1, "padding_mode": "replicate"}}, (4, 2), 2),
    *(Case({kind: {"size": 32, "stride": 1}}, (40, 40, 2), 2) for kind in ("avg_pool", "sum_pool", "max_pool")),
    Case({"subsampling": {"size": 2}}, IMAGE),
    Case({"subsampling": {"size": 32}}, IMAGE, 2),
    *(Case({kind: {}}, IMAGE) for kind in ("global_avg_pool", "global_max_pool", "batch_norm", "layer_norm")),
    Case({"partial_conv": {"connections": [[0], [1], [0, 1]], "kernel_size": 3}}, IMAGE),
    Case({"position_bias": {}}, (2, 2, 2), 2000),
    Case({"dense": {"units": 2}}, (8,), 2000),
    Case({"dense": {"units": 2}}, (2000,)),
    Case({"classifier": {}}, (8,), 2000),
    Case({"embedding": {"dim": 3}}, (2000, 1), 2),
    Case({"upsample": {"size": 32}}, (2, 2, 2)),
    Case({"softmax": {}}, (2000,)),
    Case({"local_response_norm": {"size": 5}}, (4, 4, 40)),
    Case({"branches": {"merge": "add", "paths": [[]] * 300}}, (3,)),
    Case({"branches": {"merge": "multiply", "paths": [["global_avg_pool"], []]}}, IMAGE),
    Case({"residual": {"layers": [{"conv": CONV}]}}, IMAGE),
    Case({"dense_connection": {"layers": [{"conv": CONV}]}}, IMAGE),
    Case({"repeat": {"times": 2, "layers": [{"conv": {**CONV, "use_bias": False}}]}}, (8, 8, 2), 100),
    Case({"auxiliary": {"layers": ["flatten", "classifier"]}}, (2, 2, 2), 2000),
    *(Case({kind: {}}, (4, 4, 2)) for kind in ("flatten", "dropout", "relu", "relu6", "tanh", "scaled_tanh", "scale")),
    *(Case({kind: {}}, (4, 4, 2)) for kind in ("sigmoid", "leaky_relu", "elu", "gelu", "silu")),
    *(Case({kind: {}}, (4, 4, 2)) for kind in ("hard_swish", "mish", "spatial_dropout", "stochastic_depth")),
    *(
        Case({kind: {"size": size}}, (40, 40, 2), 2)
        for kind in ("adaptive_avg_pool", "adaptive_max_pool")
        for size in (1, 3, 600)
    ),
    Case({"conv_transpose": {"filters": 2, "kernel_size": 4, "stride": 2, "padding": 1}}, IMAGE),
    Case({"conv_transpose": {"filters": 2, "kernel_size": 1}}, (2, 2, 2048)),
    Case({"group_norm": {"groups": 1}}, IMAGE),
    Case({"instance_norm": {}}, IMAGE),
    *(Case({"prelu": {"per_channel": own}}, (4, 4, 2), 2000) for own in (False, True)),
    Case({"pad_channels": {"channels": 3}}, (4, 4, 2)),
]
# The kinds whose operations have several lowerings.
LOWERED = {"conv", "conv_transpose", "partial_conv", "max_pool", "batch_norm"}


def test_every_kind_is_held_against_itself() -> None:
    assert {case.kind for case in CASES} == set(KINDS)


def exact(shape: Shape, seed: int) -> jax.Array:
    """Values that bfloat16 holds exactly, 1 in the mean."""
    return jnp.asarray(np.random.default_rng(seed).integers(1, 4, shape) / 2, jnp.float32)


def passes(layer: Layer, case: Case, dtype: Any, choice: Choice) -> Any:
    """The output in training, and the gradients by the parameters and by the input."""
    tokens = case.kind in TOKENS
    params, statistics = jax.eval_shape(lambda: drawn(layer, case.shape))
    params = {name: jax.tree.map(lambda leaf: exact(leaf.shape, 1), own) for name, own in params.items()}
    statistics = jax.tree.map(lambda leaf: jnp.ones(leaf.shape), statistics)
    x = exact((case.n, *case.shape), 2).astype(dtype)
    given = jnp.ones(x.shape, jnp.int32) if tokens else x

    def run(params: Any, x: jax.Array) -> Any:
        def output(params: Any, x: jax.Array) -> jax.Array:
            with lowered(choice):
                return layer.apply(params, statistics, given if tokens else x, Pass(training=True, key=KEY))[0]

        y, pull = jax.vjp(output, params, x)
        assert y.dtype == dtype
        return y, pull(exact(y.shape, 3).astype(dtype))

    compiled = jax.jit(run, compiler_options=compiler_options(here()))  # as training compiles
    return jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), compiled(params, x))


def often() -> list[Any]:
    """The first case of each kind; further ones are slow."""
    first = {case.kind: case for case in reversed(CASES)}
    return [
        pytest.param(case, marks=() if first[case.kind] is case else pytest.mark.slow, id=str(case)) for case in CASES
    ]


@pytest.mark.parametrize("case", often())
def test_sums_in_bfloat16_are_those_of_float32(case: Case) -> None:
    [entry] = entries(case.entry)
    narrow, wide = (entry.bind(3, 4, precision) for precision in ("bfloat16", "float32"))
    choices: tuple[Choice, ...] = ("auto", "portable", "reference") if case.kind in LOWERED else ("auto",)
    expected = passes(wide, case, jnp.float32, "reference")
    for choice in choices:
        found = passes(narrow, case, jnp.bfloat16, choice)
        for ours, exact_sums in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            allowed = OF_ITSELF * abs(exact_sums) + OF_THE_LARGEST * abs(exact_sums).max()
            worst = (abs(ours - exact_sums) - allowed).argmax()
            assert (abs(ours - exact_sums) <= allowed).all(), (choice, ours.flat[worst], exact_sums.flat[worst])
