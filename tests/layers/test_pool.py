"""Pooling against NumPy, PyTorch and what it documents, JAX's own shapes and finite differences."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from alone import check_gradients, distinct, evaluated_shape, normal, output, told
from hypothesis import event, given, settings
from hypothesis import strategies as st

from runner.layers.base import Layer, Misfit
from runner.layers.pool import AvgPool, GlobalAvgPool, GlobalMaxPool, MaxPool, Subsampling, SumPool

WINDOWED: list[Any] = [MaxPool, AvgPool, SumPool]
NUMPY_MODES = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}

# What NumPy makes of the pixels under one window, where NaN stands for padding.
REDUCTIONS: dict[Any, Any] = {MaxPool: np.nanmax, SumPool: np.nansum, AvgPool: np.nanmean}


def by_windows(pool: Any, x: np.ndarray) -> np.ndarray:
    """The definition, one position at a time; padded zeros are NaN, so that NumPy leaves them out. `(n, h, w, c)`."""
    windows = pool.windows(x.shape[1:])
    pads = [(0, 0), *((w.low, w.high) for w in windows), (0, 0)]
    if pool.padding_mode == "zeros":
        x = np.pad(x, pads, constant_values=np.nan)
    else:
        x = np.pad(x, pads, mode=NUMPY_MODES[pool.padding_mode])  # type: ignore[call-overload]
    (h, w), (sh, sw), (dh, dw) = (np.broadcast_to(v, 2) for v in (pool.size, pool.stride or pool.size, pool.dilation))
    rows = range((x.shape[1] - dh * (h - 1) - 1) // sh + 1)
    columns = range((x.shape[2] - dw * (w - 1) - 1) // sw + 1)
    y = np.zeros((len(x), len(rows), len(columns), x.shape[3]))
    for i, j in itertools.product(rows, columns):
        seen = x[:, i * sh : i * sh + dh * (h - 1) + 1 : dh, j * sw : j * sw + dw * (w - 1) + 1 : dw]
        y[:, i, j] = REDUCTIONS[type(pool)](seen, axis=(1, 2))
    return y


# Shapes


@st.composite
def poolings(draw: st.DrawFn) -> tuple[Layer, tuple[int, ...]]:
    axes = draw(st.integers(1, 2))

    def per_axis(least: int, most: int) -> Any:
        numbers = st.integers(least, most)
        return numbers | st.tuples(*[numbers] * axes)

    padding = st.sampled_from(["valid", "same", "full", *(["causal"] if axes == 1 else [])])
    pairs = st.tuples(*[st.tuples(st.integers(0, 3), st.integers(0, 3))] * axes)
    pool = draw(st.sampled_from(WINDOWED))(
        size=draw(per_axis(1, 4)),
        stride=draw(st.none() | per_axis(1, 5)),
        dilation=draw(per_axis(1, 3)),
        padding=draw(padding | per_axis(0, 3) | pairs),
        padding_mode=draw(st.sampled_from(["zeros", *NUMPY_MODES])),
        ceil_mode=draw(st.booleans()),
    )
    return pool, (*draw(st.tuples(*[st.integers(1, 9)] * axes)), draw(st.integers(1, 2)))


def refusal(layer: Layer, shape: tuple[int, ...]) -> str:
    try:
        layer.output_shape(shape)
    except Misfit as misfit:
        return f"{misfit.field}: {misfit.rule}"
    return ""


@given(poolings())
@settings(max_examples=150)
def test_the_inferred_shape_is_that_of_jax(case: tuple[Layer, tuple[int, ...]]) -> None:
    pool, shape = case
    fault = refusal(pool, shape)
    event(fault.split(" ")[0])
    if not fault:
        assert evaluated_shape(pool, shape) == pool.output_shape(shape)
        assert min(pool.output_shape(shape)) >= 1
    else:
        assert fault.startswith(("size: fit the ", "padding: be at most ", "padding: leave a pixel"))


@pytest.mark.parametrize("padding", ["valid", "same", 1, (0, 1), ((0, 1), (1, 0))], ids=str)
def test_the_inferred_shape_over_a_grid(padding: Any) -> None:
    for size, window, stride, ceil_mode in itertools.product((5, 8), (2, 3), (None, 1, 2), (False, True)):
        pool = MaxPool(size=window, stride=stride, padding=padding, ceil_mode=ceil_mode)
        assert evaluated_shape(pool, (size, size + 1, 1)) == pool.output_shape((size, size + 1, 1))


@given(
    size=st.integers(1, 4),
    stride=st.integers(1, 5),
    dilation=st.integers(1, 4),
    padding=st.sampled_from(["same", "full"]) | st.tuples(st.integers(0, 9), st.integers(0, 9)),
    length=st.integers(1, 9),
    ceil_mode=st.booleans(),
)
@settings(max_examples=300)
def test_max_pooling_is_refused_just_where_a_window_covers_padding_alone(
    size: int, stride: int, dilation: int, padding: Any, length: int, ceil_mode: bool
) -> None:
    padding = padding if isinstance(padding, str) else (padding,)
    arguments = {"size": size, "stride": stride, "dilation": dilation, "padding": padding, "ceil_mode": ceil_mode}
    if refusal(SumPool(**arguments), (length, 1)):
        return
    [window] = SumPool(**arguments).windows((length, 1))
    starts = range(-window.low, length + window.high - window.extent + 1, stride)
    empty = any(not any(0 <= start + tap * dilation < length for tap in range(size)) for start in starts)
    assert refusal(MaxPool(**arguments), (length, 1)) == ("padding: leave a pixel under every window" if empty else "")


def test_stride_is_as_large_as_the_window_unless_said() -> None:
    assert MaxPool(size=(2, 3)).output_shape((8, 9, 4)) == (4, 3, 4)
    assert MaxPool(size=(2, 3), stride=1).output_shape((8, 9, 4)) == (7, 7, 4)


def test_lenets_last_pool_drops_a_row_unless_ceil_mode_keeps_it() -> None:
    assert MaxPool(size=2).output_shape((5, 5, 16)) == (2, 2, 16)
    assert MaxPool(size=2, ceil_mode=True).output_shape((5, 5, 16)) == (3, 3, 16)


# Values


@pytest.mark.parametrize("kind", WINDOWED, ids=lambda kind: kind.kind)
@pytest.mark.parametrize(
    "arguments",
    [
        {"size": 2},
        {"size": (3, 2), "stride": (1, 2), "padding": ((0, 1), (1, 0))},
        {"size": 3, "stride": 2, "padding": "same"},
        {"size": 2, "dilation": 2, "stride": 1, "padding": 1},
        {"size": 2, "stride": 2, "ceil_mode": True},
        {"size": 3, "stride": 2, "padding": 1, "padding_mode": "reflect"},
        {"size": 3, "stride": 2, "padding": 1, "padding_mode": "replicate", "ceil_mode": True},
        {"size": 3, "stride": 1, "padding": 2, "padding_mode": "circular"},
    ],
    ids=str,
)
def test_values_are_those_of_the_definition(kind: Any, arguments: dict[str, Any]) -> None:
    pool = kind(**arguments)
    x = normal(2, 5, 7, 2)
    np.testing.assert_allclose(output(pool, x), by_windows(pool, np.asarray(x, np.float64)), rtol=1e-5, atol=1e-6)


def test_along_one_axis() -> None:
    series = jnp.array([[[1.0], [3.0], [2.0], [5.0], [4.0]]])
    assert output(MaxPool(size=2), series).reshape(-1).tolist() == [3, 5]
    assert output(MaxPool(size=2, ceil_mode=True), series).reshape(-1).tolist() == [3, 5, 4]
    assert output(AvgPool(size=2, ceil_mode=True), series).reshape(-1).tolist() == [2, 3.5, 4]
    assert output(SumPool(size=2, stride=1, padding="causal"), series).reshape(-1).tolist() == [1, 4, 5, 7, 9]


def test_padding_never_wins_a_maximum() -> None:
    x = -jnp.ones((1, 3, 3, 1))
    assert (output(MaxPool(size=3, stride=1, padding=1), x) == -1).all()
    assert (output(MaxPool(size=3, stride=2, padding="same"), x) == -1).all()
    assert (output(MaxPool(size=2, ceil_mode=True), x) == -1).all()


def test_a_tie_is_the_value_they_share() -> None:
    assert (output(MaxPool(size=2), jnp.full((1, 4, 4, 1), 3.0)) == 3).all()
    assert output(GlobalMaxPool(), jnp.full((1, 4, 4, 1), 3.0)).tolist() == [[3]]


def test_whether_padding_counts_in_a_mean() -> None:
    x = jnp.ones((1, 2, 2, 1))
    left_out = output(AvgPool(size=2, padding=1), x)
    counted = output(AvgPool(size=2, padding=1, count_padding=True), x)
    assert left_out.reshape(2, 2).tolist() == [[1, 1], [1, 1]]
    assert counted.reshape(2, 2).tolist() == [[0.25, 0.25], [0.25, 0.25]]
    assert not np.isnan(output(AvgPool(size=1, padding=1), x)).any()  # here windows cover padding alone


@pytest.mark.parametrize("count_padding", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pixels_of_a_mean_are_those_that_pytorch_documents(count_padding: bool, ceil_mode: bool) -> None:
    # ATen/native/cpu/AvgPoolKernel.cpp: the window is cut at the padded edge to count it, at the image's to sum it.
    for length, size, stride in itertools.product((5, 7), (2, 4), (1, 3)):
        for padding in (0, size // 2):
            arguments = {"size": size, "stride": stride, "padding": padding}
            pool = AvgPool(count_padding=count_padding, ceil_mode=ceil_mode, **arguments)  # type: ignore[arg-type]
            expected = []
            for position in range(pool.output_shape((length, 1))[0]):
                start = position * stride - padding
                end = min(start + size, length + padding)
                inside = min(end, length) - max(start, 0)
                expected.append(inside / (end - start) if count_padding else 1)
            found = output(pool, jnp.ones((1, length, 1))).reshape(-1)
            np.testing.assert_allclose(found, expected, rtol=1e-6, err_msg=str(pool))


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    ("size", "stride", "padding", "dilation"), [(2, 2, 0, 1), (3, 2, 1, 1), ((3, 4), (2, 3), (1, 2), 1), (2, 3, 1, 2)]
)
def test_values_are_those_of_pytorch(size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch, the oracle of this test, is not installed")
    functional = torch.nn.functional
    x = normal(2, 8, 9, 3)
    theirs = torch.tensor(np.asarray(x).transpose(0, 3, 1, 2))
    shared = {"size": size, "stride": stride, "padding": padding, "dilation": dilation, "ceil_mode": ceil_mode}
    expected = functional.max_pool2d(theirs, size, stride, padding, dilation, ceil_mode).numpy()
    np.testing.assert_array_equal(output(MaxPool(**shared), x), expected.transpose(0, 2, 3, 1))
    if dilation == 1:
        for counted in (False, True):
            expected = functional.avg_pool2d(theirs, size, stride, padding, ceil_mode, counted).numpy()
            found = output(AvgPool(count_padding=counted, **shared), x)
            np.testing.assert_allclose(found, expected.transpose(0, 2, 3, 1), rtol=1e-5, atol=1e-6)


def test_a_window_that_fits_only_because_it_may_hang_over_the_edge() -> None:
    # PyTorch gives the same one value.
    x = jnp.array([[1.0, 2.0], [3.0, 6.0]]).reshape(1, 2, 2, 1)
    over = {"size": 3, "stride": 2, "ceil_mode": True}
    assert output(AvgPool(**over), x).reshape(-1).tolist() == [3]  # type: ignore[arg-type]
    assert output(MaxPool(**over), x).reshape(-1).tolist() == [6]  # type: ignore[arg-type]


def test_global_pooling_takes_every_axis_but_channels() -> None:
    for x in (normal(2, 3, 4, 5), normal(2, 6, 5)):
        axes = tuple(range(1, x.ndim - 1))
        np.testing.assert_allclose(output(GlobalAvgPool(), x), np.asarray(x).mean(axes), rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(output(GlobalMaxPool(), x), np.asarray(x).max(axes))
        assert GlobalAvgPool().output_shape(x.shape[1:]) == (5,) == evaluated_shape(GlobalMaxPool(), x.shape[1:])


# Gradients and precision


@pytest.mark.parametrize(
    "pool",
    [
        MaxPool(size=2),
        MaxPool(size=3, stride=2, padding=1),  # windows overlap
        MaxPool(size=3, stride=1, padding=1, padding_mode="reflect"),
        MaxPool(size=2, stride=1, dilation=2),
        MaxPool(size=2, ceil_mode=True),
        AvgPool(size=3, stride=2, padding=1),
        AvgPool(size=2, dilation=2, stride=1, padding=1, count_padding=True),
        AvgPool(size=2, ceil_mode=True),
        SumPool(size=(2, 3), stride=1, padding="full"),
        SumPool(size=2, padding=1, padding_mode="circular"),
        GlobalAvgPool(),
        GlobalMaxPool(),
    ],
    ids=lambda pool: f"{pool.kind} {', '.join(sorted(pool.model_fields_set))}",
)
def test_gradients(pool: Layer) -> None:
    check_gradients(jax.jit(lambda x: output(pool, x, {}, {})), distinct(2, 5, 5, 2, step=0.125))


@pytest.mark.parametrize("kind", WINDOWED, ids=lambda kind: kind.kind)
def test_low_precision_in_gives_low_precision_out(kind: Any) -> None:
    assert evaluated_shape(kind(size=2, padding=1), (5, 5, 2), jnp.bfloat16) == (3, 3, 2)


def test_poolings_learn_nothing_and_cost_no_multiply_adds() -> None:
    for pool in (*(kind(size=2) for kind in WINDOWED), GlobalAvgPool(), GlobalMaxPool()):
        assert pool.parameters((4, 4, 2)) == {} == pool.statistics((4, 4, 2))
        assert pool.multiply_adds((4, 4, 2)) == 0 == pool.parameter_count((4, 4, 2))


# What a user is told


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"max_pool": {"size": 0}}, "max_pool.size: must be ≥ 1, got 0"),
        (
            {"avg_pool": {"size": "2x2"}},
            "avg_pool.size: must be a whole number ≥ 1, or one for each axis as in [3, 3], got 2x2",
        ),
        ({"avg_pool": {"size": [2]}}, "avg_pool.size: must give one value for each of 2 axes, got [2]"),
        ({"sum_pool": {"size": 9}}, "sum_pool.size: must fit the 8×8×3 input, got 9×9"),
        ({"max_pool": {"size": [2, 9]}}, "max_pool.size: must fit the 8×8×3 input, got 2×9"),
        (
            {"max_pool": {"size": 2, "padding": 2}},
            "max_pool.padding: must leave a pixel under every window, got 2",
        ),
        (
            {"max_pool": {"size": 2, "padding": [[0, 0], [0, 3]]}},
            "max_pool.padding: must leave a pixel under every window, got [[0, 0], [0, 3]]",
        ),
        (
            {"max_pool": {"size": 2, "padding": "causal"}},
            "max_pool.padding: must not be causal over two axes, got causal",
        ),
        (
            {"avg_pool": {"size": 2, "padding": 8, "padding_mode": "reflect"}},
            "avg_pool.padding: must be at most 7 pixels under padding_mode reflect, got 8",
        ),
        ({"max_pool": {"size": 2, "ceil_mode": 1}}, "max_pool.ceil_mode: must be true or false, got 1"),
        (
            {"max_pool": {"size": 2, "count_padding": True}},
            'max_pool.count_padding: unknown key "count_padding"; did you mean "padding"?',
        ),
        ({"max_pool": {}}, "max_pool.size: must be given, got nothing"),
    ],
    ids=str,
)
def test_faults(entry: dict[str, Any], expected: str) -> None:
    assert told(entry, "flatten", "classifier") == [f"model.layers[0].{expected}"]


@pytest.mark.parametrize("kind", ["global_avg_pool", "global_max_pool"])
def test_global_pooling_needs_axes(kind: str) -> None:
    [line] = told("flatten", kind)
    assert line == f"model.layers[1].{kind}: must have an input with spatial axes, got 192"


# Subsampling: the coefficient and the bias of LeCun 1998


def test_subsampling_begins_as_the_mean_and_learns_two_numbers_for_each_channel() -> None:
    x = normal(2, 6, 4, 3)
    layer = Subsampling(size=2)
    assert layer.parameter_count((28, 28, 6)) == 12  # S2 of LeNet-5
    np.testing.assert_allclose(output(layer, x), output(AvgPool(size=2), x), rtol=1e-5, atol=1e-6)
    params = {"scale": jnp.asarray([1.0, 2.0, -3.0]), "bias": jnp.asarray([0.0, 1.0, 2.0])}
    expected = np.asarray(output(SumPool(size=2), x)) * [1, 2, -3] + [0, 1, 2]
    np.testing.assert_allclose(output(layer, x, params, {}), expected, rtol=1e-5, atol=1e-6)
    check_gradients(lambda params, x: output(layer, x, params, {}), params, x)
