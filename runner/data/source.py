"""What every source of images says of itself in YAML, before a byte is read."""

from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from runner.data.class_names import composed
from runner.data.examples import Examples, Parts, Report
from runner.data.value_range import Range
from runner.errors import must
from runner.records import Record


class ImageSize(Record):
    """Height, width and channels of an image."""

    height: int = Field(ge=1, description="Rows of the image, in pixels.")
    width: int = Field(ge=1, description="Columns of the image, in pixels.")
    channels: int = Field(ge=1, description="1 for grey, 3 for RGB.")

    def __str__(self) -> str:
        return f"{self.height}×{self.width}×{self.channels}"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


class Source(Record):
    """Where images come from, what they are like, and which of them are used."""

    name: str = Field(min_length=1, description="What the data set is called in tables and in MLflow.")
    image: ImageSize | None = Field(
        default=None, description="Size of the images, so that a model can be described before they are read."
    )
    classes: int | None = Field(default=None, ge=2, description="How many classes there are; null = as found.")
    class_names: tuple[Annotated[str, AfterValidator(composed)], ...] | None = Field(
        default=None, min_length=2, description="Names of the classes, in the order of their labels."
    )
    root: str | None = Field(default=None, min_length=1, description="Where the files lie; null = the download cache.")
    val_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of the training images held out for validation, class by class."
    )
    split_seed: int = Field(
        default=0, ge=0, description="Seed of what is held out and of `limit`, apart from the run's own seed."
    )
    limit: int | None = Field(
        default=None, ge=1, description="Use at most this many training images, and as many of the others."
    )
    mean: tuple[float, ...] | None = Field(
        default=None, description="Mean per channel, of pixels in 0 … 1; null = measured in training."
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        default=None,
        description="Deviation per channel, of pixels in 0 … 1; null = measured in training.",
    )

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if values is not None and self.shape is not None and len(values) != self.shape[-1]:
                rule = f"have as many values of {name} as channels ({self.shape[-1]})"
                raise ValueError(must("", rule, values).text)
        if self.classes and self.class_names and len(self.class_names) != self.classes:
            rule = f"have as many class_names as classes ({self.classes})"
            raise ValueError(must("", rule, len(self.class_names)).text)
        if self.class_names and len(set(self.class_names)) != len(self.class_names):
            raise ValueError(must("", "have class_names that differ", self.class_names).text)
        return self

    @property
    def shape(self) -> tuple[int, ...] | None:
        """The declared shape of one input: (h, w, c), or (length, c), or None where only the files know."""
        return self.image.shape if self.image else None

    @property
    def class_count(self) -> int | None:
        """The declared number of classes, or None where only the files know."""
        return self.classes or (len(self.class_names) if self.class_names else None)

    @property
    def folder(self) -> Path | None:
        """`root` as a path, with ~ for the home folder."""
        return Path(self.root).expanduser() if self.root else None

    def names(self, count: int) -> tuple[str, ...]:
        """The declared class names, else the labels themselves."""
        return self.class_names or tuple(str(label) for label in range(count))

    @property
    def declared_range(self) -> Range | None:
        """What stands for black and for white, where the record says so."""
        return None

    @property
    def vocabulary_size(self) -> int | None:
        """Of texts, the declared number of tokens, or None where only the files know; of all else None."""
        return None

    @property
    def undeclared(self) -> str | None:
        """The field without which a model for these data can only be described once they are read."""
        if self.shape is None:
            return "image"
        return "classes" if self.class_count is None else None

    def encoded(self, parts: list[Examples]) -> tuple[list[Examples], tuple[str, ...]]:
        """The parts as a network reads them, and the vocabulary, built from the first part, the training part, only."""
        return parts, ()

    def read(self, report: Report) -> Parts:
        """What the source holds. Raises DataError, which names the file that is missing or broken."""
        raise NotImplementedError


class Undivided(Source):
    """A source that may come without a test set of its own: one is held out of its training images."""

    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share held out for testing where there is no test set, class by class."
    )
