"""Receptive fields of whole networks against measured ones: which pixels reach each position of the last feature map.

An image for each pixel, which is 1 there and 0 elsewhere, goes through a network whose weights are positive: a position
sees the pixels of the images for which it is not 0.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from runner.errors import ConfigError
from runner.geometry import ReceptiveField
from runner.layers.passes import Pass
from runner.model import Model
from runner.records import frozen

LENGTH = 60


def conv(**arguments: Any) -> dict[str, Any]:
    return {"conv": {"filters": 1, "kernel_size": 3, "use_bias": False, **arguments}}


def measured(layers: list[Any], shape: tuple[int, ...]) -> tuple[ReceptiveField, np.ndarray]:
    """The surveyed field along the first axis, and which pixels (columns) each position (rows) sees there."""
    model = Model.model_validate(frozen({"name": "measured", "layers": layers}))
    found = model.survey(shape, 1)
    if faults := [fault for fault in found.faults if "end with classifier" not in fault.text]:
        raise ConfigError(*faults)
    net = model.bind(shape, 1)
    params, statistics = net.init(jax.random.key(0))
    params = jax.tree.map(lambda leaf: abs(leaf) + 0.1, params)
    x = jnp.eye(shape[0]).reshape(shape[0], shape[0], *(1,) * (len(shape) - 1)) * jnp.ones((1, *shape))
    y, _ = net.apply(params, statistics, x, Pass(training=False, key=jax.random.key(0)))
    assert y.shape[1:] == found.rows[-1].output.shape
    seen = np.asarray(y > 0).any(axis=tuple(range(2, y.ndim)))  # (pixels, positions)
    return found.rows[-1].output.fields[0], seen.T


def is_measured(layers: list[Any], shape: tuple[int, ...] = (LENGTH, 1)) -> bool:
    """Holds a network's field against what is measured. Returns whether enough positions lie within the image."""
    field, seen = measured(layers, shape)
    reached = []
    for position, pixels in enumerate(seen):
        first, last = field.first(position), field.last(position)
        found = np.flatnonzero(pixels)
        assert all(first <= pixel <= last for pixel in found), (position, first, last, found)
        if first >= 0 and last < len(pixels):
            assert (found[0], found[-1]) == (first, last), (position, first, last, found)
            reached.append(last - first + 1)
    if len(reached) < field.period:
        return False
    assert max(reached) == field.size  # every phase of a period is among them
    return True


def try_random(layers: list[Any]) -> None:
    try:
        enough = is_measured(layers)
    except ConfigError:  # a window that does not fit, or paths that do not agree
        enough = False
    assume(enough)


