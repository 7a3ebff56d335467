"""What the native convolutions give: steps of training with them and without, in turn, in one process.

    python benchmarks/native.py [--seconds 60] [--batch 128]

LeNet-5 at MNIST's size, vgg6_cifar and resnet20_cifar at CIFAR-10's, on random images; the programs are those that runs
train with. Writes results/native.json beside this file and prints the median milliseconds of a step and their ratios.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import jax
import machine
import numpy as np
from hydra import compose, initialize_config_dir

from runner import compiling, composition, data, train
from runner.configuration import parse
from runner.ops import native
from runner.placement import choose
from runner.training.alone import Training
from runner.training.plan import planned

WORKLOADS = {"lenet5": (28, 28, 1), "vgg6_cifar": (32, 32, 3), "resnet20_cifar": (32, 32, 3)}
CHOICES = ("reference", "auto")
IMAGES = 2048


class Steps:
    """Training of one model that goes on by as many steps as it is told."""

    def __init__(self, model: str, choice: str, batch: int, images: Path) -> None:
        """Compiles the step, and takes the first ones."""
        overrides = [f"model={model}", "data=arrays", f"data.root={images}", f"train.batch_size={batch}"]
        overrides += [f"train.lowering={choice}", "tracking.enabled=false"]
        with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
            config = composition.plain(compose("config", overrides=composition.for_hydra(overrides)))
        experiment = parse(config, composition.BlockLibrary()).experiment
        self.dataset = data.load(experiment.data)
        here = choose("cpu", keep_memory=True)
        training = Training(planned(experiment, self.dataset, here))
        self.state, self.values, self.batch = training.state, training.plan.values, batch
        self.advance = compiling.compiled(training.plan.program, here).advance
        self.rng = np.random.default_rng(0)
        self.take(3)

    def take(self, count: int) -> float:
        """Seconds that one of `count` steps takes."""
        examples, sums = self.dataset.train, None
        began = time.perf_counter()
        for _ in range(count):
            chosen = self.rng.integers(0, len(examples), self.batch)
            feed = train.Feed(examples.inputs[chosen], examples.labels[chosen], None)
            rates = np.full(1, 1e-3, np.float32)
            self.state, sums = self.advance(self.values, self.state, feed, rates, np.int32(0), np.int32(1))
        jax.block_until_ready(sums)
        return (time.perf_counter() - began) / count


def measured(model: str, batch: int, seconds: float, folder: Path) -> dict[str, Any]:
    """Milliseconds of a step by each choice, in rounds that take them in turn."""
    rng = np.random.default_rng(0)
    images = folder / f"{model}.npz"
    np.savez(
        images,
        x_train=rng.integers(0, 256, (IMAGES, *WORKLOADS[model]), dtype=np.uint8),
        y_train=rng.integers(0, 10, IMAGES),
    )
    contestants = {choice: Steps(model, choice, batch, images) for choice in CHOICES}
    count = max(1, int(seconds / 40 / sum(steps.take(2) for steps in contestants.values())))
    rounds: dict[str, list[float]] = {choice: [] for choice in CHOICES}
    ends = time.perf_counter() + seconds / 3
    while time.perf_counter() < ends or len(rounds["auto"]) < 5:
        for choice, steps in contestants.items():
            rounds[choice].append(1e3 * steps.take(count))
    ratios = [plain / fast for plain, fast in zip(*(rounds[choice] for choice in CHOICES), strict=True)]
    medians = {choice: statistics.median(times) for choice, times in rounds.items()}
    return {"batch": batch, "ms": rounds, "median_ms": medians, "ratios": ratios, "ratio": statistics.median(ratios)}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="about how long it may take, compilation aside")
    parser.add_argument("--batch", type=int, default=128)
    asked = parser.parse_args()
    if not native.available():
        raise SystemExit("the native convolutions are not installed: make native")
    choose("cpu", keep_memory=True)
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in WORKLOADS:
            results[model] = measured(model, asked.batch, asked.seconds, Path(folder))
            medians, ratio = results[model]["median_ms"], results[model]["ratio"]
            print(
                f"{model:<15} {medians['reference']:8.2f} → {medians['auto']:8.2f} ms a step, {ratio:.2f} times as fast"
            )
    machine.write("native", machine.facts() | {"models": results})


if __name__ == "__main__":
    main()
