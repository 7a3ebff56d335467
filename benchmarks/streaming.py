"""Images past memory: the peak of a streamed training, its first step, and how near it comes to decoding alone.

    python benchmarks/streaming.py [--images 12000] [--runs 3]

JPEGs of 400×350 are drawn and trained on at 224×224 by `cnn_3x` with `data.residence=stream`, one epoch of a process of
its own; its first checkpoint, after one step, tells when that ended. Its memory is read from /proc/PID/smaps_rollup,
anonymous and file-backed pages apart. Then the files are decoded alone, and trained on by a network that is almost
free, by turns. Writes results/streaming.json and prints it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

import machine
import numpy as np
from PIL import Image

SIZE: Final = "data.image={height: 224, width: 224, channels: 3}"
BATCH: Final = 64
SEED: Final = 0
# Mean and deviation are given, as for ImageNet, so that no pass over the images comes before the first step.
GIVEN: Final = ("data.mean=[0.485,0.456,0.406]", "data.std=[0.229,0.224,0.225]")
# It uses the middle 8×8 pixels. An average over all pixels takes half as long as decoding, on the same cores.
FREE: Final = (
    "model.name=free",
    "model.input={height: 8, width: 8, fit: crop}",
    "model.layers=[flatten, classifier]",
)


def drawn(folder: Path, count: int) -> None:
    """Photograph-like JPEGs of 10 classes: smooth colours with some noise."""
    draw = np.random.default_rng(SEED)
    for number in range(count):
        coarse = Image.fromarray(draw.integers(0, 255, (12, 14, 3), np.uint8)).resize(
            (400, 350), Image.Resampling.BICUBIC
        )
        pixels = np.asarray(coarse).astype(np.int16) + draw.integers(-12, 13, (350, 400, 3), np.int16)
        path = folder / f"class{number % 10}" / f"{number:06}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(path, quality=85)


def memory_of(pid: int) -> dict[str, float]:
    """The resident memory of a process in MB: all, anonymous, and file-backed."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in lines}
    resident, anonymous = kilobytes["Rss"] / 1000, kilobytes["Anonymous"] / 1000
    return {"all": resident, "anonymous": anonymous, "file_backed": resident - anonymous}


def trained(place: Path, *overrides: str) -> dict[str, float]:
    """One epoch in a process of its own: the peaks of its memory, images a second, and seconds to the first step."""
    folder = place / f"run{time.time_ns()}"
    command = [sys.executable, "-m", "runner", "data=folder", f"data.root={place / 'photos'}", SIZE, *GIVEN]
    command += ["data.residence=stream", "train.epochs=1", f"train.batch_size={BATCH}", "tracking.enabled=false"]
    command += ["figures.draw=[]", f"hydra.run.dir={folder}", *overrides]
    environment = os.environ | {"CONVRUNNER_CACHE": str(place / "cache")}
    began, peaks, first = time.time(), dict.fromkeys(("all", "anonymous", "file_backed"), 0.0), 0.0
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            now = memory_of(process.pid)
        except (OSError, KeyError, IndexError):  # it has just begun, or ended
            now = {}
        peaks = {name: max(peak, now.get(name, 0.0)) for name, peak in peaks.items()}
        if not first and any((folder / "checkpoints").glob("step-*.checkpoint")):
            first = time.time() - began
        time.sleep(0.05)
    if process.returncode:
        raise SystemExit(f"the training ended with status {process.returncode}")
    metrics = json.loads((folder / "network.json").read_text())["metrics"]
    known = {"images_per_second": metrics["images_per_second"], "first_step": first}
    return known | {f"peak_{name}_mb": peak for name, peak in peaks.items()}


_DECODE: Final = """
import sys, time
from runner.data import Folder, ImageSize, load
from runner.data.threads import ahead
size = ImageSize(height=224, width=224, channels=3)
inputs = load(Folder(source="folder", root=sys.argv[1], image=size, residence="stream")).train.inputs
batch, began = int(sys.argv[2]), time.perf_counter()
count = sum(len(images) for images in ahead(lambda first: inputs[first : first + batch], range(0, len(inputs), batch)))
print(count / (time.perf_counter() - began))
"""


def decoded(place: Path) -> float:
    """Images a second of decoding alone, in a process of its own."""
    command = [sys.executable, "-c", _DECODE, str(place / "photos"), str(BATCH)]
    environment = os.environ | {"CONVRUNNER_CACHE": str(place / "cache")}
    return float(subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout)


def main() -> None:
    """Measures, prints and writes."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--images", type=int, default=12_000, help="JPEGs that are drawn")
    parser.add_argument("--runs", type=int, default=3, help="turns of decoding and training")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        drawn(place / "photos", given.images)
        large = trained(place, "model=cnn_3x", "train.save_every=1 steps")
        trained(place, *FREE)  # compiles
        turns = [(decoded(place), trained(place, *FREE)["images_per_second"]) for _ in range(given.runs)]
    alone, free = (statistics.median(turn[part] for turn in turns) for part in range(2))
    result = machine.facts() | {
        "what": "JPEGs of 400×350 at 224×224, streamed; MB of the process, seconds from the command, images a second",
        "images": given.images,
        "seed": SEED,
        "batch_size": BATCH,
        "runs": given.runs,
        "cnn_3x": large,
        "decoding_alone": alone,
        "almost_free_network": free,
        "ratio": free / alone,
        "turns": turns,
    }
    machine.write("streaming", result)
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
