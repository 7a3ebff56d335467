"""The handwritten digits of scikit-learn: 1,797 grey images of 8×8 pixels, available offline."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from runner.data.examples import Part, Parts, Report
from runner.data.source import ImageSize, Undivided


class Digits(Undivided):
    """Optical recognition of handwritten digits (Alpaydin & Kaynak 1998, doi:10.24432/C50P49), the test half."""

    source: Literal["digits"] = "digits"
    name: str = Field(default="digits", min_length=1, description="Name of the data set.")
    image: ImageSize | None = Field(
        default=ImageSize(height=8, width=8, channels=1), description="Size of the images: 8×8×1."
    )
    classes: int | None = Field(default=10, ge=2, description="Number of classes: 10.")

    def read(self, report: Report) -> Parts:
        """Reads the 1,797 images and scales their 17 grey levels to 0 … 255."""
        rows = _rows()
        inputs = np.rint(rows[:, :-1] * (255 / 16)).astype(np.uint8).reshape(-1, 8, 8, 1)
        return Parts(train=Part(inputs, rows[:, -1].astype(np.int32)), classes=self.names(10))


def _rows() -> np.ndarray:
    """64 levels in 0 … 16 and a label: (1797, 65)."""
    package = find_spec("sklearn")
    if package and package.origin:
        # The file is read directly because importing sklearn.datasets takes over a second.
        packaged = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if packaged.is_file():
            return np.loadtxt(packaged, delimiter=",")
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    return np.column_stack([images, labels])
