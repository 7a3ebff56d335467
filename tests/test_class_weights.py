"""Class weights against scikit-learn and the paper's formula; what training makes of them against PyTorch's loss."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configurations import composed, here, parse
from hypothesis import given
from hypothesis import strategies as st
from sklearn.utils.class_weight import compute_class_weight

from runner import data, train
from runner.class_weights import Weighting, weights
from runner.data import Dataset
from runner.errors import ConfigError
from runner.layers.places import dotted
from runner.training.alone import Training
from runner.training.feed import balanced_order
from runner.training.mapped import Mapped
from runner.training.plan import Plan, planned

DENSE = (
    "model.name=dense",
    "model.input=null",
    "model.layers=[flatten, {dense: {units: 8}}, tanh, classifier]",
    "data.limit=200",
    "train.batch_size=32",
    "train.epochs=1",
)


@functools.cache
def digits() -> Dataset:
    return data.load(parse(composed(*DENSE)).data)


def plan_of(*overrides: str) -> Plan:
    return planned(parse(composed(*DENSE, *overrides)), digits(), here())


@given(st.lists(st.integers(1, 10_000), min_size=2, max_size=12))
def test_balanced_weights_are_those_of_scikit_learn(counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    expected = compute_class_weight("balanced", classes=np.arange(len(counts)), y=labels)
    found = weights(Weighting(class_weights="balanced"), np.array(counts))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.dot(found, counts) / sum(counts) == pytest.approx(1, rel=1e-5)  # the loss keeps its scale


@given(st.lists(st.integers(1, 5_000), min_size=2, max_size=12), st.sampled_from([0.0, 0.9, 0.99, 0.999, 0.9999]))
def test_effective_numbers_are_those_of_the_paper(counts, beta):
    raw = np.array([(1 - beta) / (1 - beta**count) for count in counts])
    found = weights(Weighting(class_weights="effective_number", effective_number_beta=beta), np.array(counts))
    np.testing.assert_allclose(found, raw / raw.sum() * len(counts), rtol=1e-5)


def test_classes_without_examples_count_nothing_and_no_weights_are_none():
    assert weights(Weighting(), np.array([3, 0])) is None
    for how in ("balanced", "effective_number"):
        found = weights(Weighting(class_weights=how), np.array([3, 0, 6]))
        assert found[1] == 0
        assert np.isfinite(found).all()
    np.testing.assert_array_equal(weights(Weighting(class_weights=(1.0, 4.0)), np.array([9, 9])), [1, 4])


RULE = "none, balanced, effective_number, or a list with a number of 0 or more for each class"
WRONG = {
    "rare": "rare",
    "3": "3",
    "[]": r"\[\]",
    "[1]": r"\[1\]",
    "[1,a]": r"\[1, a\]",
    "[-1,2]": r"\[-1, 2\]",
    "null": "null",
}


@pytest.mark.parametrize(
    ("given_weights", "message"),
    [
        ("[1,2,3]", r"loss.class_weights: must have a number for each of 10 classes, got \[1.0, 2.0, 3.0\]"),
        ("[0,0,0,0,0,0,0,0,0,0]", "loss.class_weights: must have a number above 0, got "),
        *((wrong, f"loss.class_weights: must be {RULE}, got {shown}$") for wrong, shown in WRONG.items()),
    ],
)
def test_weights_that_do_not_fit_are_refused(given_weights, message):
    with pytest.raises(ConfigError, match=message):
        parse(composed(*DENSE, f"loss.class_weights={given_weights}"))


GIVEN = "[0.5,2,1,1,3,1,1,0,1,4]"


@pytest.mark.parametrize("accumulate", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_a_step_with_weights_is_the_step_of_pytorch_s_weighted_loss(accumulate):
    torch = pytest.importorskip("torch")
    plan = plan_of(
        f"loss.class_weights={GIVEN}", "optimizer=sgd", "optimizer.learning_rate=0.5", f"train.accumulate={accumulate}"
    )
    program, part = plan.program, digits().train
    state = train.init(program)
    x, y = part.inputs[:32], part.labels[:32]
    feed = train.Feed(x, y, None, plan.class_weights)
    after = train.step(program, state, feed, jnp.float32(0.5), jnp.int32(0))
    images = torch.tensor(np.asarray(train.normalised(program, program.network.fitted(jnp.asarray(x), 0.0))))
    before = [np.asarray(value) for value in dotted(state.params).values()]
    tensors = [torch.tensor(value, requires_grad=True) for value in before]
    hidden = torch.tanh(images.flatten(1) @ tensors[1] + tensors[0])
    losses = torch.nn.CrossEntropyLoss(weight=torch.tensor(plan.class_weights), reduction="none")(
        hidden @ tensors[3] + tensors[2], torch.tensor(y.astype(np.int64))
    )
    losses.mean().backward()  # not divided by the weights of the batch, as PyTorch's own mean is
    for tensor, found in zip(tensors, dotted(after.params).values(), strict=True):
        np.testing.assert_allclose(found, (tensor - 0.5 * tensor.grad).detach().numpy(), atol=2e-6)


def measured(training):
    return {name: value for name, value in training.ledger.history[0].metrics.items() if "/" in name}


@pytest.mark.slow
def test_ones_change_no_bit_and_recorded_losses_are_not_weighted():
    plain, ones = (Training(plan_of(*own)) for own in ((), ("loss.class_weights=[1,1,1,1,1,1,1,1,1,1]",)))
    for training in (plain, ones):
        training.advance()
    assert measured(plain) == measured(ones)
    weighted = Training(plan_of(f"loss.class_weights={GIVEN}", "optimizer.learning_rate=0.0"))
    still = Training(plan_of("optimizer.learning_rate=0.0"))
    for training in (weighted, still):
        training.advance()
    assert measured(weighted) == measured(still)


def test_other_weights_need_no_other_program():
    plans = [plan_of(f"loss.class_weights={own}") for own in ("balanced", GIVEN, "effective_number")]
    assert len({plan.structure for plan in plans}) == 1
    assert len({str(jax.tree.map(np.shape, plan.class_weights)) for plan in plans}) == 1


@pytest.mark.slow
def test_mapped_members_with_weights_and_sampling_are_what_they_are_alone():
    plans = [
        plan_of(f"loss.class_weights={own}", f"train.sampling={how}")
        for own, how in ((GIVEN, "all"), ("balanced", "balanced"))
    ]
    mapped = Mapped(plans)
    found = dict(mapped.advance())
    for index, plan in enumerate(plans):
        alone = Training(plan)
        alone.advance()
        for name in ("train/loss", "val/loss"):
            assert found[index].metrics[name] == pytest.approx(alone.ledger.history[0].metrics[name], rel=1e-5)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(0, 2**32 - 1), st.integers(0, 3))
def test_balanced_orders_have_every_class_equally_often(labels, seed, epoch):
    labels = np.array(labels)
    order = balanced_order(seed, epoch, labels)
    assert order.dtype == np.int32
    assert len(order) == len(labels)
    counts = np.bincount(labels[order])[np.unique(labels)]
    assert np.ptp(counts) <= 1
    for label in np.unique(labels):
        # No image comes again before all of its class were there.
        times = np.bincount(order, minlength=len(labels))[labels == label]
        assert np.ptp(times) <= 1
    np.testing.assert_array_equal(order, balanced_order(seed, epoch, labels))
