"""Every number of a verdict against scikit-learn's on random answers: ties, absent classes, one example."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from scipy.stats import binomtest
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve
from sklearn.linear_model import RidgeClassifier

from runner import verdicts
from runner.verdicts.areas import areas
from runner.verdicts.baselines import linear, majority, unread
from runner.verdicts.calibration import reliability, temperature, tempered
from runner.verdicts.curves import curve
from runner.verdicts.intervals import of_classes, wilson
from runner.verdicts.verdict import Verdict, judged

Array = np.ndarray[Any, Any]
# Examples, classes, classes that have examples, steps of probabilities (few: ties)
CASES = [(1, 2, 2, 0), (7, 2, 1, 4), (40, 2, 2, 5), (50, 10, 6, 0), (300, 10, 10, 3), (1000, 7, 7, 0), (64, 30, 12, 8)]


def answered(count: int, classes: int, occurring: int, steps: int) -> tuple[Array, Array]:
    generator = np.random.default_rng([count, classes, occurring, steps])
    labels = generator.integers(0, occurring, count)
    scores = generator.normal(size=(count, classes)) * 2
    scores[np.arange(count), labels] += generator.random(count) * 3
    found = softmax(np.round(scores / 4 * steps) if steps else scores, axis=1)
    return labels.astype(np.int32), found.astype(np.float32)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(map(str, case)))
def case(request: pytest.FixtureRequest) -> tuple[Array, Array, Verdict]:
    labels, found = answered(*request.param)
    names = tuple(f"class {number}" for number in range(found.shape[1]))
    return labels, found, judged(labels, found, names)


Case = tuple[Array, Array, Verdict]


def test_classes_and_their_means(case: Case) -> None:
    labels, probabilities, found = case
    taken = probabilities.argmax(axis=1)
    numbers = list(range(probabilities.shape[1]))
    own = sk.precision_recall_fscore_support(labels, taken, labels=numbers, zero_division=0)
    for ours, theirs in zip(found.classes, own, strict=False):
        np.testing.assert_allclose(ours, theirs, rtol=1e-12)
    for average, means in (("macro", found.macro), ("weighted", found.weighted)):
        theirs = sk.precision_recall_fscore_support(labels, taken, average=average, zero_division=0)[:3]
        np.testing.assert_allclose([one.value for one in means], theirs, rtol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of classes that are taken, but have no examples
        assert found.balanced_accuracy.value == pytest.approx(sk.balanced_accuracy_score(labels, taken))
    assert found.accuracy.value == sk.accuracy_score(labels, taken)
    for each, values in ((found.precisions, own[0]), (found.recalls, own[1]), (found.f1s, own[2])):
        np.testing.assert_allclose([one.value for one in each], values, rtol=1e-12)
        assert all(0 <= one.low <= one.value + 1e-12 <= one.high + 2e-12 <= 1 + 3e-12 for one in each)
    np.testing.assert_array_equal(found.counts, sk.confusion_matrix(labels, taken, labels=numbers))


def test_areas_of_each_class(case: Case) -> None:
    labels, probabilities, found = case
    assert found.areas is not None
    roc, precision = found.areas.roc_auc, found.areas.average_precision
    for number in range(probabilities.shape[1]):
        positive = labels == number
        if 0 < positive.sum() < len(labels):
            assert roc[number].value == pytest.approx(sk.roc_auc_score(positive, probabilities[:, number]))
            own = sk.average_precision_score(positive, probabilities[:, number])
            assert precision[number].value == pytest.approx(own)
        else:
            assert np.isnan(roc[number]).all()
            assert np.isnan(precision[number]).all()
    known = [one.value for one in roc if not np.isnan(one.value)]
    if known:
        assert found.areas.macro_roc_auc.value == pytest.approx(np.mean(known))


@pytest.mark.slow
def test_intervals_of_areas_are_those_of_scikit_learn_s_areas_of_drawn_examples() -> None:
    labels, probabilities = answered(120, 3, 3, 6)
    found = areas(labels, probabilities)
    assert found.resamples == 1000
    generator = np.random.default_rng(1)
    drawn = []
    for _ in range(500):
        which = generator.integers(0, 120, 120)
        positive, scores = np.eye(3, dtype=bool)[labels[which]], probabilities[which]
        drawn.append(
            [
                [measure(positive[:, number], scores[:, number]) for number in range(3)]
                for measure in (sk.roc_auc_score, sk.average_precision_score)
            ]
        )
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0)  # (2, 3) each
    for which, ours in enumerate((found.roc_auc, found.average_precision)):
        np.testing.assert_allclose([one.low for one in ours], low[which], atol=0.025)
        np.testing.assert_allclose([one.high for one in ours], high[which], atol=0.025)
    means = np.percentile(np.mean(drawn, axis=2), (2.5, 97.5), axis=0)
    np.testing.assert_allclose(found.macro_roc_auc[1:], means[:, 0], atol=0.02)
    np.testing.assert_allclose(found.macro_average_precision[1:], means[:, 1], atol=0.02)


def test_areas_of_many_examples_have_fewer_resamples_and_of_very_many_no_interval() -> None:
    labels, probabilities = answered(5000, 10, 10, 0)
    assert areas(labels, probabilities).resamples == 400
    wide = areas(labels[:2500], np.tile(probabilities[:2500, :1], (1, 2001)))
    assert wide.resamples == 0
    assert np.isfinite(wide.roc_auc[0].value)
    assert np.isnan(wide.roc_auc[0].low)


def test_the_points_of_a_curve() -> None:
    labels, probabilities = answered(300, 10, 10, 3)
    positive, scores = labels == 4, probabilities[:, 4]
    found = curve(positive, scores)
    assert found is not None
    false, true, _ = sk.roc_curve(positive, scores, drop_intermediate=False)
    np.testing.assert_allclose((found.false_positive_rate, found.recall), (false, true))
    precision, recall, _ = sk.precision_recall_curve(positive, scores)
    np.testing.assert_allclose((found.precision[::-1], found.recall[::-1]), (precision, recall))


def test_top_5(case: Case) -> None:
    labels, probabilities, found = case
    if probabilities.shape[1] < 6:
        assert found.top_5 is None
        return
    numbers = list(range(probabilities.shape[1]))
    # scikit-learn takes the higher number first of equal classes
    distinct = probabilities.astype(np.float64) - 1e-9 * np.arange(len(numbers))
    theirs = sk.top_k_accuracy_score(labels, distinct, k=5, labels=numbers)
    assert found.top_5 is not None
    assert found.top_5.value == pytest.approx(theirs)


def test_reliability_and_its_error(case: Case) -> None:
    labels, probabilities, found = case
    confidences = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    was, said = calibration_curve(right, confidences, n_bins=15)
    kept = found.reliability.counts > 0
    np.testing.assert_allclose(found.reliability.accuracy[kept], was)
    np.testing.assert_allclose(found.reliability.confidence[kept], said)
    assert found.reliability.ece == pytest.approx(
        np.average(np.abs(was - said), weights=found.reliability.counts[kept])
    )


@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_the_temperature_has_the_largest_likelihood(factor: float) -> None:
    labels, probabilities = answered(400, 10, 10, 0)
    logits = np.log(probabilities.astype(np.float64)) * factor
    found = temperature(labels, softmax(logits, axis=1))

    def loss(log: float) -> float:
        return float(sk.log_loss(labels, softmax(logits / np.exp(log), axis=1), labels=list(range(10))))

    wanted = minimize_scalar(loss, bounds=(-4, 4), method="bounded", options={"xatol": 1e-9})
    assert found == pytest.approx(float(np.exp(wanted.x)), rel=1e-4)
    np.testing.assert_allclose(tempered(softmax(logits, axis=1), found), softmax(logits / found, axis=1), rtol=1e-9)


def test_the_temperature_has_ends() -> None:
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    assert temperature(np.array([0, 1]), right) == pytest.approx(0.05)
    assert temperature(np.array([1, 0]), right) == pytest.approx(20.0)
    assert temperature(np.array([1]), np.array([[0.5, 0.5]])) > 0


@pytest.mark.parametrize(("right", "count"), [(0, 1), (1, 1), (0, 20), (20, 20), (98, 100), (9_850, 10_000)])
def test_the_interval_of_a_share(right: int, count: int) -> None:
    wanted = binomtest(right, count).proportion_ci(0.95, method="wilson")
    assert wilson(right, count) == pytest.approx((right / count, wanted.low, wanted.high), abs=1e-12)


def test_the_bootstrap_of_counts_is_that_of_examples() -> None:
    labels, probabilities = answered(300, 10, 10, 0)
    taken, numbers = probabilities.argmax(axis=1), list(range(10))
    counts = sk.confusion_matrix(labels, taken, labels=numbers)
    [found] = of_classes(counts, lambda classes: classes.f1.mean(axis=-1, keepdims=True))
    generator, scores = np.random.default_rng(1), []
    for _ in range(500):
        some = generator.integers(0, 300, 300)
        own, theirs = (np.bincount(each[some], minlength=10) for each in (labels, taken))
        hits = np.bincount(labels[some][labels[some] == taken[some]], minlength=10)
        scores.append(float(np.mean(2 * hits / (own + theirs))))
    assert found.value == pytest.approx(sk.f1_score(labels, taken, average="macro"))
    assert (found.low, found.high) == pytest.approx(np.percentile(scores, (2.5, 97.5)), abs=0.012)
    again = of_classes(counts, lambda classes: classes.f1.mean(axis=-1, keepdims=True))
    assert again == [found]


def test_an_error_by_chance_is_no_sign_of_bad_calibration() -> None:
    generator = np.random.default_rng(3)
    below = 0
    for _ in range(60):
        confidences = generator.uniform(0.5, 1, 300)
        right = generator.random(300) < confidences
        found = np.stack([1 - confidences, confidences], axis=1)
        verdict = judged(right.astype(int), found, ("no", "yes"))
        below += verdict.reliability.ece <= verdict.ece_by_chance
    assert below >= 52  # of 57 expected
    bad = judged((generator.random(300) < 0.6).astype(int), np.tile([[0.1, 0.9]], (300, 1)), ("no", "yes"))
    assert bad.reliability.ece > 5 * bad.ece_by_chance


def test_the_recorded_numbers_are_those_of_the_verdict(case: Case) -> None:
    labels, probabilities, found = case
    numbers = verdicts.numbers(labels, probabilities)
    assert set(numbers) <= set(verdicts.NUMBERS)
    assert numbers == {
        "accuracy_low": found.accuracy.low,
        "accuracy_high": found.accuracy.high,
        "balanced_accuracy": found.balanced_accuracy.value,
        "f1_macro": found.macro[2].value,
        "ece": found.reliability.ece,
    }


@pytest.mark.parametrize("shape", [(6, 5, 3), (40, 42, 1), (30, 2), (70, 80, 3)])
def test_the_linear_classifier(shape: tuple[int, ...]) -> None:
    generator = np.random.default_rng(len(shape))
    labels = generator.integers(0, 4, 240)
    means = generator.integers(80, 176, (4, *shape))
    images = np.clip(means[labels] + generator.normal(0, 200, (240, *shape)), 0, 255).astype(np.uint8)
    found = linear(images[:180], labels[:180], images[180:], labels[180:], classes=4)
    reduced = np.asarray(images, np.float64)
    for axis in range(1, len(shape) if found.block > 1 else 1):  # crops what is left of whole blocks
        kept = shape[axis - 1] // found.block
        reduced = np.moveaxis(reduced, axis, -1)[..., : kept * found.block]
        reduced = np.moveaxis(reduced.reshape(*reduced.shape[:-1], kept, found.block).mean(axis=-1), -1, axis)
    flat = reduced.reshape(240, -1)
    own = RidgeClassifier(alpha=0.01 * 180 * flat[:180].var(axis=0).mean()).fit(flat[:180], labels[:180])
    right = int(np.sum(own.predict(flat[180:]) == labels[180:]))
    assert (found.right, found.examples, found.values) == (right, 180, flat.shape[1])
    assert 15 < right < 60  # of the 60, by chance 15


def test_the_most_frequent_class_is_that_of_the_training_examples() -> None:
    assert majority(np.array([0, 2, 2, 1]), np.array([2, 0, 0, 0])) == (2, 0.25)


def test_answers_that_are_no_numbers_end_in_a_verdict() -> None:
    labels, probabilities = answered(50, 10, 6, 0)
    probabilities[7] = np.nan
    found = judged(labels, probabilities, tuple("abcdefghij"), validation=(labels, probabilities))
    assert np.isfinite(found.reliability.ece)
    assert verdicts.numbers(labels[:0], probabilities[:0]) == {}
    assert reliability(np.zeros(0, bool), np.zeros(0)).ece == 0


def test_large_images_have_no_linear_classifier() -> None:
    assert unread((28, 28, 1), 60_000, 10_000) == ""
    assert unread((32, 32, 3), 50_000, 10_000) == ""
    assert unread((224, 224, 3), 100, 50) == ""
    assert unread((224, 224, 3), 100_000, 5_000) == "the images are large"
