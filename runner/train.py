"""The training program, as pure functions of a program, a state and data.

    >>> state = init(program)
    >>> state, sums = advance(program, state, feed, learning_rates, start, count)
    >>> found = evaluate(program, state, inputs, labels, weights)

A `Program` is a pytree whose structure is static and whose leaves are traced; `runner.compiling` compiles these
functions once for each structure. Every random stream is derived from the one seed by its name and the step, so that
it does not depend on how steps are dispatched.
"""

import zlib
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax
from jax.typing import ArrayLike

from runner import views
from runner.data.fit import are_tokens, normalise
from runner.data.value_range import UNIT
from runner.experiment import Program
from runner.layers import places
from runner.layers.base import Tree
from runner.layers.passes import Pass
from runner.losses import MetricSums, metric_sums
from runner.ops.spreading import spread


class Sums(NamedTuple):
    """What training adds up until it is read: sums over images, and where the loss first was not finite."""

    images: MetricSums
    last_loss: (
        jax.Array
    )  # mean loss of the last step whose loss was finite; before it ∞, not NaN, which may be searched for
    bad_step: jax.Array  # int32, −1 while every loss was finite


class Variables(NamedTuple):
    """What a trained network consists of."""

    params: Tree
    statistics: Tree


class State(NamedTuple):
    """What training changes."""

    params: Tree
    statistics: Tree
    optimizer: Any
    average: Variables | None  # the running average of parameters and statistics, where the experiment has one
    step: jax.Array  # int32: steps taken
    sums: Sums


class Evaluation(NamedTuple):
    """What a network makes of a batch: sums of its loss and metrics, and its answers (n, k).

    Answers are the probabilities of classes or of labels, or numbers in the unit of the data.
    """

    sums: MetricSums
    answers: jax.Array


class Feed(NamedTuple):
    """Training images, inputs uint8, float32 or int32 (n, …) and labels, int32 (n,) or float32 (n, k), in their order.

    `order` holds their indices, int32; without one they come in the order in which they lie. `class_weights`, float32
    (k,), multiply the losses of examples of each class.
    """

    inputs: ArrayLike
    labels: ArrayLike
    order: ArrayLike | None = None
    class_weights: ArrayLike | None = None

    def batch(self, number: ArrayLike, size: int) -> tuple[jax.Array, jax.Array]:
        """Inputs and labels of one batch of `size`."""
        inputs, labels = jnp.asarray(self.inputs), jnp.asarray(self.labels)
        first = number * size
        if self.order is None:
            return lax.dynamic_slice_in_dim(inputs, first, size), lax.dynamic_slice_in_dim(labels, first, size)
        index = lax.dynamic_slice_in_dim(jnp.asarray(self.order), first, size)
        return inputs[index], labels[index]


def stream(seed: ArrayLike, name: str) -> jax.Array:
    """The key of a random stream, by name."""
    return jax.random.fold_in(jax.random.key(seed), zlib.crc32(name.encode()))


def no_sums(program: Program) -> Sums:
    """Sums of nothing."""

    def zero() -> jax.Array:
        # Each is an array of its own, since the state's buffers are given away at every step.
        return jnp.zeros((), jnp.float32)

    images = MetricSums(zero(), {name: zero() for name in program.metrics}, zero())
    return Sums(images, jnp.full((), jnp.inf, jnp.float32), jnp.full((), -1, jnp.int32))


def init(program: Program, given: tuple[Tree, Tree] | None = None) -> State:
    """The state before the first step: drawn, but for the parameters and statistics that are `given`."""
    params, statistics = program.network.init(stream(program.seed, "initialisation"))
    if given is not None:
        params, statistics = places.merged(params, given[0]), places.merged(statistics, given[1])
    learning, _ = places.split(params, program.freeze)
    optimizer = _transformation(program, jnp.zeros((), jnp.float32)).init(learning)
    average = None if program.ema_decay is None else jax.tree.map(jnp.copy, Variables(params, statistics))
    return State(params, statistics, optimizer, average, jnp.zeros((), jnp.int32), no_sums(program))


def advance(
    program: Program, state: State, feed: Feed, learning_rates: jax.Array, start: jax.Array, count: jax.Array
) -> tuple[State, Sums]:
    """`count` steps over the batches of `feed` from batch `start` on; at most as many as there are learning rates.

    Returns the state and a copy of its sums, which can be read while the state goes on.
    """
    if learning_rates.shape[0] == 1:
        state = step(program, state, feed, learning_rates[0], start)
    else:
        state = lax.fori_loop(0, count, lambda i, now: step(program, now, feed, learning_rates[i], start + i), state)
    return state, jax.tree.map(jnp.copy, state.sums)