sizes, dilations = st.integers(1, 3), st.integers(1, 2)
strides = st.sampled_from([1, 1, 2, 3])
pools = st.builds(
    lambda kind, size, stride, padding: {kind: {"size": size, "stride": stride, "padding": min(padding, size // 2)}},
    st.sampled_from(["avg_pool", "sum_pool", "max_pool"]),
    sizes,
    strides,
    st.integers(0, 1),
)
convs = st.builds(
    lambda size, stride, dilation, padding: conv(kernel_size=size, stride=stride, dilation=dilation, padding=padding),
    sizes,
    strides,
    dilations,
    st.one_of(st.sampled_from(["valid", "same", "full", "causal"]), st.tuples(st.tuples(sizes, sizes))),
)
upsamples = st.one_of(
    st.builds(lambda size: {"upsample": {"size": size}}, st.integers(2, 3)),
    st.builds(
        # No filter is smaller than the stride, and no pixel is cut off whole: every position depends on a pixel, and
        # every pixel is in the map.
        lambda stride, more, padding: {
            "conv_transpose": conv(kernel_size=stride + more, stride=stride, padding=min(padding, stride + more - 1))[
                "conv"
            ]
        },
        st.integers(1, 3),
        st.integers(0, 2),
        st.integers(0, 2),
    ),
    st.builds(lambda size: {"adaptive_avg_pool": {"size": size}}, st.integers(10, 70)),
)


@st.composite
def kept(draw: st.DrawFn) -> list[Any]:
    """Layers that keep the length: convolutions padded to either side, or a pool and what undoes its stride."""
    size, dilation = draw(sizes), draw(dilations)
    extent = (size - 1) * dilation
    low = draw(st.integers(0, extent))
    padded = conv(kernel_size=size, dilation=dilation, padding=((low, extent - low),))
    return draw(st.sampled_from([[padded], [padded, "relu"], [{"upsample": {"size": 2}}, {"avg_pool": {"size": 2}}]]))


composites = st.one_of(
    st.builds(lambda layers: {"residual": {"layers": layers}}, kept()),
    st.builds(lambda layers: {"dense_connection": {"layers": layers}}, kept()),
    st.builds(lambda layers: {"repeat": {"times": 2, "layers": layers}}, kept()),
    st.builds(
        lambda paths, merge: {"branches": {"paths": paths, "merge": merge}},
        st.lists(kept(), min_size=2, max_size=3),
        st.sampled_from(["concat", "add"]),
    ),
)
networks = st.lists(st.one_of(convs, pools, upsamples, upsamples, composites), min_size=1, max_size=5)


@pytest.mark.slow
@given(networks)
@settings(max_examples=12)
def test_fields_of_random_networks_are_those_that_are_measured(layers: list[Any]) -> None:
    try_random(layers)


@pytest.mark.slow
@given(networks)
@settings(max_examples=500)
def test_fields_of_many_random_networks_are_those_that_are_measured(layers: list[Any]) -> None:
    try_random(layers)


@pytest.mark.parametrize(
    ("layers", "size", "stride"),
    [
        # 3 of the image, then 3 positions of which two are copies: 2 pixels, 3 + 1.
        ([conv(), "upsample", conv()], 4, "1/2"),
        # Copies of copies, 4 pixels apart: the last convolution sees one or two of the smaller map's.
        ([conv(stride=2), conv(stride=2), "upsample", "upsample", conv()], 11, "1"),
        ([conv(), "upsample", conv(stride=2)], 4, "1"),
        # Of each two positions, both pass on what the first sees; the input itself adds the second.
        ([{"dense_connection": {"layers": [{"avg_pool": {"size": 1, "stride": 2}}, "upsample"]}}], 2, "1"),
        # The same layers twice, in the shape of a U.
        ([conv(padding=1), {"max_pool": {"size": 2}}, conv(padding=1), "upsample", conv(padding=1)], 10, "1"),
    ],
    ids=str,
)
def test_fields_after_upsampling(layers: list[Any], size: int, stride: str) -> None:
    assert is_measured(layers)
    field, _ = measured(layers, (LENGTH, 1))
    assert (field.size, str(field.stride)) == (size, stride)


def test_the_field_of_paths_is_the_union_of_their_windows() -> None:
    paths = [[conv(padding=[[2, 0], [2, 0]])], [conv(padding=[[0, 2], [0, 2]])]]
    layers = [{"branches": {"paths": paths}}]
    assert is_measured(layers, (20, 20, 1))
    field, _ = measured(layers, (20, 20, 1))
    assert (field.size, field.stride, field.padding) == (5, 1, 2)


def test_paths_whose_strides_differ_have_the_union_at_position_0() -> None:
    # Ten positions each, 1 pixel apart on the first path and 2 on the second.
    paths = [[conv(kernel_size=11)], [conv(kernel_size=2, stride=2)]]
    field, seen = measured([{"branches": {"paths": paths}}], (20, 1))
    assert (field.size, field.stride, field.padding) == (11, 2, 0)
    assert np.flatnonzero(seen[0]).tolist() == list(range(11))


def test_what_looks_at_a_whole_map_sees_what_the_map_sees() -> None:
    for layers, size in (([conv(), "upsample", "global_avg_pool"], 20), (["upsample", conv(), "flatten"], 20)):
        field, seen = measured(layers, (20, 1))
        assert (field.size, np.flatnonzero(seen.any(0)).tolist()) == (size, list(range(20)))
