"""Test accuracies: the commands of the README, from several seeds where that takes minutes.

    python benchmarks/accuracy.py --mnist FOLDER --cifar FILE.zip [--only lenet5_digits,lenet5_mnist]

Each experiment runs in an empty folder, as a user runs it; its accuracies are read from the store that it wrote. The
machine need not be quiet, as only `seconds` depends on what runs beside. Writes results/accuracy.json; experiments
that are not chosen keep what was measured before.
"""

import argparse
import json
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import machine
from mlflow import MlflowClient

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "accuracy.json"
CIFAR_FILE: Final = "cifar10-jpeg.zip"  # 60,000 JPEG files in train/CLASS/ and test/CLASS/


@dataclass(frozen=True)
class Experiment:
    """A row of the README's table; `arguments` follow `python -m runner`."""

    network: str
    data: str
    arguments: str
    published: str = ""


_CIFAR: Final = f"data=folder data.root={CIFAR_FILE}"
_FEW: Final = "augment=crop_flip train.batch_size=128 train.epochs"
EXPERIMENTS: Final = {
    "lenet5_digits": Experiment("lenet5", "digits", "sweep=seeds"),
    "hourglass_digits": Experiment("hourglass", "digits", "sweep=seeds model=hourglass"),
    "lenet5_mnist": Experiment("lenet5", "MNIST", "sweep=seeds data=mnist", "99.05 (LeCun et al. 1998)"),
    "lenet5_mnist_augmented": Experiment(
        "lenet5", "MNIST, distorted", "sweep=seeds experiment=mnist_augmented", "99.2 (LeCun et al. 1998)"
    ),
    "cnn_3x_cifar10": Experiment("cnn_3x", "CIFAR-10, JPEG", f"model=cnn_3x {_CIFAR}"),
    "resnet20_cifar10": Experiment(
        "resnet20_cifar",
        "CIFAR-10, JPEG",
        f"model=resnet20_cifar {_CIFAR} {_FEW}=4",
        "91.25, 64,000 steps (He et al. 2015)",
    ),
    "vgg6_cifar10": Experiment("vgg6_cifar", "CIFAR-10, JPEG", f"model=vgg6_cifar {_CIFAR} {_FEW}=3"),
    "cifar10_fast": Experiment(
        "cifar10_fast", "CIFAR-10, JPEG", f"experiment=cifar10_fast {_CIFAR}", "94, original pixels (Jordan 2024)"
    ),
}


def own_files(folder: Path) -> None:
    """Writes the YAML files that the README shows."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for path, text in re.findall(r"```yaml\n# (conf/\S+\.yaml)(.*?)```", readme, flags=re.DOTALL):
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"# {path}{text}", encoding="utf-8")


def measured(experiment: Experiment, options: argparse.Namespace) -> dict[str, Any]:
    """What one experiment came to, each seed by itself."""
    arguments = shlex.split(experiment.arguments.replace(CIFAR_FILE, str(Path(options.cifar).resolve())))
    if "MNIST" in experiment.data:
        arguments.append(f"data.root={Path(options.mnist).resolve()}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own_files(folder)
        began = time.perf_counter()
        subprocess.run([sys.executable, "-m", "runner", *arguments], cwd=folder, check=True)
        seconds = time.perf_counter() - began
        runs = tested(folder)
    accuracies = [run.data.metrics["test_accuracy"] for run in runs]
    return {
        "network": experiment.network,
        "data": experiment.data,
        "command": f"python -m runner {experiment.arguments}",
        "published": experiment.published,
        "epochs": int(runs[0].data.params["train.epochs"]),
        "seeds": [int(run.data.params["seed"]) for run in runs],
        "test_accuracy": accuracies,
        "mean": statistics.fmean(accuracies),
        "deviation": statistics.stdev(accuracies) if len(accuracies) > 1 else None,
        "seconds": seconds,
        **machine.facts(),
    }


def tested(folder: Path) -> list[Any]:
    """The runs in the store of a folder that have a test accuracy, by their seed."""
    client = MlflowClient(f"sqlite:///{folder}/outputs/mlflow.db")
    experiments = [found.experiment_id for found in client.search_experiments()]
    runs = client.search_runs(experiments, "attributes.status = 'FINISHED'")
    own = [run for run in runs if "test_accuracy" in run.data.metrics and "seed" in run.data.params]
    return sorted(own, key=lambda run: int(run.data.params["seed"]))


def main() -> None:
    """Measures, prints and writes after each experiment."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", required=True, help="a folder with MNIST's four files")
    parser.add_argument("--cifar", required=True, help=f"{CIFAR_FILE}, or a folder of the same images")
    parser.add_argument("--only", default=",".join(EXPERIMENTS), help="experiments, separated by commas")
    options = parser.parse_args()
    for name in options.only.split(","):
        found = measured(EXPERIMENTS[name], options)
        known = json.loads(RESULTS.read_text(encoding="utf-8"))["experiments"] if RESULTS.exists() else {}
        known[name] = found
        ordered = {key: known[key] for key in EXPERIMENTS if key in known}
        machine.write("accuracy", machine.facts() | {"experiments": ordered})
        print(f"{name}: {found['mean']:.2%} of seeds {found['seeds']}, {found['seconds']:.0f} s", flush=True)


if __name__ == "__main__":
    main()
