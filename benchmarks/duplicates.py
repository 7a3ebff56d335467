"""How many images that were changed are found to look like their originals, and how many pairs are found wrongly.

    python benchmarks/duplicates.py data=FOLDER_OR_ZIP [images=60000] [changed=2000] [seed=0]

Of photographs in class folders (such as CIFAR-10's as JPEG), some are changed in each of the ways below, and hashed
again. Recall is the share that `describe data` pairs with its original. Pairs among the photographs are counted, and
those among images made of quarters of four photographs each, which have nothing in common: these are false. The seconds
are those of hashing and of finding pairs. results/duplicates.json has it all.
"""

import io
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import machine
import numpy as np
import PIL
from PIL import Image

from runner.data import Folder
from runner.data.loading import divided
from runner.inspecting.looks import CORRELATION, DISTANCE, alike, looks_of

_RESULT: Final = Path(__file__).parent / "results" / "duplicates.json"
_DISTANCES: Final = (0, 2, 4, 6, 8, 10)
_REPEATS: Final = 3
Change = Callable[[Image.Image], Image.Image]


def _as_jpeg(quality: int) -> Change:
    def change(image: Image.Image) -> Image.Image:
        content = io.BytesIO()
        image.save(content, "JPEG", quality=quality)
        return Image.open(content).convert(image.mode)

    return change


def _halved(image: Image.Image) -> Image.Image:
    small = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BILINEAR)
    return small.resize(image.size, Image.Resampling.BILINEAR)


def _brightened(factor: float) -> Change:
    return lambda image: image.point(lambda value: min(255, round(value * factor)))


def _cropped(share: float) -> Change:
    """So much of the width and height is cut off, half of it on each side, and the rest made as large again."""

    def change(image: Image.Image) -> Image.Image:
        across, down = image.width * share / 2, image.height * share / 2
        box = (across, down, image.width - across, image.height - down)
        return image.resize(image.size, Image.Resampling.BILINEAR, box=box)

    return change


CHANGES: Final[dict[str, Change]] = {
    "JPEG, quality 50": _as_jpeg(50),
    "JPEG, quality 20": _as_jpeg(20),
    "half the size and back": _halved,
    "10 % brighter": _brightened(1.1),
    "10 % darker": _brightened(0.9),
    "5 % cut off": _cropped(0.05),
    "10 % cut off": _cropped(0.1),
    "grey": lambda image: image.convert("L").convert(image.mode),
    "mirrored": lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
}


def recall(images: np.ndarray, change: Change) -> dict[str, float]:
    """The share of changed images that are found at each distance, with the correlation that `describe` asks for."""
    changed = np.stack([np.asarray(change(Image.fromarray(image))) for image in images])
    before, after = looks_of(images), looks_of(changed)
    distances = np.bitwise_count(before.hashes ^ after.hashes)
    correlations = np.einsum("nk,nk->n", before.thumbnails, after.thumbnails)
    shares = {}
    for most in _DISTANCES:
        shares[str(most)] = float(np.mean((distances <= most) & (correlations >= CORRELATION)))
    return shares


def jumbled(images: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Images of quarters of different photographs, so that no two images show the same."""
    half = images.shape[1] // 2
    quarters = [images[:, :half, :half], images[:, :half, -half:], images[:, -half:, :half], images[:, -half:, -half:]]
    one, two, three, four = (quarter[random.permutation(len(images))] for quarter in quarters)
    return np.concatenate([np.concatenate([four, two], axis=2), np.concatenate([three, one], axis=2)], axis=1)


def timed(images: np.ndarray) -> tuple[dict[str, float], int]:
    """The median seconds of hashing and of finding pairs, and the number of pairs."""
    seconds: dict[str, list[float]] = {"hashing": [], "finding pairs": []}
    count = 0
    for _ in range(_REPEATS):
        start = time.perf_counter()
        looks = looks_of(images)
        middle = time.perf_counter()
        count = len(alike(looks).pairs)
        seconds["hashing"].append(middle - start)
        seconds["finding pairs"].append(time.perf_counter() - middle)
    return {name: statistics.median(values) for name, values in seconds.items()}, count


def main(arguments: list[str]) -> dict[str, Any]:
    """Measures, prints a line for each change, and returns everything."""
    given = dict(argument.partition("=")[::2] for argument in arguments)
    most, some, seed = int(given.get("images", 60_000)), int(given.get("changed", 2_000)), int(given.get("seed", 0))
    random = np.random.default_rng(seed)
    found = divided(Folder(source="folder", root=given["data"]))
    images = np.concatenate([part.inputs for part in found.examples])
    images = images[random.permutation(len(images))[:most]]
    seconds, pairs = timed(images)
    result: dict[str, Any] = {
        **machine.facts(),
        "images": len(images),
        "shape": images.shape[1:],
        "changed": min(some, len(images)),
        "seed": seed,
        "distance": DISTANCE,
        "correlation": CORRELATION,
        "seconds": seconds,
        "pairs": pairs,
        "false_pairs_of_jumbled_images": len(alike(looks_of(jumbled(images, random))).pairs),
        "recall_by_distance": {},
    }
    result["versions"] |= {"numpy": np.__version__, "pillow": PIL.__version__}
    for name, change in CHANGES.items():
        result["recall_by_distance"][name] = shares = recall(images[:some], change)
        print(f"{name:24} {shares[str(DISTANCE)]:.1%}")
    false = result["false_pairs_of_jumbled_images"]
    print(f"{pairs:,} pairs of {len(images):,} images look alike; {false} of jumbled ones")
    print(f"{seconds['hashing']:.2f} s hashing, {seconds['finding pairs']:.2f} s finding pairs")
    return result


if __name__ == "__main__":
    answer = main(sys.argv[1:])
    _RESULT.write_text(json.dumps(answer, indent=2) + "\n", encoding="utf-8")
