"""Flax NNX with Optax, in the way of its MNIST example: one jitted training step for each batch."""

import jax.numpy as jnp
import numpy as np
import optax
from blocks import arguments, batches, read, report
from flax import nnx


class LeNet5(nnx.Module):
    """LeNet-5 with ReLU and max pooling, for 32×32 images."""

    def __init__(self, channels: int, rngs: nnx.Rngs) -> None:
        self.conv1 = nnx.Conv(channels, 6, kernel_size=(5, 5), padding="VALID", rngs=rngs)
        self.conv2 = nnx.Conv(6, 16, kernel_size=(5, 5), padding="VALID", rngs=rngs)
        self.dense1 = nnx.Linear(400, 120, rngs=rngs)
        self.dense2 = nnx.Linear(120, 84, rngs=rngs)
        self.dense3 = nnx.Linear(84, 10, rngs=rngs)

    def __call__(self, x: jnp.ndarray) -> jnp.ndarray:
        for conv in (self.conv1, self.conv2):
            x = nnx.max_pool(nnx.relu(conv(x)), window_shape=(2, 2), strides=(2, 2))
        x = x.reshape(x.shape[0], -1)
        return self.dense3(nnx.relu(self.dense2(nnx.relu(self.dense1(x)))))


@nnx.jit
def train_step(model: LeNet5, optimizer: nnx.Optimizer, x: jnp.ndarray, y: jnp.ndarray) -> jnp.ndarray:
    """One step; returns its loss."""

    def loss_of(model: LeNet5) -> jnp.ndarray:
        return optax.softmax_cross_entropy_with_integer_labels(model(x), y).mean()

    loss, gradients = nnx.value_and_grad(loss_of)(model)
    optimizer.update(model, gradients)
    return loss


def main() -> None:
    """Trains and reports."""
    options = arguments(__doc__)
    inputs, labels = read(options.data)
    x = np.pad(inputs.astype(np.float32) / 255, ((0, 0), (2, 2), (2, 2), (0, 0)))
    x = (x - x.mean()) / x.std()
    model = LeNet5(x.shape[-1], nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(1e-3), wrt=nnx.Param)
    order = batches(len(labels), options.batch, options.steps)

    def block() -> float:
        total = jnp.zeros(())
        for index in order:
            total = total + train_step(model, optimizer, x[index], labels[index])
        return float(total) / len(order)

    report(options, block)


if __name__ == "__main__":
    main()