def step(program: Program, state: State, feed: Feed, learning_rate: jax.Array, batch: jax.Array) -> State:
    """One step of training on one batch of `feed`."""
    inputs, labels = map(spread, feed.batch(batch, program.batch_size))
    key = jax.random.fold_in(stream(program.seed, "step"), state.step)
    augment_key, dropout_key = jax.random.split(key)
    targets = program.task.targets(labels, program.network.classes)
    values = value_range_of(program)
    fitted = program.network.fitted(inputs, values[0])
    images, targets = program.augment.apply(fitted, targets, key=augment_key, values=values)
    images = normalised(program, images)

    learning, frozen = places.split(state.params, program.freeze)

    def objective(learning: Tree) -> tuple[jax.Array, tuple[Tree, MetricSums]]:
        params = places.merged(learning, frozen)
        return _mean_loss(program, params, state.statistics, (images, targets), feed.class_weights, dropout_key)

    (loss, (statistics, sums)), gradients = jax.value_and_grad(objective, has_aux=True)(learning)
    transformation = _transformation(program, learning_rate)
    updates, optimizer = transformation.update(
        gradients,
        state.optimizer,
        learning,
        value=loss,
        grad=gradients,
        value_fn=lambda params: objective(params)[0],
    )
    params = places.merged(optax.apply_updates(learning, updates), frozen)
    return State(
        params=params,
        statistics=statistics,
        optimizer=optimizer,
        average=_averaged(program, state.average, Variables(params, statistics), state.step + 1),
        step=state.step + 1,
        sums=_added(state.sums, sums, loss, state.step),
    )


def evaluate(program: Program, state: State, inputs: jax.Array, labels: jax.Array, weights: jax.Array) -> Evaluation:
    """Sums of loss and metrics, and the answers; `weights` (n,) are 0 where an example only fills the batch up."""
    targets = program.task.targets(labels, program.network.classes)
    found = outputs(program, *evaluated(state), inputs)
    sums = metric_sums(program.loss, program.metrics, found, targets, weights, program.task.compared)
    return Evaluation(sums, program.task.answers(program.loss, found))


def evaluated_sums(
    program: Program, state: State, inputs: jax.Array, labels: jax.Array, weights: jax.Array
) -> MetricSums:
    """The sums of `evaluate` alone: many members together would hold the answers of each to all examples."""
    return evaluate(program, state, inputs, labels, weights).sums


def predict(program: Program, params: Tree, statistics: Tree, inputs: jax.Array) -> jax.Array:
    """Answers (n, k) to images as they come."""
    return program.task.answers(program.loss, outputs(program, params, statistics, inputs))


