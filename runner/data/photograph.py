"""The two colour photographs of scikit-learn, available offline: for looking at what layers do to a picture."""

from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Final, Literal

import numpy as np
from PIL import Image
from pydantic import Field

from runner.data.examples import Part, Parts, Report
from runner.data.source import ImageSize, Source
from runner.errors import DataError, must

_NAMES: Final = ("china", "flower")


class Photograph(Source):
    """A temple in China and a flower, 427×640 pixels; all of the training, validation and test set.

    A network cannot show on them what it has learnt: they are the same in all three sets.
    """

    repeats: ClassVar[bool] = True

    source: Literal["photograph"]
    name: str = Field(default="photograph", min_length=1, description="Name of the data set.")
    image: ImageSize | None = Field(
        default=ImageSize(height=427, width=640, channels=3), description="Size of the images: 427×640×3."
    )
    classes: int | None = Field(default=2, ge=2, description="Number of classes: 2.")
    class_names: tuple[str, ...] | None = Field(default=_NAMES, min_length=2, description="Names of the two images.")

    def read(self, report: Report) -> Parts:
        """Decodes both photographs."""
        package = find_spec("sklearn")
        if package is None or package.origin is None:
            raise DataError(must("data.source", "have scikit-learn, which has the photographs", "none installed"))
        folder = Path(package.origin).parent / "datasets" / "images"
        files = tuple(f"{name}.jpg" for name in _NAMES)
        images = []
        for file in files:
            with Image.open(folder / file) as image:
                images.append(np.asarray(image.convert("RGB")))
        part = Part(np.stack(images), np.arange(2, dtype=np.int32), files=files)
        return Parts(train=part, val=part, test=part, classes=self.names(2))
