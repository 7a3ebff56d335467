"""What units see and what excites them, beside gradients, plain loops and scikit-learn."""

import numpy as np
import pytest
from configurations import experiment
from explaining.seeing import seen, sight
from sklearn.decomposition import PCA
from trainings import digits

from runner import compiling
from runner.errors import ConfigError
from runner.explaining.embedding import hidden, neighbours, principal
from runner.explaining.excitation import lively, made, responses
from runner.explaining.fields import Rectangle, effective, theoretical
from runner.explaining.layers import feature_map, is_spatial, last_spatial, named_layer, printed, rows_by_path
from runner.network import Network

# Every pixel of a field counts here: nothing is cut off, and no weight is zero.
LINEAR = (
    "model.layers=[{conv: {filters: 3, kernel_size: 3, padding: same}}, {avg_pool: {size: 2}}, "
    "{branches: {paths: [[{conv: {filters: 2, kernel_size: 1}}], "
    "[{conv: {filters: 2, kernel_size: 3, padding: 1}}]]}}, "
    "flatten, classifier]"
)


@pytest.mark.parametrize("position", [(0, 0), (1, 2), (3, 3)])
@pytest.mark.parametrize("path", ["0_conv", "1_avg_pool", "2_branches"])
def test_the_theoretical_field_is_where_the_gradient_is(path: str, position: tuple[int, int]) -> None:
    pixels = theoretical(feature_map(sight(LINEAR).trained.program.network, path), position).within(8, 8)
    weights = effective(sight(LINEAR), seen(2, LINEAR), path, position)
    rows, columns = np.nonzero(weights)
    assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == tuple(pixels)
    assert np.count_nonzero(weights) == (pixels.bottom - pixels.top) * (pixels.right - pixels.left)


def test_a_field_at_the_edge_reaches_into_the_padding() -> None:
    field = theoretical(feature_map(sight(LINEAR).trained.program.network, "0_conv"), (0, 7))
    assert field == Rectangle(-1, 6, 2, 9)
    assert field.within(8, 8) == Rectangle(0, 6, 2, 8)


def test_responses_are_the_largest_values_of_the_maps() -> None:
    inputs = digits().val.inputs[:5]
    trained = sight().trained
    functions = compiling.compiled(trained.program, sight().placement)
    found = functions.activations(compiling.leaves(trained.program), trained.params, trained.statistics, inputs)
    maps = np.asarray(found["0_conv"])
    values, positions = responses(sight(), inputs, "0_conv")
    np.testing.assert_allclose(values, maps.max(axis=(1, 2)), atol=1e-5)
    for image in range(5):
        for channel in range(4):
            row, column = positions[image, channel]
            assert maps[image, row, column, channel] == pytest.approx(values[image, channel], abs=1e-5)


def test_dead_filters_come_last() -> None:
    assert lively(np.array([[0.0, 1.0, 5.0], [0.0, 2.0, 9.0]]), 2) == [1, 2]


def test_made_images_excite_their_own_filter() -> None:
    images, means = made(sight(), "1_relu", [0, 1, 2, 3], steps=60)
    assert images.shape == (4, 8, 8, 1)
    assert images.min() >= 0
    assert images.max() <= 1
    maps = sight().outputs(images, "1_relu").mean(axis=(1, 2))  # (image, filter)
    began = sight().outputs(made(sight(), "1_relu", [0, 1, 2, 3], steps=0)[0], "1_relu").mean(axis=(1, 2))
    np.testing.assert_allclose(means, np.diag(maps), rtol=1e-4)
    assert (np.diag(maps) > 1.2 * np.diag(began)).all()
    assert (maps.argmax(axis=0) == range(4)).all(), "none excites the filter of another more"


def test_the_last_hidden_layer_is_what_the_classifier_reads() -> None:
    inputs = digits().val.inputs[:6]
    values = hidden(sight(), inputs)
    dense = sight().trained.params["4_classifier"]
    scores = values @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
    np.testing.assert_allclose(scores, sight().scores(sight().seen(inputs)), atol=1e-4)


@pytest.mark.parametrize("shape", [(50, 7), (3, 40), (5, 1)])
def test_principal_components_are_those_of_scikit_learn(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(0).normal(size=shape)
    found = principal(values)
    expected = PCA(min(2, *shape)).fit_transform(values)
    np.testing.assert_allclose(np.abs(found[:, : expected.shape[1]]), np.abs(expected), atol=1e-8)


@pytest.mark.slow
def test_neighbours_keep_groups_apart() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate([generator.normal(centre, 0.1, (20, 5)) for centre in (0, 5)])
    points = neighbours(values)
    first, second = points[:20], points[20:]
    within = max(np.linalg.norm(own - own.mean(axis=0), axis=1).max() for own in (first, second))
    assert np.linalg.norm(first.mean(axis=0) - second.mean(axis=0)) > within


# Layers by name


def network(*overrides: str) -> Network:
    return experiment(*overrides).network((32, 32, 3), 10)


@pytest.mark.parametrize(
    ("model", "expected"),
    [("lenet5", "5_max_pool"), ("vgg6_cifar", None), ("resnet20_cifar", None), ("cnn_3x", None)],
)
def test_the_last_layer_with_maps_is_found(model: str, expected: str | None) -> None:
    own = network(f"model={model}", "data=cifar10")
    found = last_spatial(own)
    assert found is not None
    assert expected in (None, found)
    assert is_spatial(rows_by_path(own)[found])


@pytest.mark.parametrize("name", ["3_conv", "layers[3]", "layers.3", "layers[3].conv", "model.layers[3]", "conv"])
def test_a_layer_is_named_as_everywhere(name: str) -> None:
    assert named_layer(network("model=lenet5", "data=cifar10"), name) == "3_conv"


def test_copies_of_a_repeated_layer_are_printed_by_their_paths() -> None:
    layers = "model.layers=[{repeat: {times: 2, layers: [{conv: {filters: 2, kernel_size: 3}}]}}, flatten, classifier]"
    own = network(layers, "model=lenet5", "data=cifar10")
    assert named_layer(own, "layers[0].repeat.layers[0].conv") == "0_repeat.layers.1_conv"
    assert named_layer(own, "0_repeat.layers.0_conv") == "0_repeat.layers.0_conv"
    assert [printed(own, path) for path in ("0_repeat.layers.1_conv", "1_flatten")] == [
        "0_repeat.layers.1_conv",
        "layers[1].flatten",
    ]
    shapes = [rows_by_path(own)[path].output.shape for path in ("0_repeat.layers.0_conv", "0_repeat")]
    assert shapes == [(30, 30, 2), (28, 28, 2)]


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("cnov", 'layer: unknown layer "cnov"; did you mean "conv"?'),
        (
            "dense",
            "layer: must have feature maps of more than one position; the last such layer is layers[5].max_pool, "
            "got dense (84)",
        ),
    ],
)
def test_a_layer_that_does_not_serve_is_one_line(name: str, line: str) -> None:
    with pytest.raises(ConfigError) as caught:
        named_layer(network("model=lenet5", "data=cifar10"), name)
    assert str(caught.value) == line
