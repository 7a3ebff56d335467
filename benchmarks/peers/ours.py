"""Convrunner, through the training that every run goes through; a block of steps is an epoch."""

import numpy as np
from blocks import arguments, read, report
from hydra import compose, initialize_config_dir

from runner import composition
from runner.configuration import parse
from runner.data import Dataset, Examples
from runner.placement import choose
from runner.training.alone import Training
from runner.training.plan import planned


def main() -> None:
    """Trains and reports."""
    options = arguments(__doc__)
    inputs, labels = read(options.data)
    count = options.steps * options.batch
    index = np.resize(np.random.default_rng(0).permutation(len(labels)), count)
    few = Examples(inputs[:1], labels[:1])  # the others validate nothing
    classes = tuple(str(name) for name in range(1000 if inputs.shape[1] > 32 else int(labels.max()) + 1))
    dataset = Dataset("bench", Examples(inputs[index], labels[index]), few, few, classes, "")
    overrides = [
        f"model={options.model}",
        "data=mnist" if inputs.shape[-1] == 1 else "data=cifar10" if inputs.shape[1] == 32 else "data=imagenet",
        f"train.batch_size={options.batch}",
        f"train.epochs={options.blocks + 1}",
        "optimizer.learning_rate=0.001",
        "schedule=constant",
        "tracking.enabled=false",
        "train.evaluation_batch_size=1",
        f"train.lowering={options.variant or 'auto'}",
    ]
    with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
        config = composition.plain(compose("config", overrides=composition.for_hydra(overrides)))
    experiment = parse(config).experiment
    here = choose("auto", keep_memory=experiment.train.keep_memory)
    epochs = Training(planned(experiment, dataset, here)).epochs()
    report(options, lambda: next(epochs).metrics["train/loss"])


if __name__ == "__main__":
    main()
