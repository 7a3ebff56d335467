"""The moving average of the variables against a plain loop and PyTorch, and what is evaluated with it."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from configurations import probabilities, tiny
from trainings import SMOOTH, advanced, assert_close, assert_same, digits, started, trained

from runner import train


def test_the_average_is_that_of_a_plain_loop_over_the_variables_of_every_step() -> None:
    """In float64, with the decay of tf.train.ExponentialMovingAverage, over parameters and statistics."""
    for precision, decay in (("float32", 0.3), ("bfloat16", 0.999)):
        overrides = (SMOOTH, f"train.ema_decay={decay}", f"train.precision={precision}")
        program, state, feed = started(tiny(*overrides))
        assert state.statistics
        variables = train.Variables(state.params, state.statistics)
        average = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables)
        assert_same(state.average, variables)
        for number in range(1, 6):
            state, _ = advanced(program, state, feed, [0.05], start=number - 1)
            keep = min(decay, (1 + number) / (10 + number))
            variables = train.Variables(state.params, state.statistics)
            kept, added = (
                jax.tree.map(functools.partial(np.multiply, share), tree)
                for share, tree in ((keep, average), (1 - keep, variables))
            )
            average = jax.tree.map(np.add, kept, added)
            assert_close(state.average, average, rtol=1e-5)
        assert all(leaf.dtype == np.float32 for leaf in jax.tree.leaves(state.average))


def test_the_average_is_that_of_pytorch() -> None:
    """AveragedModel with use_buffers, as timm's ModelEmaV2: parameters and buffers alike."""
    torch = pytest.importorskip("torch")
    program, state, feed = started(tiny(SMOOTH, "train.ema_decay=0.4"))

    def model(state: train.State) -> Any:
        module = torch.nn.Module()
        for index, leaf in enumerate(jax.tree.leaves(state.params)):
            module.register_parameter(f"p{index}", torch.nn.Parameter(torch.tensor(np.asarray(leaf))))
        for index, leaf in enumerate(jax.tree.leaves(state.statistics)):
            module.register_buffer(f"b{index}", torch.tensor(np.asarray(leaf)))
        return module

    def moved(old: Any, new: Any, count: Any) -> Any:
        keep = min(0.4, (1 + float(count)) / (10 + float(count)))
        return keep * old + (1 - keep) * new

    oracle = torch.optim.swa_utils.AveragedModel(model(state), avg_fn=moved, use_buffers=True)
    oracle.update_parameters(model(state))  # its first update is a copy
    for batch in range(4):
        state, _ = advanced(program, state, feed, [0.05], start=batch)
        oracle.update_parameters(model(state))
    wanted = [value.detach().numpy() for value in (*oracle.module.parameters(), *oracle.module.buffers())]
    for found, right in zip(jax.tree.leaves(state.average), wanted, strict=True):
        np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_what_is_evaluated_is_the_average_of_parameters_and_statistics() -> None:
    training = trained(SMOOTH, "train.ema_decay=0.9")
    average = training.state.average
    assert average is not None
    assert not np.allclose(
        average.statistics["4_batch_norm"]["mean"], training.state.statistics["4_batch_norm"]["mean"]
    )
    val = digits().val
    scores = np.asarray(train.outputs(training.plan.program, *average, jnp.asarray(val.inputs)))
    accuracy = (scores.argmax(axis=1) == val.labels).mean()
    assert training.ledger.history[-1].metrics["val/accuracy"] == pytest.approx(accuracy)
    np.testing.assert_array_equal(probabilities(training, val).argmax(axis=1), scores.argmax(axis=1))
    plain = training.state._replace(average=None)
    assert train.evaluated(plain) == (plain.params, plain.statistics)


@pytest.mark.slow
def test_the_average_of_a_short_training_has_forgotten_the_initial_parameters() -> None:
    """A decay of 0.999 without a warm-up keeps 98 % of them over 20 steps, which classify by chance."""
    knobs = (SMOOTH, "train.epochs=4", "train.batch_size=32", "optimizer.learning_rate=0.01", "schedule=constant")
    plain, averaged = trained(*knobs), trained(*knobs, "train.ema_decay=0.999")
    found, usual = (training.ledger.history[-1].metrics["val/accuracy"] for training in (averaged, plain))
    assert usual > 0.4
    assert found > 0.75 * usual
