"""Published results repeated: each as an experiment, over seeds, with the paper's number beside the interval of ours.

    python benchmarks/published.py --mnist FOLDER [--only lecun1989] [--seeds 5]

`lecun1989` takes about a minute on two cores; LeCun 1998's 20 passes over MNIST, one digit at a time, take about 5 to
15 minutes for each seed. The machine need not be quiet, as only `seconds` depends on what runs beside. Each experiment
runs in an empty folder, as a user runs it. Writes results/published.json; experiments that are not chosen keep what was
measured before.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

import machine
from accuracy import tested
from scipy import stats

RESULTS: Final = Path(__file__).resolve().parent / "results"

_1989: Final = "LeCun et al. 1989, doi:10.1162/neco.1989.1.4.541; its replication by Karpathy 2022: 4.1"
_1998: Final = "LeCun, Bottou, Bengio & Haffner 1998, doi:10.1109/5.726791"
EXPERIMENTS: Final = {  # test errors in per cent, and where they are published
    "lecun1989": (5.0, _1989),
    "lecun1998_lenet1": (1.7, _1998),
    "lecun1998_lenet4": (1.1, _1998),
    "lecun1998_lenet5": (0.95, _1998),
    "lecun1998_lenet5_distorted": (0.8, _1998),
}


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """What one experiment came to: each seed, and the mean error in per cent with a t interval."""
    arguments = [f"experiment={name}", f"seed=range(0,{options.seeds})"]
    hidden = f"data.root={Path(options.mnist).resolve()}"
    with tempfile.TemporaryDirectory() as place:
        began = time.perf_counter()
        command = [sys.executable, "-m", "runner", "-m", *arguments, hidden, *options.extra]
        subprocess.run(command, cwd=place, check=True)
        seconds = time.perf_counter() - began
        runs = tested(Path(place))
    accuracies = [run.data.metrics["test_accuracy"] for run in runs]
    errors = [100 * (1 - accuracy) for accuracy in accuracies]
    published, source = EXPERIMENTS[name]
    return {
        "command": " ".join(["python -m runner -m", *arguments, *options.extra]),
        "published": published,
        "source": source,
        "epochs": int(runs[0].data.params["train.epochs"]),
        "seeds": [int(run.data.params["seed"]) for run in runs],
        "test_accuracy": accuracies,
        "mean_error": statistics.fmean(errors),
        "interval": interval(errors),
        "seconds": seconds,
        **machine.facts(),
    }


def interval(values: list[float]) -> list[float] | None:
    """The 95 % interval of the mean over seeds by Student's t; null for one seed."""
    if len(values) < 2:
        return None
    half = stats.t.ppf(0.975, len(values) - 1) * statistics.stdev(values) / len(values) ** 0.5
    return [statistics.fmean(values) - half, statistics.fmean(values) + half]


def main() -> None:
    """Measures, prints and writes after each experiment."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--mnist", required=True, help="the folder of MNIST's files")
    parser.add_argument("--only", default=",".join(EXPERIMENTS), help="names of experiments, with commas")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each experiment")
    parser.add_argument("--name", default="published", help="the file in results/ that is written")
    parser.add_argument("extra", nargs="*", help="further settings, after --, for a try on a tiny size")
    options = parser.parse_args()
    path = RESULTS / f"{options.name}.json"
    for name in options.only.split(","):
        found = measured(name, options)
        known = json.loads(path.read_text(encoding="utf-8"))["experiments"] if path.exists() else {}
        known[name] = found
        ordered = {key: known[key] for key in EXPERIMENTS if key in known}
        machine.write(options.name, machine.facts() | {"experiments": ordered})
        print(f"{name}: {found['mean_error']:.2f} % errors, published {found['published']} %", flush=True)


if __name__ == "__main__":
    main()
