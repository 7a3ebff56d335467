"""Keras on its JAX backend, with `fit`."""

import os

os.environ["KERAS_BACKEND"] = "jax"

import keras
import numpy as np
from blocks import arguments, read, report


def main() -> None:
    """Trains LeNet-5 and reports."""
    options = arguments(__doc__)
    keras.utils.set_random_seed(0)
    inputs, labels = read(options.data)
    x = np.pad(inputs.astype(np.float32) / 255, ((0, 0), (2, 2), (2, 2), (0, 0)))
    x = (x - x.mean()) / x.std()
    layers = keras.layers
    model = keras.Sequential(
        [
            layers.Conv2D(6, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(16, 5, activation="relu"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(120, activation="relu"),
            layers.Dense(84, activation="relu"),
            layers.Dense(10),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss=loss, metrics=["accuracy"])
    count = min(options.steps * options.batch, len(x))

    def block() -> float:
        history = model.fit(x[:count], labels[:count], batch_size=options.batch, epochs=1, verbose=0)
        return float(history.history["loss"][-1])

    report(options, block)


if __name__ == "__main__":
    main()
