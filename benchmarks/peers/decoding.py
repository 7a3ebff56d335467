"""One contestant of decoding.py: reads a folder of JPEGs as batches of random windows, and prints what it took.

    python decoding.py ours FOLDER

Each window is 8 … 100 % of the area with sides of 3:4 … 4:3, resized to 224×224 by Pillow with antialiasing; batches of
64 are uint8 arrays in host memory. Prints images a second, and images a second of processor time of all processes.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

SIDE, BATCH, AREA, RATIO = 224, 64, (0.08, 1.0), (3 / 4, 4 / 3)
CORES = len(os.sched_getaffinity(0))


def ours(folder: Path) -> Iterator[int]:
    from runner.data import Folder, ImageSize, load
    from runner.data.threads import ahead
    from runner.data.windows import Windows

    size = ImageSize(height=SIDE, width=SIDE, channels=3)
    # The least that can be held out: one image of each class.
    source = Folder(
        source="folder", root=str(folder), image=size, residence="stream", val_fraction=1e-9, test_fraction=1e-9
    )
    inputs = load(source).train.inputs
    order = np.random.default_rng(0).permutation(len(inputs))
    windows = Windows(seed=0, epoch=0, size=(SIDE, SIDE), least_area=AREA[0], ratio=RATIO[1])
    yield 0  # files are listed, and their contents are hashed
    starts = range(0, len(inputs), BATCH)

    def cut(first: int) -> np.ndarray:
        places = np.arange(first, min(first + BATCH, len(order)))
        return inputs.windows(order[places], places, windows)

    for batch in ahead(cut, starts):
        yield len(batch)


def torchvision(folder: Path, workers: int) -> Iterator[int]:
    import torch
    from torch import library

    # The wheel of torchvision on PyPI is compiled for CUDA. With a PyTorch without it, its operators, which these
    # transforms do not use, are missing and have to be named for the import.
    operators = library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        operators.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    torch.set_num_threads(1)
    cut = transforms.Compose([transforms.RandomResizedCrop(SIDE, AREA, RATIO), transforms.PILToTensor()])
    loader = torch.utils.data.DataLoader(ImageFolder(folder, cut), BATCH, shuffle=True, num_workers=workers)
    yield 0
    for batch, _ in loader:
        yield len(batch)


def grain(folder: Path) -> Iterator[int]:
    from absl import flags

    flags.FLAGS.mark_as_parsed()
    import grain
    from PIL import Image

    from runner.data.windows import Windows

    windows = Windows(seed=0, epoch=0, size=(SIDE, SIDE), least_area=AREA[0], ratio=RATIO[1])

    def cut(index: int, path: Path) -> np.ndarray:
        with Image.open(path) as image:
            box = windows.at(index, (image.height, image.width))
            return np.asarray(image.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box))

    files = sorted(folder.glob("*/*.jpg"))
    shuffled = grain.MapDataset.source(files).seed(0).shuffle()
    batches = shuffled.map_with_index(cut).batch(BATCH)
    yield 0
    options = grain.ReadOptions(num_threads=CORES, prefetch_buffer_size=4 * CORES)
    for batch in batches.to_iter_dataset(options):
        yield len(batch)


CONTESTANTS: dict[str, Callable[[Path], Iterator[int]]] = {
    "ours": ours,
    "torchvision": lambda folder: torchvision(folder, CORES),
    "torchvision_in_process": lambda folder: torchvision(folder, 0),
    "grain": grain,
}


def processor_seconds() -> float:
    """Of this process and of those that it started and that ended."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in both)


if __name__ == "__main__":
    counts = CONTESTANTS[sys.argv[1]](Path(sys.argv[2]))
    next(counts)  # imports, lists
    before, began = processor_seconds(), time.perf_counter()
    count = sum(counts)
    print(count / (time.perf_counter() - began), count / (processor_seconds() - before))
