"""The fields that all data sources share in YAML."""

import os
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, PrivateAttr, WithJsonSchema, model_validator

from runner.data.broken import BadFileError
from runner.data.class_names import nfc
from runner.data.examples import Examples, Parts, Report
from runner.data.forms import Form
from runner.data.targets import Targets, as_mapping, faults
from runner.data.value_range import Range
from runner.errors import Fault, must
from runner.records import Record

Residence = Literal["auto", "device", "host", "stream"]


class ImageSize(Record):
    """Height, width and channels of an image."""

    height: int = Field(ge=1, examples=[224], description="Rows of the image, in pixels.")
    width: int = Field(ge=1, examples=[224], description="Columns of the image, in pixels.")
    channels: int = Field(ge=1, examples=[3], description="1 for grey, 3 for RGB.")

    def __str__(self) -> str:
        return f"{self.height}×{self.width}×{self.channels}"

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


class Source(Record):
    """A source of examples: its files, the form of its inputs, and the choice of examples."""

    # Whether the validation and test sets hold training examples on purpose.
    repeats: ClassVar[bool] = False
    # Whether the examples are files of their own, which can be read one by one in any order.
    streams: ClassVar[bool] = False

    name: str = Field(min_length=1, description="Name of the data set in tables and in MLflow.")
    image: ImageSize | None = Field(
        default=None, description="Size of the images; lets `describe` work before they are read."
    )
    classes: int | None = Field(default=None, ge=2, description="Number of classes; null = as found.")
    class_names: tuple[Annotated[str, AfterValidator(nfc)], ...] | None = Field(
        default=None, min_length=2, description="Names of the classes, in the order of their labels."
    )
    root: str | None = Field(
        default=None, min_length=1, description="Folder or file of the data; null = the download cache."
    )
    val_fraction: float = Field(
        default=0.1, gt=0, lt=1, description="Share of each class's training images held out for validation."
    )
    split_seed: int = Field(
        default=0, ge=0, description="Seed of the held-out split and of `limit`; independent of the run's seed."
    )
    folds: int | None = Field(
        default=None,
        ge=2,
        description="Number of equal parts of the training images for cross-validation, each with all classes in "
        "proportion; null: none, and `val_fraction` is held out.",
        examples=[5],
    )
    fold: int = Field(
        default=0, ge=0, description="With `folds`: the part that is held out for validation, from 0; the others train."
    )
    limit: int | None = Field(
        default=None,
        ge=1,
        description="Largest number of images used in each of the training, validation and test sets.",
    )
    mean: tuple[float, ...] | None = Field(
        default=None, description="Mean per channel, of pixels in 0 … 1; null = measured on the training images."
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = Field(
        default=None,
        description="Standard deviation per channel, of pixels in 0 … 1; null = measured on the training images.",
    )

    residence: Residence = Field(
        default="auto",
        description="Where decoded examples are in training: device (in its memory; on a CPU in that of the machine), "
        "host (in the machine's memory or mapped from its disk; batches are sent to the device), stream (nowhere: "
        "image files are decoded for each batch), or auto (device if they fit, else host; stream if image files, "
        "decoded, fit neither into memory nor into the cache).",
    )
    targets: Targets | None = Field(
        default=None,
        description="For the tasks multi_label and regression: by name, what each label or number is made of. A list "
        "of classes: it holds of these; ink: the mean of the pixels in 0 … 1; {rotation: 45}: images are turned by up "
        "to 45 degrees, and the angle is the number. Or the names of the columns of the files. null: they have none.",
        examples=[{"is_even": [0, 2, 4, 6, 8]}],
    )

    on_leakage: Literal["warn", "error"] = Field(
        default="warn",
        description="What is done about examples that stand in two of the training, validation and test sets, value "
        "for value: warn says how many in one line; error ends the command.",
    )

    # Whether windows of the training images are cut out of the files.
    _cuts_windows: bool = PrivateAttr(False)
    # What the labels are to be, by the task.
    _form: Form = PrivateAttr("classes")

    @model_validator(mode="after")
    def _agrees(self) -> Self:
        if self.fold >= (self.folds or 1):
            rule = f"have a fold below folds ({self.folds})" if self.folds else "have no fold without folds"
            raise ValueError(must("", rule, self.fold).text)
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
        """The declared shape of one input, (h, w, c) or (length, c); None if it is not declared."""
        return self.image.shape if self.image else None

    @property
    def class_count(self) -> int | None:
        """The declared number of classes; None if it is not declared."""
        return self.classes or (len(self.class_names) if self.class_names else None)

    def implied(self) -> dict[str, Any]:
        """Each target by its own path, as in YAML."""
        own = {f"targets.{name}": written for name, written in as_mapping(self.targets).items()}
        return {**super().implied(), "targets": None, **own} if own else super().implied()

    @property
    def output_count(self) -> int | None:
        """The declared number of classes, labels or numbers; None if it is not declared."""
        return len(self.targets) if self.targets is not None else self.class_count

    @property
    def label_form(self) -> Form:
        """The form of the labels."""
        return self._form

    @property
    def has_classes(self) -> bool:
        """Whether the files have a class for each example, which the targets may be made of; else they have numbers."""
        return self._form == "classes" or bool(as_mapping(self.targets))

    @property
    def target_columns(self) -> tuple[str, ...]:
        """The columns of the files that `targets` names; empty if it names none."""
        return () if self.has_classes else tuple(name for name, _ in self.targets or ())

    def for_labels(self, form: Form) -> Self:
        """The same source, whose labels are to have this form."""
        return self._with(form=form)

    @property
    def cuts_windows(self) -> bool:
        """Whether training images are windows that are cut out of the files."""
        return self._cuts_windows

    def for_windows(self, cuts: bool) -> Self:
        """The same source, for networks that are trained on windows of the files, or on whole images."""
        return self._with(cuts_windows=cuts)

    def _with(self, **told: Any) -> Self:
        """The same source, which was told something: private fields, by their names without the underscore."""
        if all(getattr(self, f"_{name}") == value for name, value in told.items()):
            return self
        copy = self.model_copy()
        for name, value in told.items():
            setattr(copy, f"_{name}", value)
        return copy

    def label_faults(self, form: Form) -> list[Fault]:
        """What does not suit labels of this form."""
        return faults(self.targets, form)

    @property
    def folder(self) -> Path | None:
        """`root` as a path, with ~ expanded to the home folder."""
        # Path.expanduser raises RuntimeError for the home of an unknown user.
        return Path(os.path.expanduser(self.root)) if self.root else None  # noqa: PTH111

    def names(self, count: int) -> tuple[str, ...]:
        """The declared class names, else the labels as strings."""
        return self.class_names or tuple(str(label) for label in range(count))

    @property
    def declared_range(self) -> Range | None:
        """The declared values of black and white, or None."""
        return None

    @property
    def vocabulary_size(self) -> int | None:
        """The declared number of tokens of texts; None if it is not declared, and for other sources."""
        return None

    @property
    def undeclared(self) -> str | None:
        """A missing field without which `describe` must read the data; None if all are declared."""
        if self.shape is None:
            return "image"
        return "classes" if self.output_count is None else None

    def encoded(self, parts: list[Examples]) -> tuple[list[Examples], tuple[str, ...]]:
        """The parts as network inputs, and the vocabulary, built from the first (the training) part only."""
        return parts, ()

    def for_input(self, height: int, width: int) -> "Source":
        """The same source for networks whose input has this size; it matters only to images of several sizes."""
        return self

    def surveyed(self) -> "Source":
        """The same source, read with the sizes of all images known before the first one is decoded."""
        return self

    def for_streams(self, parts: Parts, report: Report) -> Parts:
        """The same parts, whose examples can be read fast in any order."""
        return parts

    def after(self, error: BadFileError, report: Report) -> "Source":
        """What is read instead, after a file could not be used. Raises DataError with the faults of all files."""
        raise error

    def read(self, report: Report) -> Parts:
        """Reads the parts. Raises DataError that names a missing or broken file."""
        raise NotImplementedError


Name = Annotated[
    str,
    Field(min_length=1, description="Name of the data set; null = the name of the folder or file at `root`."),
    WithJsonSchema({"type": ["string", "null"], "minLength": 1}),
]


class Undivided(Source):
    """A source of the user's own: it is named after its files, and may lack a test set, which is then held out."""

    @model_validator(mode="before")
    @classmethod
    def _unnamed(cls, value: Any) -> Any:
        """Leaves the default in place of null, which stays null only if nothing names the files."""
        if isinstance(value, dict) and value.get("name", "") is None:
            return {key: item for key, item in value.items() if key != "name"}
        return value

    test_fraction: float = Field(
        default=0.2, gt=0, lt=1, description="Share of each class held out for testing if there is no test set."
    )


class Ranged(Undivided):
    """A source that may have float values in any unit, whose black and white can be declared."""

    range: tuple[float, float] | None = Field(
        default=None,
        examples=[[-1, 1], [0, 4095]],
        description="The float values of black and white; null = 0 and 1 if all training values lie between them, else "
        "the minimum and maximum of each channel. Bytes have none.",
    )

    @model_validator(mode="after")
    def _has_a_range_that_rises(self) -> Self:
        if self.range is not None and not self.range[0] < self.range[1]:
            raise ValueError(must("", "have a range that rises, [black, white]", self.range).text)
        return self

    @property
    def declared_range(self) -> Range | None:
        return Range(*((value,) for value in self.range)) if self.range else None
