"""Embedding: a look-up held against NumPy, PyTorch and finite differences, and where it may stand."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import KEY, check_gradients, drawn, normal
from pydantic import TypeAdapter

from runner.layers import LayerList
from runner.layers.base import Layer
from runner.layers.embedding import Embedding
from runner.layers.passes import Pass
from runner.model import Model
from runner.records import frozen

TOKENS = jnp.asarray(np.random.default_rng(0).integers(0, 11, (4, 9, 1)), jnp.int32)


def embedding(dim: int = 5, vocabulary: int = 11, precision: Any = "float32", **arguments: Any) -> Layer:
    return Embedding(dim=dim, **arguments).bind(2, vocabulary, precision)


def applied(layer: Layer, table: jax.Array, tokens: jax.Array = TOKENS) -> jax.Array:
    y, statistics = layer.apply({"table": table}, {}, tokens, Pass(training=True, key=KEY))
    assert statistics == {}
    return y


def test_it_looks_up_the_rows_of_its_table() -> None:
    table = normal(11, 5)
    expected = np.take(np.asarray(table), np.asarray(TOKENS)[..., 0], axis=0)
    np.testing.assert_array_equal(applied(embedding(zero_padding=False), table), expected)
    expected = np.where(np.asarray(TOKENS) == 0, 0, expected)
    assert (expected == 0).any()
    np.testing.assert_array_equal(applied(embedding(), table), expected)


def test_it_is_the_embedding_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    table, weights = normal(11, 5), normal(4, 9, 5, seed=1)
    for zero_padding in (True, False):
        oracle = torch.nn.Embedding(11, 5, padding_idx=0 if zero_padding else None)
        with torch.no_grad():
            oracle.weight.copy_(torch.tensor(np.asarray(table)))
            if zero_padding:
                oracle.weight[0] = 0
        y = oracle(torch.tensor(np.asarray(TOKENS)[..., 0]).long())
        (y * torch.tensor(np.asarray(weights))).sum().backward()

        layer = embedding(zero_padding=zero_padding)
        np.testing.assert_array_equal(applied(layer, table), y.detach().numpy())
        gradient = jax.grad(lambda t, layer=layer: jnp.sum(applied(layer, t) * weights))(table)
        np.testing.assert_allclose(gradient, oracle.weight.grad.numpy(), rtol=1e-6, atol=1e-6)


def test_its_gradient_is_that_of_finite_differences() -> None:
    check_gradients(lambda table: jnp.sum(jnp.sin(applied(embedding(), table))), normal(11, 5))


def test_padding_learns_nothing_unless_it_is_told_to() -> None:
    table = normal(11, 5)
    for zero_padding in (True, False):
        layer = embedding(zero_padding=zero_padding)
        gradient = jax.grad(lambda t, layer=layer: jnp.sum(applied(layer, t)))(table)
        assert bool(gradient[0].any()) is not zero_padding


def test_the_table_has_a_row_for_every_token_and_begins_as_it_is_told() -> None:
    [layer] = entries({"embedding": {"dim": 50, "table_init": {"normal": {"stddev": 0.3}}}})
    layer = layer.bind(2, 400)
    assert layer.output_shape((9, 1)) == (9, 50)
    assert layer.parameter_count((9, 1)) == 400 * 50
    assert layer.multiply_adds((9, 1)) == 0
    table = drawn(layer, (9, 1))[0]["table"]
    assert table.shape == (400, 50)
    assert float(table.std()) == pytest.approx(0.3, rel=0.02)


def test_it_computes_in_the_precision_of_training() -> None:
    table = normal(11, 5)
    for precision in ("float32", "bfloat16"):
        y = applied(embedding(precision=precision), table)
        assert y.dtype == precision
        np.testing.assert_array_equal(y, applied(embedding(), table).astype(precision))


def test_what_the_configuration_says_counts_before_what_the_data_say() -> None:
    layer = Embedding(dim=2, vocabulary=100, precision="bfloat16").bind(2, 11, "float32")
    assert layer == Embedding(dim=2, vocabulary=100, precision="bfloat16")


# Where it may stand


def entries(*layers: Any) -> tuple[Layer, ...]:
    parsed: tuple[Layer, ...] = TypeAdapter(LayerList).validate_python(frozen(list(layers)))
    return parsed


def told(*layers: Any, shape: tuple[int, ...] = (9, 1), vocabulary: int | None = 11) -> list[str]:
    model = Model(name="told", layers=entries(*layers))
    return [str(fault) for fault in model.survey(shape, 2, vocabulary=vocabulary).faults]


EMBED: dict[str, Any] = {"embedding": {"dim": 4}}
CONV: dict[str, Any] = {"conv": {"filters": 3, "kernel_size": 2}}
NO_TOKENS = "must have tokens before it, as data=text gives, got"
NO_EMBEDDING = "must have an embedding before it, as the data are tokens, got 9×1"


@pytest.mark.parametrize(
    "layers",
    [
        [EMBED, CONV, "global_max_pool", "classifier"],
        [{"repeat": {"times": 1, "layers": [EMBED]}}, "flatten", "classifier"],
        # Kim's two channels: the same words by two tables.
        [{"branches": {"paths": [[EMBED], [EMBED, "relu"]]}}, CONV, "global_max_pool", "classifier"],
        [{"residual": {"layers": [EMBED], "shortcut": [EMBED]}}, "flatten", "classifier"],
        [{"auxiliary": {"layers": [EMBED, "flatten", "classifier"]}}, EMBED, "flatten", "classifier"],
    ],
    ids=["first", "repeat", "branches", "residual", "auxiliary"],
)
def test_where_tokens_are_embedded_before_anything_else_it_fits(layers: list[Any]) -> None:
    assert told(*layers) == []
    model = Model(name="fits", layers=entries(*layers)).bind((9, 1), 2, 11)
    params, statistics = model.init(KEY)
    y, _ = model.apply(params, statistics, TOKENS, Pass(training=False, key=KEY))
    assert y.shape == (4, 2)


@pytest.mark.parametrize(
    ("layers", "faults"),
    [
        ([CONV, "flatten", "classifier"], [f"model.layers[0].conv: {NO_EMBEDDING}"]),
        (["flatten", "classifier"], [f"model.layers[0].flatten: {NO_EMBEDDING}"]),
        ([EMBED, EMBED, "flatten", "classifier"], [f"model.layers[1].embedding: {NO_TOKENS} 9×4"]),
        (
            [{"repeat": {"times": 2, "layers": [EMBED]}}, "flatten", "classifier"],
            [f"model.layers[0].repeat.layers[0].embedding: {NO_TOKENS} 9×4"],
        ),
        (
            [{"branches": {"paths": [[EMBED], [CONV]]}}, "flatten", "classifier"],
            [f"model.layers[0].branches.paths[1][0].conv: {NO_EMBEDDING}"],
        ),
        (
            [{"branches": {"paths": [[EMBED], []]}}, "flatten", "classifier"],
            [
                "model.layers[0].branches: must have an embedding on every path, as the data are tokens, "
                "got a path without"
            ],
        ),
        (
            [{"dense_connection": {"layers": [EMBED]}}, "flatten", "classifier"],
            [
                "model.layers[0].dense_connection: must have an embedding on every path, as the data are tokens, "
                "got a path without"
            ],
        ),
        (
            [{"embedding": {"dim": 4, "vocabulary": 10}}, "flatten", "classifier"],
            ["model.layers[0].embedding.vocabulary: must be at least 11, as many as the data have, got 10"],
        ),
    ],
)
def test_tokens_that_nothing_embeds_are_told_of(layers: list[Any], faults: list[str]) -> None:
    assert told(*layers) == faults


@pytest.mark.parametrize(("shape", "got"), [((8, 8, 3), "8×8×3"), ((9, 1), "9×1"), ((9, 2), "9×2")])
def test_images_and_signals_are_no_tokens(shape: tuple[int, ...], got: str) -> None:
    lines = told(EMBED, "flatten", "classifier", shape=shape, vocabulary=None)
    assert lines == [f"model.layers[0].embedding: {NO_TOKENS} {got}"]


# Convolution over words


def test_a_causal_convolution_sees_no_later_word() -> None:
    model = Model(
        name="causal",
        layers=entries(EMBED, {"conv": {"filters": 3, "kernel_size": 3, "dilation": 2, "padding": "causal"}}),
    ).bind((9, 1), 2, 11)
    params, statistics = model.init(KEY)

    def run(tokens: jax.Array) -> np.ndarray:
        return np.asarray(model.apply(params, statistics, tokens, Pass(training=False, key=KEY))[0])

    before = run(TOKENS)
    assert before.shape == (4, 9, 3)
    for place in range(9):
        changed = run(TOKENS.at[:, place].set((TOKENS[:, place] + 1) % 11))
        different = np.any(changed != before, axis=(0, 2))
        assert np.flatnonzero(different).tolist() == [later for later in (place, place + 2, place + 4) if later < 9]


def test_a_convolution_over_words_is_a_sum_over_a_window() -> None:
    model = Model(name="plain", layers=entries({"embedding": {"dim": 4}}, CONV)).bind((9, 1), 2, 11)
    params, statistics = model.init(KEY)
    y, _ = model.apply(params, statistics, TOKENS, Pass(training=False, key=KEY))
    vectors = np.asarray(params["0_embedding"]["table"]) * (np.arange(11) > 0)[:, None]
    x, kernel = vectors[np.asarray(TOKENS)[..., 0]], np.asarray(params["1_conv"]["kernel"])
    expected = sum(x[:, tap : tap + 8] @ kernel[tap] for tap in range(2))
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
