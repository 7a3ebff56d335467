"""Losses against Optax, numbers worked out by hand, scikit-learn and finite differences."""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import sklearn.metrics
from omegaconf import OmegaConf
from pydantic import TypeAdapter, ValidationError

from runner.losses import L2Loss, Loss, MulticlassHingeLoss, SoftmaxCrossEntropy, SoftmaxFocalLoss, metric_sums

EVERY_LOSS = (SoftmaxCrossEntropy(label_smoothing=0.1), SoftmaxFocalLoss(), L2Loss(), MulticlassHingeLoss())
RANDOM = np.random.default_rng(0)
OUTPUTS = jnp.asarray(RANDOM.normal(size=(6, 4)), jnp.float32)
LABELS = np.array([0, 3, 1, 2, 2, 0])
TARGETS = jnp.asarray(np.eye(4)[LABELS], jnp.float32)
OTHERS = jnp.asarray(np.eye(4)[LABELS[::-1]], jnp.float32)
MIXED = 0.7 * TARGETS + 0.3 * OTHERS


def test_cross_entropy_by_hand_and_against_sklearn() -> None:
    outputs = jnp.log(jnp.array([[0.7, 0.2, 0.1]]))
    targets = jnp.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(SoftmaxCrossEntropy().per_example(outputs, targets), [-np.log(0.2)], rtol=1e-6)
    # Smoothing by 0.3 over three classes makes the target 0.1, 0.8, 0.1.
    smoothed = -(0.1 * np.log(0.7) + 0.8 * np.log(0.2) + 0.1 * np.log(0.1))
    loss = SoftmaxCrossEntropy(label_smoothing=0.3)
    np.testing.assert_allclose(loss.per_example(outputs, targets), [smoothed], rtol=1e-6)

    probabilities = np.asarray(SoftmaxCrossEntropy().probabilities(OUTPUTS), np.float64)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)  # scikit-learn warns of float32's last digit
    expected = sklearn.metrics.log_loss(LABELS, probabilities, labels=range(4))
    np.testing.assert_allclose(SoftmaxCrossEntropy().per_example(OUTPUTS, TARGETS).mean(), expected, rtol=1e-5)


def test_cross_entropy_of_large_logits_is_finite() -> None:
    outputs = jnp.array([[1e4, -1e4, 0.0]])
    losses = SoftmaxCrossEntropy(label_smoothing=0.1).per_example(outputs, jnp.array([[0.0, 1.0, 0.0]]))
    assert np.isfinite(losses).all()


def test_squared_error_by_hand() -> None:
    losses = L2Loss().per_example(jnp.array([[0.5, 0.25], [1.0, -1.0]]), jnp.array([[1.0, 0.0], [1.0, 0.0]]))
    np.testing.assert_allclose(losses, [0.5 * (0.25 + 0.0625), 0.5], rtol=1e-6)
    np.testing.assert_allclose(
        L2Loss().per_example(OUTPUTS, MIXED), np.sum(optax.l2_loss(OUTPUTS, MIXED), axis=-1), rtol=1e-6
    )


def test_hinge_against_optax_and_sklearn() -> None:
    losses = MulticlassHingeLoss().per_example(OUTPUTS, TARGETS)
    expected = optax.losses.multiclass_hinge_loss(OUTPUTS, jnp.asarray(LABELS))
    np.testing.assert_allclose(losses, expected, atol=1e-6)
    np.testing.assert_allclose(losses.mean(), sklearn.metrics.hinge_loss(LABELS, OUTPUTS, labels=range(4)), rtol=1e-6)


def test_hinge_of_ties_and_of_a_single_example() -> None:
    loss = MulticlassHingeLoss()
    np.testing.assert_allclose(loss.per_example(jnp.zeros((1, 3)), jnp.array([[1.0, 0.0, 0.0]])), [1.0])
    np.testing.assert_allclose(loss.per_example(jnp.array([[2.0, 0.5]]), jnp.array([[1.0, 0.0]])), [0.0])


