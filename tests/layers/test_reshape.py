"""Flattening and padding: the order of values, and that none is lost."""

import numpy as np
from alone import check_gradients, evaluated_shape, normal, output, told

from runner.geometry import Window
from runner.layers.reshape import Flatten, PadChannels


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
