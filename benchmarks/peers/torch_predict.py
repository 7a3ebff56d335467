"""A folder of images, predicted by PyTorch: a Dataset of files, torchvision's transforms, a DataLoader.

Called by predict.py.

Reads a line for each block from the standard input, and answers with the seconds that it took. Without torchvision, the
transforms are written out as it does them.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torch_loop import vgg6_cifar

try:
    from torchvision import transforms

    prepare = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.25,) * 3)])
except ImportError:

    def prepare(image: Image.Image) -> torch.Tensor:
        """ToTensor and Normalize."""
        values = torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return values.sub(0.5).div(0.25)


class Files(Dataset[torch.Tensor]):
    """The images of a folder."""

    def __init__(self, folder: str) -> None:
        self.paths = sorted(Path(folder).iterdir())

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as image:
            return prepare(image.convert("RGB"))


def main() -> None:
    """Answers each line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    options = parser.parse_args()
    network = vgg6_cifar(3).eval()
    for line in sys.stdin:
        began, count = time.perf_counter(), 0
        with torch.inference_mode():
            for images in DataLoader(Files(options.folder), batch_size=options.batch, num_workers=options.workers):
                count += len(torch.softmax(network(images), dim=1).argmax(dim=1))
        print(time.perf_counter() - began, count, line.strip(), "torchvision" in sys.modules, flush=True)


if __name__ == "__main__":
    main()
