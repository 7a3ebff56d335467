"""Losses with their Optax names, and metrics as sums and counts, so that batches and devices can be added exactly.

    >>> loss = SoftmaxCrossEntropy(label_smoothing=0.1)
    >>> sums = metric_sums(loss, ("accuracy",), outputs, targets, weights)
    >>> accuracy = sums.metrics["accuracy"] / sums.weight

Targets are distributions over the classes, one-hot or mixed by mixup and cutmix; or labels of 0 and 1; or numbers.
Losses are computed in float32, whatever the type of the network's outputs.
"""

from collections.abc import Callable
from typing import Annotated, Any, ClassVar, Final, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
import optax
from annotated_types import Ge, Gt, Le
from pydantic import Field

from runner.class_weights import Weighting
from runner.graph import Graph
from runner.metrics import metric
from runner.records import TRACED, Record

_CLASSES = frozenset({"classification"})
_LABELS = frozenset({"multi_label"})
_NUMBERS = frozenset({"regression"})


class _OfLogits(Weighting):
    """A loss of outputs whose softmax are the class probabilities."""

    tasks: ClassVar[frozenset[str]] = _CLASSES
    applies: ClassVar[str | None] = "softmax"  # the layer that it has in itself

    def probabilities(self, outputs: jax.Array) -> jax.Array:
        """(n, k) logits → (n, k): their softmax."""
        return jax.nn.softmax(outputs.astype(jnp.float32), axis=-1)

    def mean(self, outputs: jax.Array) -> jax.Array:
        """Logits (m, n, k) of m views of examples → (n, k), whose softmax is the mean of the views' probabilities."""
        logs = jax.nn.log_softmax(outputs.astype(jnp.float32), axis=-1)
        return jax.nn.logsumexp(logs, axis=0) - np.float32(np.log(len(outputs)))

    def nodes(self, graph: Graph, outputs: str, classes: int) -> str:
        """Adds `probabilities` to an ONNX graph."""
        return graph.node("Softmax", outputs, axis=1)

    def mean_nodes(self, graph: Graph, outputs: str, count: int) -> str:
        """Adds `mean` of so many views to an ONNX graph."""
        logs = graph.node("LogSoftmax", outputs, axis=2)
        total = graph.node("ReduceLogSumExp", logs, graph.constant([0]), keepdims=0)
        return graph.node("Sub", total, graph.constant(float(np.log(count))))


class SoftmaxCrossEntropy(_OfLogits):
    """−Σ target · log softmax(output), over the classes (`optax.softmax_cross_entropy`)."""

    name: Literal["softmax_cross_entropy"] = Field(
        default="softmax_cross_entropy", description="The loss, by its Optax name."
    )
    label_smoothing: Annotated[float, Ge(0), Le(1), TRACED] = Field(
        default=0.0, description="The share of each target that is spread evenly over the classes, 0 to 1."
    )

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) logits, (n, k) targets → (n,). Source for the smoothing: Szegedy et al. 2016, arXiv:1512.00567, §7."""
        smoothing = jnp.asarray(self.label_smoothing, jnp.float32)
        smoothed = optax.smooth_labels(targets.astype(jnp.float32), smoothing)
        losses: jax.Array = optax.softmax_cross_entropy(outputs.astype(jnp.float32), smoothed)
        return losses


class L2Loss(Weighting):
    """½ Σ (target − output)², over the outputs: the usual squared error (`optax.l2_loss`, summed)."""

    tasks: ClassVar[frozenset[str]] = _CLASSES | _NUMBERS
    applies: ClassVar[str | None] = None

    name: Literal["l2_loss"] = Field(default="l2_loss", description="The loss, by its Optax name.")

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) outputs, (n, k) targets → (n,)."""
        return jnp.sum(optax.l2_loss(outputs.astype(jnp.float32), targets.astype(jnp.float32)), axis=-1)

    def probabilities(self, outputs: jax.Array) -> jax.Array:
        """(n, k) outputs → (n, k): the nearest distribution in squared error, which keeps the order of the outputs.

        Outputs fitted to one-hot targets already estimate the class probabilities; a softmax would distort them.
        Source: Duchi et al. 2008, ICML (projection onto the simplex).
        """
        outputs = outputs.astype(jnp.float32)  # (n, k)
        ordered = jnp.sort(outputs, axis=-1, descending=True)
        ranks = jnp.arange(1, outputs.shape[-1] + 1, dtype=jnp.float32)[None, :]  # (1, k)
        excess = jnp.max((jnp.cumsum(ordered, axis=-1) - 1.0) / ranks, axis=-1, keepdims=True)  # (n, 1)
        return jax.nn.relu(outputs - excess)

    def mean(self, outputs: jax.Array) -> jax.Array:
        """Outputs (m, n, k) of m views of examples → (n, k): their mean."""
        return jnp.mean(outputs.astype(jnp.float32), axis=0)

    def nodes(self, graph: Graph, outputs: str, classes: int) -> str:
        """Adds `probabilities` to an ONNX graph."""
        ordered = graph.node("TopK", outputs, graph.constant([classes]), axis=1)
        above = graph.node("Sub", graph.node("CumSum", ordered, graph.constant(1)), graph.constant(1.0))
        means = graph.node("Div", above, graph.constant(np.arange(1, classes + 1, dtype=np.float32)))
        excess = graph.node("ReduceMax", means, graph.constant([1]), keepdims=1)
        return graph.node("Relu", graph.node("Sub", outputs, excess))

    def mean_nodes(self, graph: Graph, outputs: str, count: int) -> str:
        """Adds `mean` of so many views to an ONNX graph."""
        return graph.node("ReduceMean", outputs, graph.constant([0]), keepdims=0)