def results(program: Program, params: Tree, statistics: Tree, inputs: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Answers and the outputs of which they are made, both (n, k), to images as they come."""
    found = outputs(program, params, statistics, inputs)
    return program.task.answers(program.loss, found), found


def outputs(program: Program, params: Tree, statistics: Tree, inputs: jax.Array) -> jax.Array:
    """The network's outputs (n, k), float32, for images as they come; of crops the logarithms of mean probabilities."""
    test_time = program.test_time
    images = _seen(program, spread(inputs), test_time.margin or 0)

    def outputs_of(images: jax.Array) -> jax.Array:
        y, _ = program.network.apply(params, statistics, images, Pass(training=False, key=jax.random.key(0)))
        return y.astype(jnp.float32)

    if test_time.views == "mirror":
        return (outputs_of(images) + outputs_of(jnp.flip(images, axis=2))) / 2
    if test_time.margin is None:
        return outputs_of(images)

    def outputs_at(place: jax.Array) -> jax.Array:
        return outputs_of(views.crop(images, place, test_time.margin or 0))

    # One after another: the layers of ten crops at once would take ten times the memory.
    return program.loss.mean(lax.map(outputs_at, jnp.asarray(test_time.places, jnp.int32)))


def activations(program: Program, params: Tree, statistics: Tree, inputs: jax.Array) -> dict[str, jax.Array]:
    """The output (n, …) of each layer for images as they come, by its path; `Network.located` has their order.

    A repeated layer has a path for each copy. A side head is not there, as evaluation leaves it out.
    """
    found: dict[str, jax.Array] = {}

    def tap(path: str, y: jax.Array) -> jax.Array:
        found[path] = y
        return y

    at = Pass(training=False, key=jax.random.key(0), tap=tap)
    program.network.apply(params, statistics, _seen(program, inputs), at)
    return found


def _seen(program: Program, inputs: jax.Array, margin: int = 0) -> jax.Array:
    """What the first layer is given in evaluation of images as they come, with `margin` more rows and columns."""
    return normalised(program, program.network.fitted(inputs, value_range_of(program)[0], margin))


def value_range_of(program: Program) -> Any:
    """What stands for black and for white in inputs: `UNIT`, or two arrays, float32 (c,), or (1,) for all channels."""
    if program.black is None or program.white is None:
        return UNIT
    return tuple(
        jnp.stack([jnp.asarray(value, jnp.float32) for value in values]) for values in (program.black, program.white)
    )


def evaluated(state: State) -> Variables:
    """The parameters and statistics that are evaluated, saved and logged: their average where there is one."""
    return Variables(state.params, state.statistics) if state.average is None else state.average


def normalised(program: Program, images: jax.Array) -> jax.Array:
    """Images in what the layers compute in; tokens as they are."""
    if are_tokens(images):
        return images
    mean, std = (
        jnp.stack([jnp.asarray(value, jnp.float32) for value in values]) for values in (program.mean, program.std)
    )
    return normalise(images, mean, std).astype(program.precision)


def _mean_loss(
    program: Program,
    params: Tree,
    statistics: Tree,
    batch: tuple[jax.Array, jax.Array],
    class_weights: ArrayLike | None,
    key: jax.Array,
) -> tuple[jax.Array, tuple[Tree, MetricSums]]:
    """The mean weighted loss of a batch of images and targets, the statistics after it, and its sums without weights.

    Part by part where the batch is split.
    """

    def part(
        statistics: Tree, piece: tuple[jax.Array, jax.Array, jax.Array]
    ) -> tuple[Tree, tuple[MetricSums, jax.Array]]:
        x, wanted, number = spread(piece[0]), *piece[1:]
        own, held = jax.random.fold_in(key, number), places.owners(statistics, program.freeze)
        at = Pass(training=True, key=own, held=held)
        y, after = program.network.apply(params, statistics, x, at)
        weights = jnp.ones(x.shape[:1], jnp.float32)
        outputs = y.astype(jnp.float32)
        sums = metric_sums(program.loss, program.metrics, outputs, wanted, weights, program.task.compared)
        # A mixed target counts as the mixture of its classes.
        counts = None if class_weights is None else wanted @ jnp.asarray(class_weights)  # (n,)
        objective = sums.loss if counts is None else _weighted(program.loss.per_example(y, wanted), counts)
        # By path, as a pytree would have them: the order decides how the sum is rounded.
        for _, (side, weight) in sorted(at.side_outputs.items()):
            losses = program.loss.per_example(side.astype(jnp.float32), wanted)
            objective = objective + jnp.asarray(weight, jnp.float32) * _weighted(losses, counts)
        return after, (sums, objective)

    pieces = program.accumulate
    if pieces == 1:
        after, (sums, objective) = part(statistics, (*batch, jnp.zeros((), jnp.int32)))
    else:
        split = [x.reshape(pieces, -1, *x.shape[1:]) for x in batch]
        # Each part is computed again in the backward pass: that is what saves the memory.
        after, parts = lax.scan(jax.checkpoint(part), statistics, (*split, jnp.arange(pieces, dtype=jnp.int32)))
        sums, objective = jax.tree.map(lambda x: jnp.sum(x, axis=0), parts)
    return objective / sums.weight, (after, sums)


def _weighted(losses: jax.Array, counts: jax.Array | None) -> jax.Array:
    """The sum of losses (n,), each as many times as its example counts."""
    return jnp.sum(losses if counts is None else losses * counts)


def _transformation(program: Program, learning_rate: jax.Array) -> optax.GradientTransformationExtraArgs:
    decays, _ = places.split(program.network.decays(), program.freeze)
    optimizer = program.optimizer.transformation(learning_rate, decays)
    return optax.with_extra_args_support(optax.chain(program.clip.transformation(), optimizer))


def _averaged(program: Program, average: Variables | None, new: Variables, step: jax.Array) -> Variables | None:
    """The average after a step, the first of which is step 1. Frozen layers stay as they are, without rounding.

    Its decay warms up, or a short training would evaluate little but the initial parameters. Sources:
    tf.train.ExponentialMovingAverage (num_updates); batch statistics are averaged as in EfficientNet (Tan & Le 2019,
    github.com/tensorflow/tpu, get_ema_vars) and in timm's ModelEmaV2.
    """
    if average is None:
        return None
    count = step.astype(jnp.float32)
    keep = jnp.minimum(jnp.asarray(program.ema_decay, jnp.float32), (1 + count) / (10 + count))

    def moved(old: Tree, new: Tree) -> Tree:
        (moving, _), (learning, frozen) = (places.split(tree, program.freeze) for tree in (old, new))
        return places.merged(jax.tree.map(lambda a, b: keep * a + (1 - keep) * b, moving, learning), frozen)

    return Variables(*(moved(*pair) for pair in zip(average, new, strict=True)))


def _added(sums: Sums, new: MetricSums, loss: jax.Array, step: jax.Array) -> Sums:
    good = jnp.isfinite(loss)
    return Sums(
        images=jax.tree.map(jnp.add, sums.images, new),
        last_loss=jnp.where(good & (sums.bad_step < 0), loss, sums.last_loss),
        bad_step=jnp.where(good | (sums.bad_step >= 0), sums.bad_step, step),
    )
