"""Images a second while training, against what users would pick instead.

    python benchmarks/throughput.py --mnist FOLDER --cifar FOLDER.zip [--peers-python PYTHON] [--only lenet5]

Every contestant is a process of its own with the same network, batch, optimiser (Adam), images and number of steps.
They take turns, a block of steps each (A B C A B C …), so that a machine that drifts drifts for all; the first block
of each is not counted. Ratios are of blocks in the same turn, and their median is given. PyTorch takes part as it
comes, and with settings of malloc that keep its memory (`+kept`), which this project has as well. Writes
results/throughput.json; the workloads that are not chosen keep what was measured before.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import machine
import numpy as np

HERE = Path(__file__).resolve().parent
# network, data, batch, steps in a block, who takes part beside us
WORKLOADS = [
    ("lenet5", "mnist", 32, 300, ("torch_loop", "lightning_loader", "keras_jax", "flax_nnx")),
    ("lenet5", "mnist", 128, 100, ("torch_loop", "lightning_loader", "keras_jax", "flax_nnx")),
    ("lenet5", "mnist", 512, 25, ("torch_loop",)),
    ("vgg6_cifar", "cifar", 32, 24, ("torch_loop",)),
    ("vgg6_cifar", "cifar", 128, 6, ("torch_loop",)),
    ("vgg6_cifar", "cifar", 512, 2, ("torch_loop",)),
    ("resnet20_cifar", "cifar", 32, 24, ("torch_loop",)),
    ("resnet20_cifar", "cifar", 128, 6, ("torch_loop",)),
    ("resnet20_cifar", "cifar", 512, 2, ("torch_loop",)),
    ("alexnet", "noise", 32, 3, ("torch_loop",)),
    ("resnet18", "noise", 32, 2, ("torch_loop",)),
]
REFERENCE = "torch_loop"
TORCH = [REFERENCE, f"{REFERENCE}:channels_last", f"{REFERENCE}+kept", f"{REFERENCE}:channels_last+kept"]
CEILING = "ceiling"


class Contestant:
    """A process that trains a block of steps whenever it is told to."""

    def __init__(self, name: str, python: str, *arguments: str) -> None:
        self.name = name
        own, _, memory = name.partition("+")
        script, _, variant = own.partition(":")
        command = [python, str(HERE / "peers" / f"{script}.py"), *arguments, "--variant", variant]
        self.process = subprocess.Popen(
            command,
            env=os.environ | (machine.KEEP_MEMORY if memory else {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.blocks: list[dict[str, float]] = []

    def line(self) -> dict[str, float]:
        """The next line that it says."""
        assert self.process.stdout is not None
        while True:
            text = self.process.stdout.readline()
            if not text:
                raise RuntimeError(f"{self.name} ended with status {self.process.wait()}")
            if text.startswith("{"):
                found: dict[str, float] = json.loads(text)
                return found

    def block(self) -> None:
        """Has it train a block."""
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        self.blocks.append(self.line())


def measured(
    workload: tuple[str, str, int, int, tuple[str, ...]], data: Path, python: str, options: argparse.Namespace
) -> dict:
    """What every contestant came to on one workload."""
    model, _, batch, steps, peers = workload
    blocks, steps = options.blocks, options.steps or steps
    arguments = ["--model", model, "--data", str(data), "--batch", str(batch), "--steps", str(steps)]
    arguments += ["--blocks", str(blocks)]
    ours = ["ours:auto", "ours:portable"]
    theirs = [variant for peer in peers for variant in (TORCH if peer == REFERENCE else [peer])]
    field: list[Contestant] = []
    for name in [*ours, *theirs, CEILING]:
        field.append(Contestant(name, sys.executable if name in ours else python, *arguments))
        field[-1].line()  # one after the other: they would be in each other's way
    for _ in range(blocks):
        for one in field:
            one.block()
    for one in field:
        one.process.kill()
        one.process.wait()
    own = cost(model)
    *field, ceiling = field
    gflops = statistics.median(block["images_per_second"] for block in ceiling.blocks)
    found = {
        "model": model,
        "batch": batch,
        "steps": steps,
        "blocks": blocks,
        "gflop_per_image": own,
        "ceiling_gflops": gflops,
    }
    found |= summary(field)
    for each in found["contestants"].values():
        each["share_of_ceiling"] = each["images_per_second"] * own / gflops
    return found


def cost(model: str) -> float:
    """GFLOP of convolutions and products for one image in training: three passes, two operations a multiply-add."""
    data = "mnist" if model == "lenet5" else "cifar10" if model.endswith("_cifar") else "imagenet"
    command = [sys.executable, "-m", "runner", "describe", f"model={model}", f"data={data}", "describe.format=json"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return 6 * json.loads(said)["totals"]["multiply_adds"] / 1e9


def summary(field: list[Contestant]) -> dict:
    """Medians, spreads, and the ratios to the better of PyTorch's two layouts as it comes, turn by turn."""
    rates = {one.name: [block["images_per_second"] for block in one.blocks] for one in field}
    best = max(TORCH[:2], key=lambda name: statistics.median(rates[name]))
    return {
        "reference": best,
        "contestants": {
            one.name: {
                "images_per_second": statistics.median(rates[one.name]),
                "min_max": [min(rates[one.name]), max(rates[one.name])],
                "ratio": statistics.median(a / b for a, b in zip(rates[one.name], rates[best], strict=True)),
                "loss": one.blocks[-1]["loss"],
                "faults_per_step": statistics.median(block["faults_per_step"] for block in one.blocks),
                "peak_mb": one.blocks[-1]["peak_mb"],
            }
            for one in field
        },
    }