class SoftmaxFocalLoss(_OfLogits):
    """−Σ target · (1 − p)^gamma · log p, p the softmax of the outputs: examples that are easy count little.

    Source: Lin et al. 2017, arXiv:1708.02002, for several classes. Optax has the sigmoid's form alone.
    """

    name: Literal["softmax_focal_loss"] = Field(default="softmax_focal_loss", description="The loss.")
    gamma: Annotated[float, Ge(0), TRACED] = Field(
        default=2.0, description="How little easy examples count; with 0 it is softmax_cross_entropy."
    )

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) logits, (n, k) targets → (n,)."""
        logs = jax.nn.log_softmax(outputs.astype(jnp.float32), axis=-1)  # (n, k)
        # Above 0, as the power has no finite gradient there for a gamma below 1.
        rest = jnp.maximum(-jnp.expm1(logs), np.finfo(np.float32).tiny)
        return -jnp.sum(targets.astype(jnp.float32) * rest ** jnp.asarray(self.gamma, jnp.float32) * logs, axis=-1)


class MulticlassHingeLoss(_OfLogits):
    """max(0, 1 + highest score of the other classes − score of the target), `optax.losses.multiclass_hinge_loss`.

    The softmax of its scores ranks the classes, but is not calibrated.
    """

    applies: ClassVar[str | None] = None

    name: Literal["multiclass_hinge_loss"] = Field(
        default="multiclass_hinge_loss", description="The loss, by its Optax name."
    )

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) scores, (n, k) targets → (n,); for a mixed target the expectation over its classes, as mixup defines.

        Source: Crammer & Singer 2001, JMLR 2:265–292; for mixed targets Zhang et al. 2018, arXiv:1710.09412.
        """
        scores = outputs.astype(jnp.float32)  # (n, k)
        best = jnp.max(scores, axis=-1, keepdims=True)  # (n, 1)
        is_best = jax.nn.one_hot(jnp.argmax(scores, axis=-1), scores.shape[-1], dtype=jnp.bool_)  # (n, k)
        second = jnp.max(jnp.where(is_best, -jnp.inf, scores), axis=-1, keepdims=True)  # (n, 1)
        rival = jnp.where(is_best, second, best)  # (n, k): the best score among the other classes
        hinges = jax.nn.relu(1.0 + rival - scores)
        return jnp.sum(targets.astype(jnp.float32) * hinges, axis=-1)


class _OfLabels(Record):
    """A loss of outputs whose sigmoid are the probabilities of the labels, each on its own."""

    tasks: ClassVar[frozenset[str]] = _LABELS
    applies: ClassVar[str | None] = "sigmoid"

    def probabilities(self, outputs: jax.Array) -> jax.Array:
        """(n, k) logits → (n, k): their sigmoid."""
        return jax.nn.sigmoid(outputs.astype(jnp.float32))

    def mean(self, outputs: jax.Array) -> jax.Array:
        """Logits (m, n, k) of m views of examples → (n, k), whose sigmoid is the mean of the views' probabilities."""
        logits = outputs.astype(jnp.float32)
        holds, not_ = (jax.nn.logsumexp(jax.nn.log_sigmoid(own), axis=0) for own in (logits, -logits))
        return holds - not_

    def nodes(self, graph: Graph, outputs: str, classes: int) -> str:
        """Adds `probabilities` to an ONNX graph."""
        del classes
        return graph.node("Sigmoid", outputs)

    def mean_nodes(self, graph: Graph, outputs: str, count: int) -> str:
        """Adds `mean` of views to an ONNX graph."""
        del count
        opposite = graph.node("Neg", outputs)
        holds, not_ = (  # log sigmoid(x) = −softplus(−x)
            graph.node(
                "ReduceLogSumExp", graph.node("Neg", graph.node("Softplus", own)), graph.constant([0]), keepdims=0
            )
            for own in (opposite, outputs)
        )
        return graph.node("Sub", holds, not_)


