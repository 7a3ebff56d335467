"""What recording a run in MLflow costs it: pairs of runs with tracking and without, in turn.

    python benchmarks/tracking.py --root FOLDER [--pairs 3] [--epochs 5]

LeNet-5 on MNIST, whose files lie in FOLDER; each run is a process of its own. Tracked runs record to SQLite, with
figures and the model. Writes results/tracking.json beside this file and prints medians in seconds, of training alone
and of the whole command, and the ratios pair by pair.
"""

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine


def measured(folder: str, root: str, epochs: int, tracking: str) -> dict[str, float]:
    """Seconds of training and of the whole command."""
    command = [sys.executable, "-m", "runner", "data=mnist", f"data.root={root}", f"train.epochs={epochs}"]
    began = time.perf_counter()
    done = subprocess.run([*command, f"tracking={tracking}"], cwd=folder, check=True, capture_output=True, text=True)
    wall = time.perf_counter() - began
    found = re.search(r"of which ([\d.]+) s training", done.stdout)
    assert found is not None, done.stdout
    return {"training": float(found[1]), "command": wall}


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--root", required=True, help="folder of the MNIST files")
    parser.add_argument("--pairs", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=5)
    asked = parser.parse_args()
    root = str(Path(asked.root).resolve())
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for tracking in ("local", "off"):
            measured(folder, root, 1, tracking)  # compiles, and makes the store
        for _ in range(asked.pairs):
            pairs.append({name: measured(folder, root, asked.epochs, name) for name in ("local", "off")})
    result = machine.facts() | {"what": "LeNet-5 on MNIST, seconds", "epochs": asked.epochs, "pairs": pairs}
    for part in ("training", "command"):
        ratios = [pair["local"][part] / pair["off"][part] for pair in pairs]
        medians = {name: statistics.median(pair[name][part] for pair in pairs) for name in ("local", "off")}
        more = medians["local"] - medians["off"]
        result[part] = {"median": medians, "more": more, "ratios": ratios, "median_ratio": statistics.median(ratios)}
        print(f"{part:<10} tracked {medians['local']:.2f} s, untracked {medians['off']:.2f} s, ratios", end=" ")
        print(", ".join(f"{ratio:.3f}" for ratio in ratios))
    machine.write("tracking", result)


if __name__ == "__main__":
    main()