def arrays(source: str, folder: Path, options: argparse.Namespace) -> Path:
    """The training images of a data set as one file, read as this project reads them."""
    from hydra import compose, initialize_config_dir

    from runner import composition, data
    from runner.configuration import parse

    path = folder / f"{source}.npz"
    if source == "noise":  # at the size of ImageNet's; what is measured does not look at it
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 1000, 256)
        np.savez(path, x_train=rng.integers(0, 256, (256, 224, 224, 3), dtype=np.uint8), y_train=labels)
        return path
    named = (
        ["data=mnist", f"data.root={options.mnist}"]
        if source == "mnist"
        else ["data=folder", f"data.root={options.cifar}"]
    )
    with initialize_config_dir(version_base="1.3", config_dir=str(composition.shipped())):
        config = composition.plain(
            compose("config", overrides=composition.for_hydra([*named, "data.val_fraction=0.01"]))
        )
    examples = data.load(parse(config).experiment.data).train
    np.savez(path, x_train=examples.inputs[:20000], y_train=examples.labels[:20000])
    return path


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--mnist", required=True, help="a folder with MNIST's four files")
    parser.add_argument(
        "--cifar", required=True, help="a folder or zip of CIFAR-10's images, one folder for each class"
    )
    parser.add_argument("--peers-python", default=sys.executable, help="an interpreter that has the extra `bench`")
    parser.add_argument("--only", default="", help="networks, or NETWORK/BATCH, separated by commas")
    parser.add_argument("--blocks", type=int, default=7)
    parser.add_argument("--steps", type=int, default=0, help="steps in a block, to try the script; 0: as it should be")
    options = parser.parse_args()
    facts = machine.facts(options.peers_python)
    with tempfile.TemporaryDirectory() as folder:
        paths: dict[str, Path] = {}
        for workload in WORKLOADS:
            if options.only and not {workload[0], f"{workload[0]}/{workload[2]}"} & set(options.only.split(",")):
                continue
            source = workload[1]
            if source not in paths:
                paths[source] = arrays(source, Path(folder), options)
            found = measured(workload, paths[source], options.peers_python, options)
            show(found)
            if not options.steps:  # else it was only tried
                machine.write("throughput", facts | {"workloads": _with_others(found | facts)})


def _with_others(found: dict) -> list[dict]:
    """The workload among those that were measured before."""
    path = HERE / "results" / "throughput.json"
    known = json.loads(path.read_text())["workloads"] if path.exists() else []
    each = {(one["model"], one["batch"]): one for one in [*known, found]}
    return [each[place] for workload in WORKLOADS if (place := (workload[0], workload[2])) in each]


def show(one: dict) -> None:
    """Prints a workload's table."""
    print(f"{one['model']}, batch {one['batch']}, {one['steps']} steps a block", flush=True)
    for name, own in one["contestants"].items():
        print(f"  {name:<34}{own['images_per_second']:>10,.0f} images/s{own['ratio']:>8.2f}  loss {own['loss']:.3f}")


if __name__ == "__main__":
    main()
