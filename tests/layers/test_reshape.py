"""Flattening, padding and upsampling: the order of values, and that none is lost."""

from fractions import Fraction
from typing import Any

import numpy as np
from alone import check_gradients, evaluated_shape, normal, output, told

from runner.geometry import Window
from runner.layers.reshape import Flatten, PadChannels, Upsample
from runner.model import Model
from runner.records import frozen


def test_values_keep_their_order_with_channels_fastest() -> None:
    x = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    np.testing.assert_array_equal(output(Flatten(), x), x.reshape(2, -1))
    np.testing.assert_array_equal(output(Flatten(), x[:, :, 0]), x[:, :, 0].reshape(2, -1))


def test_what_is_flat_stays() -> None:
    assert Flatten().output_shape((7,)) == (7,) == evaluated_shape(Flatten(), (7,))
    assert Flatten().output_shape((5, 5, 16)) == (400,) == evaluated_shape(Flatten(), (5, 5, 16))
    assert Flatten().windows((7,)) == ()


def test_a_flat_value_sees_the_whole_map() -> None:
    assert Flatten().windows((5, 4, 16)) == (Window(5), Window(4))


def test_gradients() -> None:
    check_gradients(lambda x: output(Flatten(), x, {}, {}), normal(2, 3, 2, 2))


def test_channels_of_zeros_come_after_those_that_are_there() -> None:
    x = normal(2, 3, 4, 5)
    padded = np.asarray(output(PadChannels(channels=8), x))
    np.testing.assert_array_equal(padded[..., :5], x)
    np.testing.assert_array_equal(padded[..., 5:], np.zeros((2, 3, 4, 3)))
    assert told({"pad_channels": {"channels": 2}}, "flatten", "classifier") == [
        "model.layers[0].pad_channels.channels: must be ≥ 3, the channels of the input, got 2"
    ]


def test_every_pixel_several_times_over() -> None:
    x = np.arange(2 * 2 * 3 * 2, dtype=np.float32).reshape(2, 2, 3, 2)
    expected = np.kron(x.transpose(0, 3, 1, 2), np.ones((2, 3))).transpose(0, 2, 3, 1)
    np.testing.assert_array_equal(output(Upsample(size=(2, 3)), x), expected)
    assert (
        Upsample(size=(2, 3)).output_shape((2, 3, 2)) == (4, 9, 2) == evaluated_shape(Upsample(size=(2, 3)), (2, 3, 2))
    )
    assert output(Upsample(), x[:, 0]).shape == (2, 6, 2)
    check_gradients(lambda x: output(Upsample(), x, {}, {}), normal(2, 3, 2, 2))


def test_upsampling_divides_the_stride() -> None:
    pool: Any = {"max_pool": {"size": 2}}
    model = Model.model_validate(
        frozen({"name": "u", "layers": [pool, pool, {"upsample": {"size": 2}}, "upsample", "upsample"]})
    )
    fields = [row.output.fields[0] for row in model.bind((8, 8, 1), 10).rows]
    assert [field.stride for field in fields] == [2, 4, 2, 1, Fraction(1, 2)]
    assert [field.size for field in fields] == [2, 4, 4, 4, 4]


def test_faults_of_upsampling() -> None:
    assert told({"upsample": {"size": [1, 2, 3]}}, "flatten", "classifier") == [
        "model.layers[0].upsample.size: must be a whole number ≥ 1, or one for each axis as in [3, 3], got [1, 2, 3]"
    ]
    assert told("flatten", "upsample", "classifier") == [
        "model.layers[1].upsample: must have an input of one or two spatial axes, got 192"
    ]
    assert told({"upsample": {"size": [2, 2]}}, "global_avg_pool", "classifier", shape=(8, 3)) == [
        "model.layers[0].upsample.size: must give one value for each of 1 axes, got [2, 2]"
    ]


def test_an_upsampling_must_not_spread_a_pixel_over_too_many_positions() -> None:
    layers = [{"upsample": {"size": [32, 1]}}, {"upsample": {"size": [64, 1]}}, "global_avg_pool", "classifier"]
    assert told(*layers) == [
        "model.layers[1].upsample.size: must come to at most 1,024 with the upsamplings before it, got [64, 1]"
    ]
