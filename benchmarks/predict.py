"""predict on the photographs of CIFAR-10, against evaluation in training and against PyTorch's way, images a second.

    python benchmarks/predict.py --cifar cifar10-jpeg.zip [--files 5000] [--rounds 5]

The files lie in a folder, as JPEG and once more as PNG; the network is vgg6_cifar with random weights. `predict` is
what the verb does between its imports and its print; `evaluation` has the decoded images in memory, as training has;
`torch` is a Dataset of files, torchvision's ToTensor and Normalize, and a DataLoader, a contestant for each number of
workers: 0, 1 and 2.
All are warm, and take turns; medians. Takes about four minutes. Writes results/predict.json. Needs the extra `bench`;
torchvision if it is installed, else its transforms are written out, and the result says so.
"""

import argparse
import itertools
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import machine
import numpy as np
from export import untrained
from PIL import Image

from runner import placement
from runner.predicting import Predictor

WORKERS = (0, 1, 2)
FORMS = ("jpeg", "png")


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--cifar", required=True, help="the .zip of JPEG files")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    found: dict[str, dict[str, float]] = {}
    torchvision = False
    with tempfile.TemporaryDirectory() as place:
        folders = {form: Path(place) / form for form in FORMS}
        written(options.cifar, folders, options.files)
        for form in FORMS:
            found[form], torchvision = measured(folders[form], options.files, options.rounds)
    result = {"files": options.files, "rounds": options.rounds, "torchvision": torchvision, "images_per_second": found}
    facts: dict[str, Any] = machine.facts()
    facts["versions"] |= {"torch": metadata.version("torch")}
    machine.write("predict", facts | result)


def written(source: str, folders: dict[str, Path], count: int) -> None:
    """Writes the first test images of the .zip: the JPEG files as they are, and their pixels as PNG."""
    for folder in folders.values():
        folder.mkdir()
    with zipfile.ZipFile(source) as archive:
        names = sorted(
            name for name in archive.namelist() if "test/" in name and name.lower().endswith((".jpg", ".jpeg"))
        )
        for number, name in enumerate(itertools.islice(itertools.cycle(names), count)):
            content = folders["jpeg"] / f"{number:05}.jpg"
            content.write_bytes(archive.read(name))
            Image.open(content).save(folders["png"] / f"{number:05}.png")


def measured(folder: Path, count: int, rounds: int) -> tuple[dict[str, float], bool]:
    """The medians of images a second of each contestant, and whether PyTorch had torchvision."""
    trained = untrained("vgg6_cifar")
    network, here = Predictor(trained), placement.choose("auto")
    images = np.stack([np.asarray(Image.open(path)) for path in sorted(folder.iterdir())])
    batch = trained.experiment.train.evaluation_batch_size
    peers = {f"torch:{workers} workers": Peer(folder, batch, workers) for workers in WORKERS}

    def predicted() -> None:
        assert sum(len(some) for some in network.files(str(folder))) == count

    def evaluated() -> None:
        assert len(trained.answers(images, here)) == count

    contestants: dict[str, Callable[[], float]] = {
        "predict": lambda: timed(predicted),
        "evaluation": lambda: timed(evaluated),
        **{name: peer.block for name, peer in peers.items()},
    }
    for block in contestants.values():
        block()
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, block in contestants.items():
            seconds[name].append(block())
    rates = {name: count / statistics.median(own) for name, own in seconds.items()}
    for name, rate in rates.items():
        print(f"{folder.name:5} {name:16} {rate:8,.0f} images/s", flush=True)
    known = {peer.end() for peer in peers.values()}
    return rates, known == {True}


def timed(function: Callable[[], None]) -> float:
    """The seconds that a call takes."""
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


class Peer:
    """PyTorch in a process of its own."""

    def __init__(self, folder: Path, batch: int, workers: int) -> None:
        script = Path(__file__).resolve().parent / "peers" / "torch_predict.py"
        command = [
            sys.executable,
            str(script),
            "--folder",
            str(folder),
            "--batch",
            str(batch),
            "--workers",
            str(workers),
        ]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.torchvision = False

    def block(self) -> float:
        """The seconds of one pass over the folder."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print("go", file=self.process.stdin, flush=True)
        seconds, *_, torchvision = self.process.stdout.readline().split()
        self.torchvision = torchvision == "True"
        return float(seconds)

    def end(self) -> bool:
        """Ends the process; whether it had torchvision."""
        self.process.communicate()
        return self.torchvision


if __name__ == "__main__":
    main()