class SigmoidBinaryCrossEntropy(_OfLabels):
    """−Σ log of the probability of what holds, over the labels (`optax.sigmoid_binary_cross_entropy`, summed)."""

    name: Literal["sigmoid_binary_cross_entropy"] = Field(
        default="sigmoid_binary_cross_entropy", description="The loss, by its Optax name."
    )

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) logits, (n, k) targets in 0 … 1 → (n,)."""
        losses = optax.sigmoid_binary_cross_entropy(outputs.astype(jnp.float32), targets.astype(jnp.float32))
        return jnp.sum(losses, axis=-1)


class SigmoidFocalLoss(_OfLabels):
    """Binary cross-entropy in which labels that are easy count little (`optax.sigmoid_focal_loss`, summed).

    Source: Lin et al. 2017, arXiv:1708.02002.
    """

    name: Literal["sigmoid_focal_loss"] = Field(
        default="sigmoid_focal_loss", description="The loss, by its Optax name."
    )
    alpha: Annotated[float, Ge(0), Le(1), TRACED] | None = Field(
        default=None, description="The weight of labels that hold, beside 1 − alpha of others; null: both count alike."
    )
    gamma: Annotated[float, Ge(0), TRACED] = Field(
        default=2.0, description="How little easy labels count; with 0 it is sigmoid_binary_cross_entropy."
    )

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) logits, (n, k) targets in 0 … 1 → (n,)."""
        alpha = None if self.alpha is None else jnp.asarray(self.alpha, jnp.float32)
        gamma = jnp.asarray(self.gamma, jnp.float32)
        losses = optax.sigmoid_focal_loss(
            outputs.astype(jnp.float32), targets.astype(jnp.float32), alpha=alpha, gamma=gamma
        )
        return jnp.sum(losses, axis=-1)


class HuberLoss(Record):
    """½ error² up to delta, and beyond it a straight line: outliers count less (`optax.huber_loss`, summed).

    Source: Huber 1964, doi:10.1214/aoms/1177703732.
    """

    tasks: ClassVar[frozenset[str]] = _NUMBERS
    applies: ClassVar[str | None] = None

    name: Literal["huber_loss"] = Field(default="huber_loss", description="The loss, by its Optax name.")
    delta: Annotated[float, Gt(0), TRACED] = Field(
        default=1.0, description="The error from which on the loss is a straight line, in deviations of the target."
    )

    def per_example(self, outputs: jax.Array, targets: jax.Array) -> jax.Array:
        """(n, k) estimates, (n, k) numbers → (n,)."""
        delta = jnp.asarray(self.delta, jnp.float32)
        losses = optax.huber_loss(outputs.astype(jnp.float32), targets.astype(jnp.float32), delta=delta)
        return jnp.sum(losses, axis=-1)

    def mean(self, outputs: jax.Array) -> jax.Array:
        """Estimates (m, n, k) of m views of examples → (n, k): their mean."""
        return jnp.mean(outputs.astype(jnp.float32), axis=0)

    def mean_nodes(self, graph: Graph, outputs: str, count: int) -> str:
        """Adds `mean` of views to an ONNX graph."""
        del count
        return graph.node("ReduceMean", outputs, graph.constant([0]), keepdims=0)

    def probabilities(self, outputs: jax.Array) -> jax.Array:
        """Estimates have none. Raises TypeError."""
        raise TypeError("estimates have no probabilities")

    def nodes(self, graph: Graph, outputs: str, classes: int) -> str:
        """Estimates have no probabilities. Raises TypeError."""
        raise TypeError("estimates have no probabilities")


_Kinds = (
    SoftmaxCrossEntropy
    | SoftmaxFocalLoss
    | L2Loss
    | MulticlassHingeLoss
    | SigmoidBinaryCrossEntropy
    | SigmoidFocalLoss
    | HuberLoss
)
KINDS: Final[tuple[Any, ...]] = get_args(_Kinds)
Loss = Annotated[_Kinds, Field(discriminator="name")]
Compared = Callable[[jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


def _as_they_are(outputs: jax.Array, targets: jax.Array) -> tuple[jax.Array, jax.Array]:
    return outputs, targets


class MetricSums(NamedTuple):
    """Sums over examples, float32 scalars: of the losses, of each metric by its name, and of the weights."""

    loss: jax.Array
    metrics: dict[str, jax.Array]
    weight: jax.Array


def metric_sums(
    loss: Loss,
    metrics: tuple[str, ...],
    outputs: jax.Array,
    targets: jax.Array,
    weights: jax.Array,
    compared: Compared = _as_they_are,
) -> MetricSums:
    """Sums over a batch of (n, k) outputs, (n, k) targets and (n,) weights, with the metrics of these names.

    `compared` makes of outputs and targets what metrics take. Examples that only pad the batch have weight 0 and add
    nothing, even if they contain NaN.
    """
    seen = compared(outputs, targets)
    values = {name: metric(name).per_example(*seen) for name in metrics}  # (n,) each
    losses = jnp.where(weights > 0, loss.per_example(outputs, targets), 0.0)
    return MetricSums(
        loss=jnp.sum(weights * losses),
        metrics={name: jnp.sum(weights * _padded(value, weights)) for name, value in values.items()},
        weight=jnp.sum(weights),
    )


def _padded(values: jax.Array, weights: jax.Array) -> jax.Array:
    """Values of examples in float32; zeros for those that only pad the batch, unless they are truths and so finite."""
    numbers = values.astype(jnp.float32)
    return numbers if values.dtype == jnp.bool_ else jnp.where(weights > 0, numbers, 0.0)
