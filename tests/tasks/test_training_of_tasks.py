"""Training for several labels and for numbers: metrics and verdicts against scikit-learn, losses by their formulas."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.linear_model
import sklearn.metrics
from configurations import begun, tiny

from runner import judging
from runner.losses import HuberLoss, SigmoidBinaryCrossEntropy, SigmoidFocalLoss, metric_sums
from runner.tasks import MultiLabel, Regression
from runner.training.alone import Training
from runner.verdicts import of_labels, of_numbers

LABELS = (
    "task=multi_label",
    "data.targets={is_even: [0, 2, 4, 6, 8], above_4: [5, 6, 7, 8, 9], has_loop: [0, 6, 8, 9]}",
)
NUMBERS = ("task=regression", "data.targets={ink: ink, angle: {rotation: 45}}")
DRAW = np.random.default_rng(0)
WANTED = DRAW.integers(0, 2, (200, 4)).astype(np.float32)
LOGITS = (DRAW.normal(size=(200, 4)) + WANTED).astype(np.float32)
PROBABILITIES = 1 / (1 + np.exp(-LOGITS))
TRUE = DRAW.normal(size=(150, 3)).astype(np.float32) * np.array([1, 10, 0.1], np.float32) + 5
ESTIMATES = TRUE + DRAW.normal(size=TRUE.shape).astype(np.float32) * np.array([0.3, 4, 0.05], np.float32)


@pytest.mark.parametrize("threshold", [0.3, 0.5])
def test_metrics_of_labels_are_those_of_scikit_learn(threshold: float) -> None:
    names = ("f1_samples", "exact_match", "label_accuracy")
    task, weights = MultiLabel(threshold=threshold), np.append(np.ones(200), np.zeros(3)).astype(np.float32)
    padded = [jnp.asarray(np.concatenate([own, np.full((3, 4), np.nan)]), jnp.float32) for own in (LOGITS, WANTED)]
    sums = metric_sums(SigmoidBinaryCrossEntropy(), names, *padded, weights, task.compared)
    given = threshold <= PROBABILITIES
    expected = {
        "f1_samples": sklearn.metrics.f1_score(WANTED, given, average="samples", zero_division=1),
        "exact_match": sklearn.metrics.accuracy_score(WANTED, given),
        "label_accuracy": 1 - sklearn.metrics.hamming_loss(WANTED, given),
    }
    assert {name: float(value) / 200 for name, value in sums.metrics.items()} == pytest.approx(expected, rel=1e-5)


def test_metrics_of_numbers_are_those_of_scikit_learn_in_the_unit_of_the_data() -> None:
    task = Regression().bound(TRUE)
    scaled = task.targets(jnp.asarray(TRUE), 3)
    np.testing.assert_allclose(np.asarray(scaled).std(axis=0), 1, rtol=1e-5)
    outputs = (ESTIMATES - np.asarray(task.mean)) / np.asarray(task.std)
    sums = metric_sums(
        HuberLoss(), ("mae", "mse"), jnp.asarray(outputs, jnp.float32), scaled, jnp.ones(150), task.compared
    )
    assert float(sums.metrics["mae"]) / 150 == pytest.approx(
        sklearn.metrics.mean_absolute_error(TRUE, ESTIMATES), rel=1e-4
    )
    assert float(sums.metrics["mse"]) / 150 == pytest.approx(
        sklearn.metrics.mean_squared_error(TRUE, ESTIMATES), rel=1e-4
    )
    np.testing.assert_allclose(task.answers(HuberLoss(), jnp.asarray(outputs, jnp.float32)), ESTIMATES, rtol=1e-4)


def test_losses_by_their_formulas() -> None:
    z, y = LOGITS.astype(np.float64), WANTED.astype(np.float64)
    log_p, log_q = -np.logaddexp(0, -z), -np.logaddexp(0, z)
    p = np.exp(log_p)
    expected: dict[Any, Any] = {
        SigmoidBinaryCrossEntropy(): -(y * log_p + (1 - y) * log_q).sum(axis=1),
        SigmoidFocalLoss(gamma=2.0): -(y * (1 - p) ** 2 * log_p + (1 - y) * p**2 * log_q).sum(axis=1),
        SigmoidFocalLoss(gamma=1.0, alpha=0.25): -(0.25 * y * (1 - p) * log_p + 0.75 * (1 - y) * p * log_q).sum(axis=1),
        HuberLoss(delta=0.7): np.where(np.abs(z - y) <= 0.7, (z - y) ** 2 / 2, 0.7 * (np.abs(z - y) - 0.35)).sum(
            axis=1
        ),
    }
    for loss, values in expected.items():
        np.testing.assert_allclose(loss.per_example(jnp.asarray(LOGITS), jnp.asarray(WANTED)), values, rtol=2e-5)


def test_the_gradient_of_a_loss_of_labels_is_its_finite_difference() -> None:
    loss = SigmoidFocalLoss(gamma=1.5, alpha=0.3)
    outputs, targets = jnp.asarray(LOGITS[3:4]), jnp.asarray(WANTED[3:4])
    [gradient] = jax.grad(lambda outputs: loss.per_example(outputs, targets).sum())(outputs)
    for place in range(outputs.shape[1]):
        step = np.zeros_like(outputs)
        step[0, place] = 1e-2
        ahead, behind = (float(loss.per_example(outputs + sign * step, targets)[0]) for sign in (1, -1))
        assert float(gradient[place]) == pytest.approx((ahead - behind) / 2e-2, abs=2e-3)


def test_of_several_views_the_probabilities_of_labels_are_averaged_and_the_estimates() -> None:
    logits = DRAW.normal(scale=4, size=(5, 7, 3)).astype(np.float32)
    mean = SigmoidBinaryCrossEntropy().mean(jnp.asarray(logits))
    expected = (1 / (1 + np.exp(-logits.astype(np.float64)))).mean(axis=0)
    np.testing.assert_allclose(SigmoidBinaryCrossEntropy().probabilities(mean), expected, rtol=1e-5)
    np.testing.assert_allclose(HuberLoss().mean(jnp.asarray(logits)), logits.mean(axis=0), rtol=1e-4, atol=1e-6)


def test_verdicts_of_labels_are_those_of_scikit_learn() -> None:
    names, given = ("a", "b", "c", "d"), PROBABILITIES >= 0.5
    found = of_labels.judged(WANTED, PROBABILITIES, names, 0.5)
    numbers = of_labels.numbers(WANTED, PROBABILITIES, 0.5)
    metrics = sklearn.metrics
    precision, recall, f1, support = metrics.precision_recall_fscore_support(WANTED, given)
    np.testing.assert_allclose(found.right / found.given, precision)
    np.testing.assert_allclose(found.right / found.support, recall)
    np.testing.assert_allclose(found.f1, f1)
    np.testing.assert_array_equal(found.support, support)
    np.testing.assert_allclose(found.roc_auc, metrics.roc_auc_score(WANTED, PROBABILITIES, average=None))
    np.testing.assert_allclose(
        found.average_precision, metrics.average_precision_score(WANTED, PROBABILITIES, average=None)
    )
    assert numbers == pytest.approx(
        {
            "f1_micro": metrics.f1_score(WANTED, given, average="micro"),
            "f1_macro": metrics.f1_score(WANTED, given, average="macro"),
            "mean_average_precision": metrics.average_precision_score(WANTED, PROBABILITIES),
        }
    )
    values = dict(zip(("f1_samples", "f1_micro", "f1_macro", "label_accuracy"), found.means, strict=True))
    assert values["f1_samples"].value == pytest.approx(
        metrics.f1_score(WANTED, given, average="samples", zero_division=1)
    )
    for name, measured in values.items():
        assert measured.low < measured.value < measured.high
        if name in numbers:
            assert measured.value == pytest.approx(numbers[name])
    told = of_labels.as_json(found)
    assert told["labels"][1]["label"] == "b"
    assert told["exact_match"]["value"] == pytest.approx(metrics.accuracy_score(WANTED, given))


def test_a_label_that_all_or_none_have_has_no_area() -> None:
    wanted = np.array([[1, 0, 1], [1, 0, 0]], np.float32)
    found = of_labels.judged(wanted, np.full((2, 3), 0.6), ("all", "none", "one"), 0.5)
    assert np.isnan(found.average_precision).tolist() == [True, True, False]
    assert of_labels.as_json(found)["labels"][0]["roc_auc"] is None
    assert set(of_labels.numbers(wanted[:, :2], np.full((2, 2), 0.6), 0.5)) == {"f1_micro", "f1_macro"}
    assert of_labels.numbers(wanted[:0], np.zeros((0, 3)), 0.5) == {}


def test_verdicts_of_numbers_are_those_of_scikit_learn() -> None:
    found, metrics = of_numbers.judged(TRUE, ESTIMATES, ("a", "b", "c")), sklearn.metrics
    for number in range(3):
        pair = TRUE[:, number], ESTIMATES[:, number]
        assert found.mae[number].value == pytest.approx(metrics.mean_absolute_error(*pair))
        assert found.rmse[number].value == pytest.approx(metrics.root_mean_squared_error(*pair))
        assert found.r2[number].value == pytest.approx(metrics.r2_score(*pair))
        for measured in (found.mae[number], found.rmse[number], found.r2[number]):
            assert measured.low < measured.value < measured.high
    numbers = of_numbers.numbers(TRUE, ESTIMATES)
    assert numbers["r2"] == pytest.approx(metrics.r2_score(TRUE, ESTIMATES))
    assert of_numbers.numbers(TRUE[:0], ESTIMATES[:0]) == {}
    constant = of_numbers.judged(np.ones((5, 1)), np.arange(5.0)[:, None], ("same",))
    assert of_numbers.as_json(constant)["numbers"][0]["r2"] is None
    assert any("R²\u00a0unknown" in line for line in of_numbers.lines(constant, 80))


@functools.cache
def trained(*overrides: str) -> Training:
    """A tiny network of a task after two epochs."""
    training = begun(tiny(*overrides))
    list(training.epochs())
    return training


def test_a_run_of_labels_records_and_judges_them() -> None:
    training = trained(*LABELS)
    assert {"train/f1_samples", "val/f1_samples", "val/exact_match", "val/loss"} <= set(
        training.ledger.history[-1].metrics
    )
    found, dataset = training.test(), training.plan.dataset
    answers = training.trained({}).tested
    assert answers is not None
    assert found["test/f1_samples"] == pytest.approx(
        sklearn.metrics.f1_score(dataset.test.labels, answers >= 0.5, average="samples", zero_division=1)
    )
    verdict = judging.verdict(dataset, answers, training.plan.experiment.task)
    assert max(map(len, judging.lines(verdict, 78))) <= 78


def test_a_run_of_numbers_records_and_judges_them() -> None:
    training = trained(*NUMBERS)
    found, dataset = training.test(), training.plan.dataset
    answers = training.trained({}).tested
    assert answers is not None
    assert found["test/mae"] == pytest.approx(
        sklearn.metrics.mean_absolute_error(dataset.test.labels, answers), rel=1e-4
    )
    assert found["test/r2"] == pytest.approx(sklearn.metrics.r2_score(dataset.test.labels, answers), rel=1e-4)
    verdict = judging.as_json(judging.verdict(dataset, answers, training.plan.experiment.task))
    linear = sklearn.linear_model.LinearRegression().fit(
        dataset.train.inputs.reshape(len(dataset.train), -1), dataset.train.labels
    )
    by_hand = np.abs(linear.predict(dataset.test.inputs.reshape(len(dataset.test), -1)) - dataset.test.labels).mean(
        axis=0
    )
    ours = [one["baselines"]["linear_mae"] for one in verdict["numbers"]]
    assert ours[1] == pytest.approx(by_hand[1], rel=0.5)  # with a ridge: alike, not equal


@pytest.mark.parametrize("task", [LABELS, NUMBERS])
def test_equal_configurations_learn_equal_bits(task: tuple[str, ...]) -> None:
    one, again = trained(*task).learnt, begun(tiny(*task))
    list(again.epochs())
    jax.tree.map(np.testing.assert_array_equal, one, again.learnt)
