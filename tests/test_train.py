"""The training program against plain loops in JAX, Optax and NumPy, finite differences, and itself bit for bit."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from configurations import begun, here, probabilities, tiny
from trainings import SMOOTH, advanced, assert_close, assert_same, digits, started, trained

from runner import compiling, train
from runner.experiment import Program
from runner.layers.passes import Pass, Tap
from runner.views import Views

LENET_LIKE = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3, padding: same}}, relu, {max_pool: {size: 2}}, "
    "{conv: {filters: 6, kernel_size: 3}}, relu, flatten, {dense: {units: 16}}, relu, classifier]"
)


# Against a loop written by hand


def lenet_like(params: Any, images: jax.Array) -> jax.Array:
    """The outputs of LENET_LIKE from patches, reshapes and products: no convolution, no pooling."""

    def conv(x: jax.Array, own: Any) -> jax.Array:
        size = x.shape[1] - 2
        patches = jnp.stack([x[:, i : i + size, j : j + size] for i in range(3) for j in range(3)], axis=3)
        kernel = own["kernel"].reshape(9, x.shape[-1], -1)
        return jnp.einsum("nhwtc,tcf->nhwf", patches, kernel) + own["bias"][None, None, None]

    def dense(x: jax.Array, own: Any) -> jax.Array:
        return x @ own["kernel"] + own["bias"][None]

    x = jnp.maximum(conv(jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0))), params["0_conv"]), 0)
    x = x.reshape(len(x), 4, 2, 4, 2, 4).max(axis=(2, 4))
    x = jnp.maximum(conv(x, params["3_conv"]), 0)
    x = x.reshape(len(x), -1)
    return dense(jnp.maximum(dense(x, params["6_dense"]), 0), params["8_classifier"])


@pytest.mark.parametrize(
    ("overrides", "transformation"),
    [
        pytest.param((), lambda rate: optax.adam(rate), marks=pytest.mark.slow),
        pytest.param(
            ("optimizer=momentum",),
            lambda rate: optax.sgd(rate, momentum=0.9, nesterov=True),
            marks=pytest.mark.slow,
        ),
        (
            ("optimizer=adamw", "train.clip.norm=0.5"),
            lambda rate: optax.chain(
                optax.clip_by_global_norm(0.5),
                optax.adamw(rate, weight_decay=0.01, mask=lambda p: jax.tree.map(lambda x: x.ndim > 1, p)),
            ),
        ),
    ],
    ids=["adam", "momentum", "clipped adamw"],
)
def test_the_first_steps_are_those_of_a_plain_loop(overrides: tuple[str, ...], transformation: Any) -> None:
    training = begun(tiny(LENET_LIKE, "loss.label_smoothing=0.1", *overrides), digits())
    start, rates, size = jax.tree.map(np.asarray, training.state.params), training.plan.learning_rates, 32
    epoch = next(training.epochs())

    examples = digits().train
    order = training.plan.order(1)
    assert sorted(order) == list(range(len(examples)))
    pixels = examples.inputs[order].astype(np.float32) / 255
    images = jnp.asarray((pixels - (examples.inputs / 255).mean()) / (examples.inputs / 255).std(), jnp.float32)
    labels = examples.labels[order]

    def objective(params: Any, x: jax.Array, y: jax.Array) -> jax.Array:
        targets = jax.nn.one_hot(y, 10) * np.float32(0.9) + np.float32(0.01)
        return -jnp.mean(jnp.sum(targets * jax.nn.log_softmax(lenet_like(params, x)), axis=1))

    # Optax takes the schedule as a function of its own count here, in place of a rate given to every step.
    optimizer = transformation(lambda count: jnp.asarray(rates)[count])

    @jax.jit
    def step(params: Any, state: Any, x: jax.Array, y: jax.Array) -> Any:
        loss, gradient = jax.value_and_grad(objective)(params, x, y)
        updates, state = optimizer.update(gradient, state, params)
        return optax.apply_updates(params, updates), state, loss

    params, losses = start, []
    state = optimizer.init(jax.tree.map(jnp.asarray, params))
    with jax.numpy_dtype_promotion("standard"):
        for batch in range(len(examples) // size):
            chosen = slice(batch * size, (batch + 1) * size)
            params, state, loss = step(params, state, images[chosen], labels[chosen])
            losses.append(float(loss))
    assert epoch.step == len(losses) == 5
    assert epoch.metrics["train/loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert_close(training.state.params, params, rtol=1e-3, atol=2e-5)


def test_the_sums_are_what_numpy_counts() -> None:
    training = trained("train.evaluation_batch_size=48")
    for split in ("val", "test"):
        examples = getattr(digits(), split)
        inputs = jnp.asarray(examples.inputs)
        scores = np.asarray(train.outputs(training.plan.program, *train.evaluated(training.state), inputs), np.float64)
        shifted = scores - scores.max(axis=1, keepdims=True)
        log_probabilities = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
        losses = -log_probabilities[np.arange(len(examples)), examples.labels]
        correct = scores.argmax(axis=1) == examples.labels
        measured = training.test() if split == "test" else training.ledger.history[-1].metrics
        assert measured[f"{split}/loss"] == pytest.approx(losses.mean(), rel=1e-5)
        assert measured[f"{split}/accuracy"] == pytest.approx(correct.mean())
        np.testing.assert_allclose(probabilities(training, examples), np.exp(log_probabilities), rtol=1e-4, atol=1e-6)


LAYERED = (
    "model.layers=[{conv: {filters: 4, kernel_size: 3}}, {repeat: {times: 2, layers: [{conv: {filters: 4, "
    "kernel_size: 1}}, tanh]}}, {residual: {layers: [batch_norm]}}, {auxiliary: {layers: [flatten, classifier]}}, "
    "flatten, classifier]"
)


def test_the_activations_of_every_layer_are_computed_by_hand() -> None:
    program, state, feed = started(tiny(LAYERED, "train.test_time.views=mirror"))
    state, _ = advanced(program, state, feed, [0.01, 0.01])  # statistics other than 0 and 1
    params, statistics, inputs = state.params, state.statistics, digits().test.inputs[:5]
    found = compiling.compiled(program, here()).activations(compiling.leaves(program), params, statistics, inputs)

    def conv(x: Any, own: Any) -> Any:
        size = own["kernel"].shape[0]
        windows = np.lib.stride_tricks.sliding_window_view(x, (size, size), axis=(1, 2))  # (n, h, w, c, size, size)
        return np.einsum("nhwcij,ijcf->nhwf", windows, np.asarray(own["kernel"])) + np.asarray(own["bias"])

    mean, std = digits().statistics
    x, by_hand = (inputs / 255 - np.asarray(mean)) / np.asarray(std), {}
    x = by_hand["0_conv"] = conv(x, params["0_conv"])
    for number in (0, 2):  # the copies of a repeated layer go on counting
        x = by_hand[f"1_repeat.layers.{number}_conv"] = conv(x, params["1_repeat"]["layers"][f"{number}_conv"])
        x = by_hand[f"1_repeat.layers.{number + 1}_tanh"] = np.tanh(x)
    by_hand["1_repeat"] = x
    own, seen = (tree["2_residual"]["layers"]["0_batch_norm"] for tree in (params, statistics))
    normal = (x - np.asarray(seen["mean"])) / np.sqrt(np.asarray(seen["variance"]) + 1e-5)
    by_hand["2_residual.layers.0_batch_norm"] = normal * np.asarray(own["scale"]) + np.asarray(own["bias"])
    x = by_hand["2_residual"] = by_hand["3_auxiliary"] = x + by_hand["2_residual.layers.0_batch_norm"]
    x = by_hand["4_flatten"] = x.reshape(len(x), -1)
    last = params["5_classifier"]
    by_hand["5_classifier"] = x @ np.asarray(last["kernel"]) + np.asarray(last["bias"])
    assert set(found) == set(by_hand)
    assert set(found) <= {path for _, path in program.network.located()}
    for path, expected in by_hand.items():
        np.testing.assert_allclose(found[path], expected, rtol=1e-4, atol=1e-5, err_msg=path)


def test_a_tap_may_change_what_the_next_layer_is_given_and_costs_nothing_where_there_is_none() -> None:
    program, state, _ = started(tiny())
    x = jnp.ones((3, 8, 8, 1))
    at = Pass(training=True, key=jax.random.key(0))

    def output(tap: Tap | None) -> Any:
        own = dataclasses.replace(at, tap=tap)
        return lambda x: program.network.apply(state.params, state.statistics, x, own)[0]

    zeros = output(lambda path, y: jnp.zeros_like(y) if path == "3_flatten" else y)(x)
    np.testing.assert_allclose(zeros, jnp.broadcast_to(state.params["4_classifier"]["bias"], zeros.shape))
    assert str(jax.make_jaxpr(output(None))(x)) == str(jax.make_jaxpr(output(lambda path, y: y))(x))


def test_a_mirrored_evaluation_is_the_mean_of_both_images() -> None:
    program, state, _ = started(tiny("train.test_time.views=mirror"))
    alone = program.model_copy(update={"test_time": Views()})
    inputs = digits().test.inputs[:7]
    both = [train.outputs(alone, state.params, state.statistics, images) for images in (inputs, inputs[:, :, ::-1])]
    found = train.outputs(program, state.params, state.statistics, inputs)
    np.testing.assert_allclose(found, (both[0] + both[1]) / 2, rtol=1e-5, atol=1e-6)
    assert not np.allclose(found, both[0])


@pytest.mark.slow
def test_the_training_sums_are_those_of_the_images_that_were_seen() -> None:
    program, state, feed = started(tiny())
    after, sums = advanced(program, state, feed, [0.0, 0.0, 0.0])  # nothing is learnt, so every batch meets one net
    seen = np.asarray(feed.order)[: 3 * 32]
    weights = jnp.ones(len(seen), jnp.float32)
    counted = train.evaluate(program, state, feed.inputs[seen], feed.labels[seen], weights).sums
    assert float(sums.images.weight) == 96 == float(counted.weight)
    assert sums.images.metrics == counted.metrics
    assert float(sums.images.loss) == pytest.approx(float(counted.loss), rel=1e-5)
    assert int(sums.bad_step) == -1
    assert int(after.step) == 3
    assert_same(after.params, state.params)


# Gradients


def loss_at(program: Program, state: train.State, feed: train.Feed, params: Any) -> float:
    _, sums = advanced(program, state._replace(params=params), feed, [0.0])
    return float(sums.images.loss) / float(sums.images.weight)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_gradient_of_the_whole_objective_is_that_of_finite_differences(accumulate: int) -> None:
    # Augmentation, dropout, normalisation by batch, mixed and smoothed targets: all of one step, all differentiable.
    program, state, feed = started(
        tiny(
            SMOOTH,
            "optimizer=sgd",
            "loss.label_smoothing=0.1",
            "augment=mixup",
            "augment.affine={degrees: 10.0}",
            f"train.accumulate={accumulate}",
        )
    )
    after, _ = advanced(program, state, feed, [1.0])  # plain gradient descent at rate 1 moves by the gradient
    gradient = jax.tree.map(lambda before, now: before - now, state.params, after.params)
    generator = np.random.default_rng(0)
    for layer in state.params:
        direction = jax.tree.map(jnp.zeros_like, state.params)
        for name, leaf in state.params[layer].items():
            direction[layer][name] = jnp.asarray(generator.standard_normal(leaf.shape), jnp.float32)
        step = 3e-3
        plus, minus = (
            loss_at(program, state, feed, optax.apply_updates(state.params, optax.tree.scale(by, direction)))
            for by in (step, -step)
        )
        slope = sum(jax.tree.leaves(jax.tree.map(lambda g, d: float(jnp.vdot(g, d)), gradient, direction)))
        assert (plus - minus) / (2 * step) == pytest.approx(slope, rel=0.02, abs=2e-3), layer


def test_parts_of_a_batch_add_up_to_the_whole() -> None:
    whole, parts = (trained(LENET_LIKE, "optimizer=momentum", f"train.accumulate={pieces}") for pieces in (1, 4))
    assert_close(whole.state.params, parts.state.params, rtol=1e-3, atol=1e-5)
    for one, other in zip(whole.ledger.history, parts.ledger.history, strict=True):
        assert one.metrics["train/loss"] == pytest.approx(other.metrics["train/loss"], rel=1e-4)
        assert one.metrics["train/accuracy"] == other.metrics["train/accuracy"]


@pytest.mark.slow
def test_the_gradient_is_clipped_to_a_norm_or_element_by_element() -> None:
    norm = 0.01
    for clip in (f"train.clip.norm={norm}", f"train.clip.value={norm}"):
        program, state, feed = started(tiny("optimizer=sgd", clip))
        after, _ = advanced(program, state, feed, [1.0])
        moved = jax.tree.leaves(jax.tree.map(lambda a, b: np.asarray(a - b), state.params, after.params))
        longest = max(np.abs(leaf).max() for leaf in moved)
        length = np.sqrt(sum((leaf**2).sum() for leaf in moved))
        assert (length if "norm" in clip else longest) == pytest.approx(norm, rel=1e-3)


@pytest.mark.slow
def test_many_steps_at_once_are_the_same_steps() -> None:
    program, state, feed = started(tiny("augment=crop_flip"))
    rates = np.float32([0.01, 0.02, 0.03])
    one_by_one, _ = advanced(program, state, feed, list(rates))
    functions, values = compiling.compiled(program, here()), compiling.leaves(program)
    at_once, sums = functions.advance(
        values, jax.tree.map(jnp.copy, state), feed, rates, np.int32(0), np.int32(len(rates))
    )
    assert_close(at_once.params, one_by_one.params)
    assert float(sums.images.weight) == 96


# The same numbers


@pytest.mark.slow
def test_the_same_experiment_gives_the_same_numbers_bit_for_bit() -> None:
    knobs = (SMOOTH, "augment=mixup", "train.ema_decay=0.9", "loss.label_smoothing=0.1")
    one, other = trained(*knobs), trained(*knobs)
    assert_same(one.state, other.state)
    for first, second in zip(one.ledger.history, other.ledger.history, strict=True):
        assert first.metrics | {"images_per_second": 0} == second.metrics | {"images_per_second": 0}
    assert one.test() == other.test()


def test_the_seed_changes_every_stream() -> None:
    one, other = started(tiny()), started(tiny("seed=1"))
    assert not np.array_equal(one[1].params["0_conv"]["kernel"], other[1].params["0_conv"]["kernel"])
    assert not np.array_equal(one[2].order, other[2].order)
    names = ("initialisation", "step")
    keys = {jax.random.key_data(train.stream(seed, name)).tobytes() for name in names for seed in (0, 1)}
    assert len(keys) == 4


def test_every_epoch_has_an_order_of_its_own() -> None:
    orders = [begun(tiny(), digits()).plan.order(number) for number in (1, 2, 3)]
    assert all(sorted(order) == list(range(160)) for order in orders)
    assert len({order.tobytes() for order in orders}) == 3
