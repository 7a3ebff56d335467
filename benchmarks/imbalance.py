"""Which ways to train on rare classes differ, where the rarest of ten classes has a hundredth of the most frequent.

    python benchmarks/imbalance.py --cifar cifar10-jpeg.zip [--seeds 5] [--epochs 20] [--images 500] [--ratio 100]

Training photographs are thinned out exponentially from class to class, as Cui et al. 2019 (arXiv:1901.05555, §5.1) made
long-tailed CIFAR; validation and test images are as many of every class, so that accuracy there counts all classes
alike. Plain training, two weightings of the classes, the focal loss and balanced sampling are one sweep with seeds.
Each way is compared with plain training by Student's t on the test accuracies, paired by seed and corrected by Holm. A
few minutes on two cores. Writes results/imbalance.json.
"""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, Final

import machine
from accuracy import tested
from scipy import stats

WAYS: Final = {  # name, as of an experiment: loss, class weights, sampling
    "plain": ("cross_entropy", "none", "all"),
    "balanced_weights": ("cross_entropy", "balanced", "all"),
    "effective_number": ("cross_entropy", "effective_number", "all"),
    "focal_loss": ("focal", "none", "all"),
    "balanced_sampling": ("cross_entropy", "none", "balanced"),
}
_EXPERIMENT: Final = """# @package _global_
# python -m runner experiment={name}      one way to train on rare classes
defaults:
  - override /loss: {loss}
loss: {{class_weights: {weights}}}
train: {{sampling: {sampling}}}
"""
_EACH: Final = 100  # validation images of each class, of the training photographs; the test part has twice as many
_SETTINGS: Final = "data=folder model=lenet5 augment=crop_flip figures=off"


def long_tailed(cifar: Path, folder: Path, images: int, ratio: float) -> dict[str, int]:
    """Writes train/, val/ and test/ with class folders; returns the number of training images of each class."""
    with zipfile.ZipFile(cifar) as archive:
        members = sorted(name for name in archive.namelist() if name.endswith(".jpg"))
        classes = sorted({name.split("/")[1] for name in members})
        counts = {}
        for place, name in enumerate(classes):
            own, tests = ([one for one in members if one.startswith(f"{part}/{name}/")] for part in ("train", "test"))
            counts[name] = round(images * ratio ** (-place / (len(classes) - 1)))
            parts = {"train": own[: counts[name]], "val": own[-_EACH:], "test": tests[: 2 * _EACH]}
            for part, files in parts.items():
                (folder / part / name).mkdir(parents=True)
                for file in files:
                    with archive.open(file) as source, (folder / part / name / Path(file).name).open("wb") as copy:
                        shutil.copyfileobj(source, copy)
    return counts


def swept(folder: Path, options: argparse.Namespace) -> list[Any]:
    """The runs of the sweep, in which each way is an experiment of the folder's own."""
    (folder / "conf" / "experiment").mkdir(parents=True)
    for name, (loss, weights, sampling) in WAYS.items():
        text = _EXPERIMENT.format(name=name, loss=loss, weights=weights, sampling=sampling)
        (folder / "conf" / "experiment" / f"{name}.yaml").write_text(text, encoding="utf-8")
    given = [*_SETTINGS.split(), f"data.root={folder / 'photographs'}", f"train.epochs={options.epochs}"]
    varied = [f"experiment={','.join(WAYS)}", f"seed=range(0,{options.seeds})"]
    subprocess.run([sys.executable, "-m", "runner", "-m", *given, *varied], cwd=folder, check=True)
    return tested(folder)


def way_of(run: Any) -> str:
    """The name of the way that a run went."""
    params = run.data.params
    own = (params["loss.name"], params["loss.class_weights"], params.get("train.sampling", "all"))
    names = {"cross_entropy": "softmax_cross_entropy", "focal": "softmax_focal_loss"}
    return next(name for name, (loss, *rest) in WAYS.items() if own == (names[loss], *rest))


def compared(found: dict[str, list[float]]) -> dict[str, dict[str, Any]]:
    """Each way: its test accuracies by seed, the mean with its t interval, and how it differs from plain training."""
    plain = found["plain"]
    ps = {name: float(stats.ttest_rel(values, plain).pvalue) for name, values in found.items() if name != "plain"}
    corrected, least = {}, 0.0
    for place, name in enumerate(sorted(ps, key=lambda name: ps[name])):
        corrected[name] = least = min(1.0, max(least, ps[name] * (len(ps) - place)))
    return {
        name: {
            "test_accuracy": values,
            "mean": statistics.fmean(values),
            "interval": list(stats.t.interval(0.95, len(values) - 1, statistics.fmean(values), stats.sem(values))),
            "from_plain": statistics.fmean(values) - statistics.fmean(plain),
            "p": corrected.get(name),
        }
        for name, values in found.items()
    }


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cifar", required=True, type=Path, help="CIFAR-10 as JPEG, in train/CLASS/ and test/CLASS/")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--images", type=int, default=500, help="training images of the most frequent class")
    parser.add_argument("--ratio", type=float, default=100.0, help="how many times as many as of the rarest one")
    parser.add_argument("--name", default="imbalance", help="the file in results/ that is written")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        counts = long_tailed(options.cifar, folder / "photographs", options.images, options.ratio)
        began = time.perf_counter()
        runs = swept(folder, options)
        seconds = time.perf_counter() - began
    found: dict[str, list[float]] = {name: [] for name in WAYS}
    for run in runs:  # by seed
        found[way_of(run)].append(run.data.metrics["test_accuracy"])
    result = {"images": counts, "epochs": options.epochs, "seeds": options.seeds, "seconds": seconds}
    machine.write(options.name, machine.facts() | result | {"ways": compared(found)})
    for name, one in compared(found).items():
        p = "" if one["p"] is None else f", {one['from_plain']:+.2%} from plain (p {one['p']:.2g})"
        print(f"{name}: {one['mean']:.2%}{p}", flush=True)


if __name__ == "__main__":
    main()
