"""Window arithmetic against lax's own shapes, the published figures, and what a stack of windows really touches."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax import lax

from runner.geometry import Padding, ReceptiveField, Window, union, window

PADDINGS: tuple[Padding, ...] = ("valid", "same", "full", "causal", 0, 1, 3, (0, 2), (2, 1))
GRID = list(itertools.product((1, 2, 5, 8, 13), (1, 2, 3, 5), (1, 2, 3), (1, 2, 3)))  # axis, size, stride, dilation

windows = st.builds(
    Window,
    size=st.integers(1, 4),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 2),
    low=st.integers(0, 3),
    high=st.integers(0, 3),
)


def conv_output_size(axis_size: int, w: Window) -> int:
    """What lax's convolution makes of the axis; 0 where the window does not fit."""
    out = jax.eval_shape(
        lambda x, k: lax.conv_general_dilated(
            x, k, (w.stride,), [(w.low, w.high)], rhs_dilation=(w.dilation,), dimension_numbers=("NWC", "WIO", "NWC")
        ),
        jax.ShapeDtypeStruct((1, axis_size, 1), jnp.float32),
        jax.ShapeDtypeStruct((w.size, 1, 1), jnp.float32),
    )
    return int(out.shape[1])


def pool_output_size(axis_size: int, w: Window) -> int:
    """What lax's reduction over windows makes of the axis; 0 where the window does not fit."""
    out = jax.eval_shape(
        lambda x: lax.reduce_window(
            x, -jnp.inf, lax.max, (w.size,), (w.stride,), [(w.low, w.high)], window_dilation=(w.dilation,)
        ),
        jax.ShapeDtypeStruct((axis_size,), jnp.float32),
    )
    return int(out.shape[0])


@pytest.mark.parametrize("padding", PADDINGS, ids=str)
def test_output_sizes_are_those_of_lax(padding: Padding) -> None:
    for axis_size, size, stride, dilation in GRID:
        w = window(size, axis_size=axis_size, padding=padding, stride=stride, dilation=dilation)
        expected = w.output_size(axis_size) if w.fits(axis_size) else 0
        assert conv_output_size(axis_size, w) == expected, w
        assert pool_output_size(axis_size, w) == expected, w