@pytest.mark.parametrize("loss", [SoftmaxCrossEntropy(), MulticlassHingeLoss()], ids=lambda loss: loss.name)
def test_a_mixed_target_costs_the_mixture_of_its_classes(loss: Loss) -> None:
    """Mixup: λ · loss(target) + (1 − λ) · loss(other target)."""
    expected = 0.7 * loss.per_example(OUTPUTS, TARGETS) + 0.3 * loss.per_example(OUTPUTS, OTHERS)
    np.testing.assert_allclose(loss.per_example(OUTPUTS, MIXED), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("targets", [TARGETS, MIXED], ids=["one-hot", "mixed"])
@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
def test_gradients_against_finite_differences(loss: Loss, targets: jax.Array) -> None:
    gradient = jax.grad(lambda outputs: jnp.sum(loss.per_example(outputs, targets)))(OUTPUTS)
    step = 2.0**-7
    for index in np.ndindex(6, 4):
        up, down = (OUTPUTS.at[index].add(shift) for shift in (step, -step))
        difference = jnp.sum(loss.per_example(up, targets) - loss.per_example(down, targets)) / (2 * step)
        np.testing.assert_allclose(gradient[index], difference, atol=2e-3)


def test_focal_loss_by_hand_and_as_cross_entropy() -> None:
    outputs = jnp.log(jnp.array([[0.7, 0.2, 0.1]]))
    targets = jnp.array([[0.0, 1.0, 0.0]])
    np.testing.assert_allclose(SoftmaxFocalLoss().per_example(outputs, targets), [-(0.8**2) * np.log(0.2)], rtol=1e-5)
    same = SoftmaxFocalLoss(gamma=0.0).per_example(OUTPUTS, MIXED)
    np.testing.assert_allclose(same, SoftmaxCrossEntropy().per_example(OUTPUTS, MIXED), rtol=1e-5)
    # Of two classes it is the loss of the paper, as torchvision's sigmoid_focal_loss with alpha=-1 has it.
    logit = jnp.array([[0.3], [-2.0]])
    p = 1 / (1 + np.exp(-logit[:, 0]))
    expected = -((1 - p) ** 3) * np.log(p)
    two = jnp.concatenate([logit, jnp.zeros_like(logit)], axis=1)
    found = SoftmaxFocalLoss(gamma=3.0).per_example(two, jnp.array([[1.0, 0.0]] * 2))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_loss_of_a_sure_answer_is_finite(gamma: float) -> None:
    def loss(outputs: jax.Array) -> jax.Array:
        return SoftmaxFocalLoss(gamma=gamma).per_example(outputs, jnp.array([[1.0, 0.0], [0.0, 1.0]])).sum()

    outputs = jnp.array([[1e3, 0.0], [1e3, 0.0]])
    value, gradient = jax.value_and_grad(loss)(outputs)
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_the_gradient_of_cross_entropy_is_probabilities_minus_targets() -> None:
    loss = SoftmaxCrossEntropy()
    gradient = jax.grad(lambda outputs: jnp.sum(loss.per_example(outputs, MIXED)))(OUTPUTS)
    np.testing.assert_allclose(gradient, loss.probabilities(OUTPUTS) - MIXED, atol=1e-6)


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
def test_probabilities_are_distributions_that_keep_the_winner(loss: Loss) -> None:
    probabilities = loss.probabilities(OUTPUTS)
    assert probabilities.dtype == jnp.float32
    np.testing.assert_allclose(jnp.sum(probabilities, axis=-1), np.ones(6), rtol=1e-5)
    assert (probabilities >= 0).all()
    np.testing.assert_array_equal(jnp.argmax(probabilities, axis=-1), jnp.argmax(OUTPUTS, axis=-1))


def test_probabilities_under_squared_error() -> None:
    """Outputs that are a distribution stay; others move to the nearest one."""
    outputs = jnp.array([[0.2, 0.3, 0.5], [1.2, 0.0, -0.4], [0.6, 0.6, 0.0]])
    expected = [[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.5, 0.5, 0.0]]
    np.testing.assert_allclose(L2Loss().probabilities(outputs), expected, atol=1e-6)
    with jax.numpy_dtype_promotion("standard"):  # Optax alone does not pass strict promotion
        nearest = jax.vmap(optax.projections.projection_simplex)(OUTPUTS)
    np.testing.assert_allclose(L2Loss().probabilities(OUTPUTS), nearest, atol=1e-6)


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
def test_metric_sums_against_sklearn(loss: Loss) -> None:
    sums = metric_sums(loss, ("accuracy",), OUTPUTS, TARGETS, jnp.ones(6))
    assert {(value.shape, value.dtype) for value in jax.tree.leaves(sums)} == {((), jnp.dtype("float32"))}
    accuracy = sklearn.metrics.accuracy_score(LABELS, np.argmax(OUTPUTS, axis=-1))
    assert float(sums.metrics["accuracy"] / sums.weight) == pytest.approx(accuracy)
    np.testing.assert_allclose(sums.loss, np.sum(loss.per_example(OUTPUTS, TARGETS)), rtol=1e-6)


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
def test_padding_examples_add_nothing(loss: Loss) -> None:
    whole = metric_sums(loss, ("accuracy",), OUTPUTS, TARGETS, jnp.ones(6))
    filling = jnp.full((2, 4), jnp.nan)
    weights = jnp.array([1.0] * 6 + [0.0] * 2)
    padded = metric_sums(
        loss, ("accuracy",), jnp.concatenate([OUTPUTS, filling]), jnp.concatenate([TARGETS, filling]), weights
    )
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-6), padded, whole)


