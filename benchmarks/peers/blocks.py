"""What all peers share: their arguments, the order of the images, and the blocks of steps that are timed."""

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np


def arguments(description: str | None) -> argparse.Namespace:
    """The command line of a peer."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n")[0])
    parser.add_argument("--model", default="lenet5")
    parser.add_argument("--data", required=True, help="an .npz of x_train (n, h, w, c) uint8 and y_train")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--steps", type=int, default=100, help="steps in a block")
    parser.add_argument("--blocks", type=int, default=7, help="blocks that are counted")
    parser.add_argument("--variant", default="")
    return parser.parse_args()


def read(path: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels."""
    with np.load(path) as arrays:
        return arrays["x_train"], arrays["y_train"].astype(np.int32)


def batches(count: int, size: int, steps: int) -> list[np.ndarray]:
    """The indices of every step's images, in a shuffled order that begins anew when it ends."""
    generator = np.random.default_rng(0)
    epochs = -(-steps * size // count)
    order = np.concatenate([generator.permutation(count) for _ in range(epochs)])
    return [order[step * size : (step + 1) * size] for step in range(steps)]


def report(options: argparse.Namespace, block: Callable[[], float]) -> None:
    """Runs one block to warm up, then those that are counted, and prints a line of JSON for each.

    Waits for a line on standard input before each, so that peers can take turns.
    """
    block()
    print(json.dumps({"ready": True}), flush=True)
    for _ in range(options.blocks):
        input()
        faults, began = resource.getrusage(resource.RUSAGE_SELF).ru_minflt, time.perf_counter()
        loss = block()
        seconds = time.perf_counter() - began
        used = resource.getrusage(resource.RUSAGE_SELF)
        found = {
            "images_per_second": options.steps * options.batch / seconds,
            "loss": loss,
            "faults_per_step": (used.ru_minflt - faults) / options.steps,
            "peak_mb": used.ru_maxrss / 1024,
        }
        print(json.dumps(found), flush=True)