def test_same_padding_is_that_of_lax() -> None:
    for axis_size, size, stride, dilation in GRID:
        w = window(size, axis_size=axis_size, padding="same", stride=stride, dilation=dilation)
        assert [(w.low, w.high)] == lax.padtype_to_pads((axis_size,), (w.extent,), (stride,), "SAME"), w
        assert w.output_size(axis_size) == -(-axis_size // stride)


@pytest.mark.parametrize(
    ("axis_size", "size", "padding", "stride", "dilation", "expected"),
    [
        (4, 3, "valid", 1, 1, 2),  # Dumoulin & Visin 2016, figure 2.1
        (5, 4, 2, 1, 1, 6),  # figure 2.2
        (5, 3, "same", 1, 1, 5),  # figure 2.3, half padding
        (5, 3, "full", 1, 1, 7),  # figure 2.4
        (5, 3, "valid", 2, 1, 2),  # figure 2.5
        (5, 3, 1, 2, 1, 3),  # figure 2.6
        (6, 3, 1, 2, 1, 3),  # figure 2.7: the last row is not reached
        (7, 3, "valid", 1, 2, 3),  # figure 5.1
        (227, 11, "valid", 4, 1, 55),  # AlexNet's first layer (Krizhevsky 2012; its 224 is known to be a slip)
        (224, 7, 3, 2, 1, 112),  # ResNet's first layer (He 2015, table 1)
        (5, 2, "valid", 2, 1, 2),  # LeNet's last pool drops a row of an odd map
    ],
)
def test_output_sizes_of_the_literature(
    axis_size: int, size: int, padding: Padding, stride: int, dilation: int, expected: int
) -> None:
    w = window(size, axis_size=axis_size, padding=padding, stride=stride, dilation=dilation)
    assert w.output_size(axis_size) == expected


def test_a_number_pads_both_ends_and_a_pair_each_its_own() -> None:
    assert window(3, axis_size=9, padding=2) == Window(3, low=2, high=2)
    assert window(3, axis_size=9, padding=(0, 2)) == Window(3, low=0, high=2)


def test_causal_padding_keeps_the_length_and_hides_later_positions() -> None:
    w = window(3, axis_size=9, padding="causal", dilation=2)
    assert (w.low, w.high) == (4, 0)
    touched = jacobian(9, [w])
    assert touched.shape == (9, 9)
    np.testing.assert_array_equal(touched, np.tril(touched))


def test_a_window_fits_if_it_has_one_position() -> None:
    assert Window(5).fits(5)
    assert not Window(5).fits(4)
    assert Window(5, low=1).fits(4)
    assert not Window(3, dilation=2).fits(4)
    assert Window(5).output_size(5) == 1


@given(w=windows, axis_size=st.integers(12, 40))
def test_output_size_falls_with_the_window_and_stride_and_grows_with_the_axis_and_padding(
    w: Window, axis_size: int
) -> None:
    positions = w.output_size(axis_size)
    assert positions <= w.output_size(axis_size + 1) <= positions + 1
    assert positions <= Window(w.size, w.stride, w.dilation, w.low + 1, w.high).output_size(axis_size)
    assert positions >= Window(w.size + 1, w.stride, w.dilation, w.low, w.high).output_size(axis_size)
    assert positions >= Window(w.size, w.stride + 1, w.dilation, w.low, w.high).output_size(axis_size)
    assert positions >= Window(w.size, w.stride, w.dilation + 1, w.low, w.high).output_size(axis_size)


# ceil_mode


def pytorch_pool_size(axis_size: int, size: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """PyTorch's documented rule (torch.nn.MaxPool2d, and `pooling_output_shape` in ATen/native/Pool.h)."""
    numerator = axis_size + 2 * padding - dilation * (size - 1) - 1
    positions = (-(-numerator // stride) if ceil_mode else numerator // stride) + 1
    if ceil_mode and (positions - 1) * stride >= axis_size + padding:
        positions -= 1  # "sliding windows that would start in the right padded region are ignored"
    return positions


POOLS = [
    (axis_size, size, stride, padding, dilation)
    for axis_size, size, stride, dilation in itertools.product(range(1, 14), (1, 2, 3, 4), (1, 2, 3, 4, 5), (1, 2))
    for padding in range(size // 2 + 1)  # PyTorch allows no more
    if axis_size + 2 * padding >= dilation * (size - 1) + 1
]


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_pool_sizes_follow_the_rule_that_pytorch_documents(ceil_mode: bool) -> None:
    for axis_size, size, stride, padding, dilation in POOLS:
        w = window(size, axis_size=axis_size, padding=padding, stride=stride, dilation=dilation, ceil_mode=ceil_mode)
        expected = pytorch_pool_size(axis_size, size, stride, padding, dilation, ceil_mode)
        assert w.output_size(axis_size) == expected, w


def test_pool_sizes_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    for axis_size, size, stride, padding, dilation in POOLS:
        w = window(size, axis_size=axis_size, padding=padding, stride=stride, dilation=dilation, ceil_mode=True)
        pool = torch.nn.MaxPool1d(size, stride, padding, dilation, ceil_mode=True)
        assert w.output_size(axis_size) == pool(torch.zeros(1, 1, axis_size)).shape[-1], w


@pytest.mark.parametrize(("axis_size", "expected"), [(112, 56), (56, 28), (28, 14), (14, 7)])
def test_googlenet_pools_need_ceil_mode(axis_size: int, expected: int) -> None:
    # Szegedy 2014, table 1: every "max pool 3×3/2" halves its map exactly; without padding the floor falls one short.
    ceil = window(3, axis_size=axis_size, stride=2, ceil_mode=True)
    floor = window(3, axis_size=axis_size, stride=2)
    assert (ceil.output_size(axis_size), floor.output_size(axis_size)) == (expected, expected - 1)


# Receptive fields

ALEXNET = {
    "conv1": Window(11, 4),
    "pool1": Window(3, 2),
    "conv2": Window(5, low=2, high=2),
    "pool2": Window(3, 2),
    "conv3": Window(3, low=1, high=1),
    "conv4": Window(3, low=1, high=1),
    "conv5": Window(3, low=1, high=1),
    "pool5": Window(3, 2),
}
CONV3, POOL2 = Window(3, low=1, high=1), Window(2, 2)
VGG16 = [CONV3, CONV3, POOL2] * 2 + [CONV3, CONV3, CONV3, POOL2] * 3


def through(stack: list[Window]) -> ReceptiveField:
    field = ReceptiveField()
    for w in stack:
        field = field.through(w)
    return field


def test_receptive_fields_of_alexnet_as_published() -> None:
    # Araujo, Norris & Sim 2019: the fields of each layer, and the network's own row in the table.
    sizes, field = {}, ReceptiveField()
    for name, w in ALEXNET.items():
        field = field.through(w)
        sizes[name] = field.size
    assert sizes == {
        "conv1": 11,
        "pool1": 19,
        "conv2": 51,
        "pool2": 67,
        "conv3": 99,
        "conv4": 131,
        "conv5": 163,
        "pool5": 195,
    }
    assert (field.size, field.stride, field.padding) == (195, 32, 64)


def test_receptive_field_of_vgg16_as_published() -> None:
    field = through(VGG16)
    assert (field.size, field.stride, field.padding) == (212, 32, 90)


def test_receptive_field_of_mobilenet_as_published() -> None:
    # Howard 2017, table 1: a strided 3×3, then thirteen depthwise 3×3 whose strides follow.
    axis_size, field = 224, ReceptiveField()
    for stride in (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1):
        w = window(3, axis_size=axis_size, padding="same", stride=stride)
        axis_size, field = w.output_size(axis_size), field.through(w)
    assert axis_size == 7
    assert (field.size, field.stride, field.padding) == (315, 32, 126)


def test_after_an_upsampling_fields_alternate() -> None:
    field = ReceptiveField().upsampled(2).through(Window(2))
    assert [field.last(position) - field.first(position) + 1 for position in range(4)] == [1, 2, 1, 2]


def test_the_union_of_paths_without_a_common_period_is_that_of_position_0() -> None:
    fields = [ReceptiveField().through(Window(size, size)).upsampled(size) for size in (37, 31)]
    assert [field.period for field in fields] == [37, 31]
    field = union(fields)
    assert (field.period, field.size, field.stride) == (37, 37, 1)
    assert [(field.first(position), field.last(position)) for position in (0, 1, 100)] == [(0, 36), (1, 37), (100, 136)]


def test_two_stacked_3x3_see_5x5() -> None:
    assert through([Window(3), Window(3)]).size == 5
    assert through([Window(3)] * 3).size == 7  # Simonyan & Zisserman 2014, §2.3
    assert through([Window(3, dilation=1), Window(3, dilation=2), Window(3, dilation=4)]).size == 15  # Yu & Koltun 2015

    def corner(image: jax.Array) -> jax.Array:
        for _ in range(2):
            image = lax.conv(image, jnp.ones((1, 1, 3, 3)), (1, 1), "VALID")
        return image[0, 0, 0, 0]

    seen = np.asarray(jax.grad(corner)(jnp.zeros((1, 1, 7, 7))))[0, 0] != 0
    np.testing.assert_array_equal(seen, np.pad(np.ones((5, 5), bool), ((0, 2), (0, 2))))


@pytest.mark.parametrize(
    "stack",
    [
        [Window(3, low=1, high=1), Window(2, 2), Window(3, dilation=2, low=2, high=2)],
        [Window(5, 2, low=1, high=2), Window(3, 2, low=1)],
    ],
    ids=["conv, pool, dilated conv", "strided, unevenly padded"],
)
def test_receptive_field_is_where_the_gradient_is_not_zero(stack: list[Window]) -> None:
    field = through(stack)
    axis_size = 4 * field.size

    def feature_map(x: jax.Array) -> jax.Array:  # (axis_size,) → (positions,)
        x = x.reshape(1, -1, 1)
        for w in stack:
            x = lax.conv_general_dilated(
                x,
                jnp.ones((w.size, 1, 1)),
                (w.stride,),
                [(w.low, w.high)],
                rhs_dilation=(w.dilation,),
                dimension_numbers=("NWC", "WIO", "NWC"),
            )
        return x.reshape(-1)

    assert_field_covers(np.asarray(jax.jacobian(feature_map)(jnp.zeros(axis_size))) != 0, field)


@given(stack=st.lists(windows, min_size=1, max_size=3), spare=st.integers(0, 20))
def test_receptive_field_covers_the_pixels_of_stacked_windows(stack: list[Window], spare: int) -> None:
    field = through(stack)
    axis_size = field.size + int(field.stride) + spare  # enough for one position that sees no padding
    assert_field_covers(jacobian(axis_size, stack), field)


def jacobian(axis_size: int, stack: list[Window]) -> np.ndarray:
    """Which pixels (columns) each position (row) of the last map touches, by walking each window's taps."""
    touched = np.eye(axis_size, dtype=bool)
    for w in stack:
        padded = np.pad(touched, ((w.low, w.high), (0, 0)))
        starts = range(0, len(padded) - w.extent + 1, w.stride)
        touched = np.stack([padded[start : start + w.extent : w.dilation].any(axis=0) for start in starts])
    return touched


def assert_field_covers(touched: np.ndarray, field: ReceptiveField) -> None:
    """Every position stays within its field; one whose field lies within the image reaches both of its ends."""
    axis_size, reached = touched.shape[1], 0
    for position, pixels in enumerate(touched):
        first, last = field.first(position), field.last(position)
        assert (first, last) == (position * field.stride - field.padding, first + field.size - 1)
        seen = np.flatnonzero(pixels)
        assert all(first <= pixel <= last for pixel in seen)
        if first >= 0 and last < axis_size:
            assert (seen[0], seen[-1]) == (first, last)
            reached += 1
    assert reached
