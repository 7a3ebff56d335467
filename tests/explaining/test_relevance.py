"""Maps of relevance beside PyTorch, beside plain loops, and beside the axioms that they claim."""

import numpy as np
import pytest
from explaining.seeing import Twin, seen, sight
from scipy.stats import spearmanr

from runner.explaining import relevance
from runner.explaining.checks import deletion, likeness
from runner.explaining.relevance import METHODS, grad_cam, integrated_gradients, occlusion, saliency

LAYER = "2_max_pool"


@pytest.mark.parametrize("label", [0, 7])
def test_grad_cam_is_that_of_pytorch(label: int) -> None:
    twin, image = Twin(), seen()[0]
    maps, scores = twin(twin.images(image[None]))
    scores[0, label].backward()
    weights = maps.grad.mean(dim=(2, 3), keepdim=True)
    small = twin.torch.relu((weights * maps).sum(dim=1, keepdim=True)).detach()
    expected = twin.torch.nn.functional.interpolate(small, image.shape[:2], mode="bilinear", align_corners=False)
    np.testing.assert_allclose(grad_cam(sight(), image, label, LAYER), expected[0, 0].numpy(), atol=1e-5)


def test_saliency_and_scores_are_those_of_pytorch() -> None:
    twin, image = Twin(), seen()[0]
    images = twin.images(image[None])
    _, scores = twin(images)
    scores[0, 3].backward()
    np.testing.assert_allclose(saliency(sight(), image, 3), images.grad[0].abs().amax(dim=0).numpy(), atol=1e-5)
    np.testing.assert_allclose(sight().scores(image[None]), scores.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("label", [4, 9])
def test_integrated_gradients_add_up_to_the_difference_from_black(label: int) -> None:
    image = seen()[0]
    scores = sight().scores(np.stack([image, np.zeros_like(image)]))[:, label]
    found = integrated_gradients(sight(), image, label, steps=256)
    assert found.shape == image.shape[:2]
    assert abs(scores[0] - scores[1]) > 0.1
    assert float(found.sum()) == pytest.approx(float(scores[0] - scores[1]), abs=0.02)


@pytest.mark.parametrize(("size", "stride"), [pytest.param(3, 2, marks=pytest.mark.slow), (2, 1), (5, 5)])
def test_occlusion_is_what_a_plain_loop_finds(size: int, stride: int) -> None:
    twin, image, label = Twin(), seen()[0], 2

    def share(one: np.ndarray) -> float:
        return twin(twin.images(one[None]))[1].detach().softmax(dim=1)[0, label].item()

    falls: list[list[list[float]]] = [[[] for _ in range(8)] for _ in range(8)]
    tops = sorted({*range(0, 8 - size + 1, stride), 8 - size})
    for top in tops:
        for left in tops:
            covered = image.copy()
            covered[top : top + size, left : left + size] = sight().trained.program.mean[0]
            for row in range(top, top + size):
                for column in range(left, left + size):
                    falls[row][column].append(share(image) - share(covered))
    expected = [[np.mean(cell) for cell in row] for row in falls]
    np.testing.assert_allclose(occlusion(sight(), image, label, size=size, stride=stride), expected, atol=1e-5)


@pytest.mark.parametrize(("length", "size", "stride"), [(8, 3, 2), (9, 3, 2), (5, 5, 3), (3, 5, 2), (7, 1, 1)])
def test_windows_cover_every_pixel(length: int, size: int, stride: int) -> None:
    starts = relevance.starts(length, size, stride)
    assert {pixel for start in starts for pixel in range(start, start + size)} >= set(range(length))
    assert max(starts) + size <= max(length, size)


@pytest.mark.parametrize("method", METHODS)
def test_shuffled_weights_change_every_map(method: str) -> None:
    image = seen()[0]
    label = int(sight().scores(image[None])[0].argmax())
    shuffled = sight().shuffled()
    values, other = (METHODS[method](one, image, label, LAYER) for one in (sight(), shuffled))
    assert values.shape == other.shape == (8, 8)
    assert likeness(values, values) == pytest.approx(1)
    assert abs(likeness(values, other)) < 0.9
    before, after = sight().trained.params["0_conv"]["kernel"], shuffled.trained.params["0_conv"]["kernel"]
    np.testing.assert_array_equal(np.sort(np.ravel(before)), np.sort(np.ravel(after)))


def test_likeness_is_spearmans() -> None:
    one, other = np.random.default_rng(0).normal(size=(2, 6, 5)).round(1)
    assert likeness(one, other) == pytest.approx(spearmanr(one.ravel(), other.ravel()).statistic)
    assert likeness(one, np.zeros((6, 5))) == 0.0


def test_the_deletion_curve_is_what_a_plain_loop_finds() -> None:
    image, label = seen()[0], 5
    values = saliency(sight(), image, label)
    found = deletion(sight(), image, label, values, steps=8)
    assert found.shares.tolist() == [part / 8 for part in range(9)]
    for share, probability in zip(found.shares, found.by_map, strict=True):
        grey = image.copy()
        worst = np.argsort(-values, axis=None, kind="stable")[: round(share * 64)]
        grey.reshape(64, 1)[worst] = sight().trained.program.mean[0]
        assert probability == pytest.approx(float(sight().probabilities(grey[None])[0, label]), abs=1e-5)
    assert found.by_map[0] == pytest.approx(found.at_random[0])
    assert found.by_map[-1] == pytest.approx(found.at_random[-1])
    assert found.areas[0] == pytest.approx(np.trapezoid(found.by_map, found.shares))


def test_many_images_are_computed_in_batches_of_one_size() -> None:
    images = seen(24)
    some = np.concatenate([images] * 6)[:130]
    np.testing.assert_allclose(sight().scores(some)[:24], sight().scores(images), atol=1e-5)
    assert len(sight().scores(some)) == 130


def test_the_score_is_what_comes_before_a_softmax() -> None:
    layers = "model.layers=[flatten, classifier, softmax]"
    both = sight(layers, "loss=squared_error")
    images = seen(3, layers, "loss=squared_error")
    dense = both.trained.params["1_classifier"]
    mean, std = both.trained.program.mean[0], both.trained.program.std[0]
    expected = ((images - mean) / std).reshape(3, -1) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
    np.testing.assert_allclose(both.scores(images), expected, atol=1e-4)
