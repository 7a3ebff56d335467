"""Images whose pixels are written in YAML, for examples small enough to compute by hand.

data:
  source: written
  images:
    - {label: upright, pixels: [[0, 255], [0, 255]]}
    - {label: flat, pixels: [[255, 255], [0, 0]]}
"""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from annotated_types import Ge, Le
from pydantic import Field, model_validator

from runner.data.examples import Part, Parts, Report
from runner.data.source import Source
from runner.errors import must, shown
from runner.records import Record

Rows = tuple[tuple[Annotated[int, Ge(0), Le(255)], ...], ...]


class WrittenImage(Record):
    """A grey image and its class."""

    label: str = Field(min_length=1, examples=["boat"], description="Name of its class.")
    pixels: Rows = Field(examples=[[[0, 255], [255, 0]]], description="Its rows of pixels, 0 (black) to 255 (white).")

    @property
    def size(self) -> tuple[int, int]:
        """Its height and width in pixels."""
        return len(self.pixels), max(map(len, self.pixels), default=0)


class Written(Source):
    """Grey images in the configuration; all are trained on, and evaluated unless `evaluated` chooses."""

    repeats: ClassVar[bool] = True

    source: Literal["written"]
    name: str = Field(default="written", min_length=1, description="Name of the data set.")
    images: tuple[WrittenImage, ...] = Field(description="The images; classes are in their order.")
    evaluated: tuple[Annotated[int, Ge(0)], ...] | None = Field(
        default=None,
        min_length=1,
        description="The images of the validation and the test set, by number from 0; null: all.",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self._labels) < 2:
            raise ValueError(must("", "have images of at least two classes", self._labels).text)
        height, width = (max(side, 1) for side in self.images[0].size)
        for number, image in enumerate(self.images):
            if image.size != (height, width) or any(len(row) != width for row in image.pixels):
                got = shown([list(row) for row in image.pixels])
                raise ValueError(must("", f"have {height}×{width} pixels in images[{number}] too", got).text)
        if self.evaluated and max(self.evaluated) >= len(self.images):
            rule = f"have evaluated below {len(self.images)}, the number of images"
            raise ValueError(must("", rule, self.evaluated).text)
        return self

    @property
    def _labels(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(image.label for image in self.images))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of an image, (h, w, 1)."""
        return (*self.images[0].size, 1)

    @property
    def class_count(self) -> int:
        """The number of different labels."""
        return len(self._labels)

    def read(self, report: Report) -> Parts:
        """The images as bytes."""
        pixels = np.array([image.pixels for image in self.images], np.uint8)[..., None]
        labels = np.array([self._labels.index(image.label) for image in self.images], np.int32)
        index = np.arange(len(labels)) if self.evaluated is None else np.array(self.evaluated)
        held = Part(pixels[index], labels[index])
        return Parts(train=Part(pixels, labels), val=held, test=held, classes=self._labels)
