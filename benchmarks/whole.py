"""The whole command, from the prompt to the next: the default run against the Lightning-Hydra template's way.

    python benchmarks/whole.py [--rounds 5] [--peers-python PYTHON]

LeNet-5 on the digits for 15 epochs, tracked in MLflow, each run a process of its own in the same folder as the one
before, in turn; the first of each, which makes stores and caches, is not counted. The template runs as it comes, and
with settings of malloc that keep its memory (`+kept`). Writes results/whole.json.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import machine

HERE = Path(__file__).resolve().parent


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peers-python", default=sys.executable, help="an interpreter that has the extra `bench`")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    template = [options.peers_python, str(HERE / "peers" / "lightning_template.py")]
    commands = {
        "ours": [sys.executable, "-m", "runner"],
        "ours:portable": [sys.executable, "-m", "runner", "train.lowering=portable"],
        "lightning_template": template,
        "lightning_template+kept": template,
    }
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with tempfile.TemporaryDirectory() as name:
        environment = os.environ | {"CONVRUNNER_CACHE": str(Path(name) / "cache"), "MLFLOW_DISABLE_TELEMETRY": "true"}
        for _ in range(options.rounds + 1):
            for who, command in commands.items():
                folder = Path(name) / who.replace("+", ":").partition(":")[0]
                folder.mkdir(exist_ok=True)
                own = environment | (machine.KEEP_MEMORY if who.endswith("+kept") else {})
                began = time.perf_counter()
                subprocess.run(command, cwd=folder, env=own, check=True, capture_output=True)
                seconds[who].append(time.perf_counter() - began)
    first = {who: times.pop(0) for who, times in seconds.items()}
    theirs = seconds["lightning_template"]
    result = machine.facts(options.peers_python) | {
        "what": "seconds of the whole command: LeNet-5 on the digits, 15 epochs, tracked in MLflow",
        "rounds": options.rounds,
        "first": first,
        "median": {who: statistics.median(times) for who, times in seconds.items()},
        "min_max": {who: [min(times), max(times)] for who, times in seconds.items()},
        "share": {
            who: statistics.median(a / b for a, b in zip(times, theirs, strict=True)) for who, times in seconds.items()
        },
    }
    machine.write("whole", result)
    for who, times in seconds.items():
        print(f"{who:<25}first {first[who]:6.1f}  then {statistics.median(times):6.2f} s")


if __name__ == "__main__":
    main()
