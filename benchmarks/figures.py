"""What the figures of a run cost: whole runs with the default figures, with `figures=full`, and without any.

    python benchmarks/figures.py --mnist FOLDER [--pairs 7]

Each run is a process of its own, with MLflow and the model, as by default; the settings alternate (A B, B A, …), and
the first runs, which compile, are not counted. LeNet-5 trains on the digits of scikit-learn for the default 15 epochs,
with `figures=full` too, and on MNIST for one epoch. What figures cost does not grow with the epochs, but for the
moments of the page, at most 12; so short runs, whose seconds vary less, say what a longer run spends: `of_a_minute` is
the median difference as a share of 60 s. Wall time is that of the whole command, processor time that of its process.
Takes about five minutes.
Writes results/figures.json beside this file.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import machine


def run(folder: str, arguments: list[str], figures: str) -> dict[str, float]:
    """Seconds of the whole command by the clock, and of processors."""
    command = [sys.executable, "-m", "runner", *arguments, f"figures={figures}"]
    before, began = _processor_seconds(), time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return {"wall": time.perf_counter() - began, "processor": _processor_seconds() - before}


def _processor_seconds() -> float:
    """Of all processes that this one started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def compared(name: str, arguments: list[str], labels: tuple[str, ...], pairs: int) -> dict[str, Any]:
    """Runs with each setting in turn: medians in seconds, and what is spent beyond a run without figures."""
    with tempfile.TemporaryDirectory() as folder:
        for label in labels:
            run(folder, [*arguments, "train.epochs=1"], label)  # compiles, and makes the store
        # Every other round begins from the other end, so that a drift of the machine favours none.
        rounds = []
        for number in range(pairs):
            order = labels[:: 1 if number % 2 == 0 else -1]
            rounds.append({label: run(folder, arguments, label) for label in order})
    found: dict[str, Any] = {"rounds": rounds}
    for part in ("wall", "processor"):
        medians = {label: statistics.median(one[label][part] for one in rounds) for label in labels}
        more = {
            label: statistics.median(one[label][part] - one["off"][part] for one in rounds)
            for label in labels
            if label != "off"
        }
        found[part] = {"medians": medians, "more": more}
        found[part]["of_a_minute"] = {label: seconds / 60 for label, seconds in more.items()}
        line = ", ".join(f"{label} {value:.2f} s" for label, value in medians.items())
        shares = ", ".join(
            f"{label} {seconds:+.2f} s ({seconds / 60:+.1%} of a minute)" for label, seconds in more.items()
        )
        print(f"{name:<10} {part:<9} {line}; {shares}", flush=True)
    return found


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", help="folder of the MNIST files")
    parser.add_argument("--pairs", type=int, default=7)
    asked = parser.parse_args()
    found: dict[str, Any] = machine.facts() | {"pairs": asked.pairs, "seed": 0}
    found["lenet5 on digits"] = compared("digits", ["seed=0"], ("off", "default", "full"), asked.pairs)
    if asked.mnist:
        root = f"data.root={Path(asked.mnist).resolve()}"
        arguments = ["seed=0", "data=mnist", root, "train.epochs=1"]
        found["lenet5 on MNIST"] = compared("MNIST", arguments, ("off", "default"), asked.pairs)
    machine.write("figures", found)


if __name__ == "__main__":
    main()