@pytest.mark.parametrize("loss", EVERY_LOSS, ids=lambda loss: loss.name)
def test_half_precision_outputs_are_summed_in_float32(loss: Loss) -> None:
    half = OUTPUTS.astype(jnp.bfloat16)
    sums = metric_sums(loss, ("accuracy",), half, TARGETS, jnp.ones(6))
    np.testing.assert_allclose(
        sums.loss, metric_sums(loss, ("accuracy",), half.astype(jnp.float32), TARGETS, jnp.ones(6)).loss, rtol=1e-6
    )
    assert sums.loss.dtype == jnp.float32


def test_label_smoothing_is_traced() -> None:
    traced: list[Loss] = []

    def per_example(loss: Loss) -> jax.Array:
        traced.append(loss)
        return loss.per_example(OUTPUTS, TARGETS)

    program = jax.jit(per_example)
    for smoothing in (0.0, 0.1, 0.2):
        expected = optax.softmax_cross_entropy(OUTPUTS, optax.smooth_labels(TARGETS, smoothing))
        np.testing.assert_allclose(program(SoftmaxCrossEntropy(label_smoothing=smoothing)), expected, rtol=1e-5)
    assert len(traced) == 1

    stacked = SoftmaxCrossEntropy.model_construct(label_smoothing=jnp.array([0.0, 0.2]))
    together = jax.vmap(lambda loss: loss.per_example(OUTPUTS, TARGETS))(stacked)
    np.testing.assert_allclose(together[1], SoftmaxCrossEntropy(label_smoothing=0.2).per_example(OUTPUTS, TARGETS))


@pytest.mark.parametrize(
    "said",
    [
        {"name": "cross_entropy"},
        {"label_smoothing": 0.1},
        {"name": "l2_loss", "label_smoothing": 0.1},
        {"name": "softmax_cross_entropy", "label_smoothing": 1.5},
        {"name": "softmax_cross_entropy", "label_smoothing": float("nan")},
    ],
    ids=str,
)
def test_an_impossible_loss_is_refused(said: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Loss).validate_python(said)
    assert len(caught.value.errors()) == 1


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parent.parent / "conf" / "loss").glob("*.yaml")), ids=lambda path: path.stem
)
def test_every_loss_of_conf_is_valid(path: Path) -> None:
    loss = TypeAdapter(Loss).validate_python(OmegaConf.to_container(OmegaConf.load(path)))
    assert np.isfinite(loss.per_example(OUTPUTS, TARGETS)).all()
