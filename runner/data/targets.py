"""Several labels, or numbers, for each example: those of the files, or made of classes and images as YAML says.

>>> rules = (("is_even", ("0", "2")), ("is_two", ("2",)))
>>> of_classes(np.array([0, 1, 2]), ("0", "1", "2"), rules)
array([[1., 0.],
       [0., 0.],
       [1., 1.]], dtype=float32)
"""

import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import numpy as np
from annotated_types import Gt, Le
from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

from runner.data.class_names import check_recordable
from runner.data.examples import Examples, Part
from runner.data.forms import Form
from runner.errors import DataError, Fault, must
from runner.records import Record

Array = np.ndarray[Any, Any]


class Rotation(Record):
    """Images are turned, and the angle is the number."""

    rotation: Annotated[float, Gt(0), Le(180)]


Rule = tuple[str, ...] | Literal["ink"] | Rotation | None
"""What makes a target: the classes of which a label holds; the mean of the pixels in 0 … 1; the degrees,
counter-clockwise and at most so many either way, by which an image is turned; None: a column of the files."""

EXAMPLES: Final = {"labels": "{first_two: [0, 1]}", "numbers": "{ink: ink}"}
"""Targets of classes and of images, for messages, by the form of labels."""
_MAKES: Final = "a list of classes, ink, or {rotation: DEGREES} above 0 and up to 180"


def _rules(value: Any) -> Any:
    """`{is_even: [0, 2]}`, or names alone, as hashable pairs."""
    if isinstance(value, dict):
        return tuple((str(name), _rule(str(name), item)) for name, item in value.items())
    if isinstance(value, list | tuple) and all(isinstance(item, str) for item in value):
        return tuple((item, None) for item in value)
    return value


def _rule(name: str, value: Any) -> Rule:
    if isinstance(value, list | tuple) and value and not any(isinstance(item, dict | list | tuple) for item in value):
        return tuple(str(item) for item in value)
    if value == "ink":
        return "ink"
    degrees = value.get("rotation") if isinstance(value, dict) and set(value) == {"rotation"} else None
    if isinstance(degrees, int | float) and not isinstance(degrees, bool) and 0 < degrees <= 180:
        return Rotation(rotation=float(degrees))
    raise ValueError(must("", f"make {name} of {_MAKES}", value).text)


def as_mapping(targets: Sequence[tuple[str, Rule]] | None) -> dict[str, Any]:
    """The targets that are made of something, as in YAML; empty if there are none."""
    rules = [] if targets is None else targets
    return {name: rule.model_dump() if isinstance(rule, Rotation) else rule for name, rule in rules if rule is not None}


def _written(rules: tuple[tuple[str, Rule], ...] | None) -> Any:
    return as_mapping(rules) or (None if rules is None else [name for name, _ in rules])


_ITEM: Final = {
    "anyOf": [
        {"type": "array", "items": {"type": ["string", "number"]}, "minItems": 1},
        {"const": "ink"},
        {
            "type": "object",
            "properties": {"rotation": {"type": "number", "exclusiveMinimum": 0, "maximum": 180}},
            "required": ["rotation"],
            "additionalProperties": False,
        },
    ]
}
Targets = Annotated[
    tuple[tuple[str, Rule], ...],
    BeforeValidator(_rules),
    PlainSerializer(_written, when_used="always"),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": _ITEM, "minProperties": 1},
                {"type": "array", "items": {"type": "string"}, "minItems": 1},
            ]
        }
    ),
]
"""The targets of examples by name, each with the rule that makes it; or the names of columns."""


def faults(targets: Sequence[tuple[str, Rule]] | None, form: Form) -> list[Fault]:
    """What does not suit labels of this form."""
    if targets is None:
        return []
    if form == "classes":
        return [must("data.targets", "be null for task classification", [name for name, _ in targets])]
    if len({name for name, _ in targets}) < len(targets) or not targets:
        return [must("data.targets", "have names that differ", [name for name, _ in targets])]
    wanted, makes = (tuple, "a list of classes") if form == "labels" else (str | Rotation, "ink or a rotation")
    found = [
        must(f"data.targets.{name}", f"be {makes} for this task", rule)
        for name, rule in targets
        if rule is not None and not isinstance(rule, wanted)
    ]
    if not found and sum(isinstance(rule, Rotation) for _, rule in targets) > 1:
        found.append(must("data.targets", "turn images once", [name for name, _ in targets]))
    return found


def of_classes(classes: Array, names: Sequence[str], targets: Sequence[tuple[str, Rule]]) -> Array:
    """The labels, float32 (n, k), of examples of these classes (n,). Raises DataError for an unknown class."""
    table = np.zeros((len(names), len(targets)), np.float32)
    for column, (label, rule) in enumerate(targets):
        assert isinstance(rule, tuple), "faults are found before data are read"
        for name in rule:
            if name not in names:
                raise DataError(must(f"data.targets.{label}", f"name classes of the data ({_listed(names)})", name))
            table[names.index(name), column] = 1
    return np.asarray(table[classes])


def drawn(count: int, targets: Sequence[tuple[str, Rule]], *, seed: int, part: str) -> Array:
    """The angles of a part's images, in their columns of float32 (n, k); the other numbers are not yet known: 0."""
    found = np.zeros((count, len(targets)), np.float32)
    for column, (_, rule) in enumerate(targets):
        if isinstance(rule, Rotation):
            # Words of a bit generator, which NumPy promises for ever.
            words = np.random.PCG64([seed, zlib.crc32(f"rotation of {part}".encode())]).random_raw(count)
            found[:, column] = (words / 2.0**63 - 1) * rule.rotation
    return found


def measured(examples: Examples, targets: Sequence[tuple[str, Rule]]) -> Examples:
    """Images turned by their angles, and the numbers that are measured on them. Raises DataError for other inputs."""
    if any(rule is None for _, rule in targets):
        return examples
    if examples.inputs.ndim != 4:
        kind = "texts" if examples.inputs.dtype == object else "signals"
        raise DataError(must("data.targets", "be measured on images alone", kind))
    inputs, labels = examples.inputs, examples.labels.copy()
    for column, (_, rule) in enumerate(targets):
        if isinstance(rule, Rotation):
            inputs = _turned(inputs, labels[:, column])
    scale = 255.0 if inputs.dtype == np.uint8 else 1.0
    for column, (_, rule) in enumerate(targets):
        if rule == "ink":
            labels[:, column] = inputs.reshape(len(inputs), -1).mean(axis=1, dtype=np.float64) / scale
    return Examples(inputs, labels, examples.files)


def checked_numbers(part: Part, place: str, form: Form) -> Array:
    """The labels of a part as float32 (n, k). Raises DataError that names the place."""
    labels = part.labels
    if labels.dtype.kind not in "biuf" or labels.ndim > 2 or len(labels) != len(part.inputs):
        rule = f"hold {len(part.inputs)} rows of numbers, one for each input"
        raise DataError(must(place, rule, f"{labels.dtype} {labels.shape}"))
    rows = labels.reshape(len(labels), -1).astype(np.float64)
    if not rows.size:
        raise DataError(must(place, "hold numbers", "none"))
    if not np.isfinite(rows).all():
        raise DataError(must(place, "be finite", "NaN or infinite values"))
    if (large := np.abs(rows) > _LARGEST).any():
        raise DataError(must(place, f"hold numbers of at most ±{_LARGEST:g}", _first(rows, large)))
    if form == "labels" and (wrong := ~np.isin(rows, (0, 1))).any():
        rule = "hold a 0 or a 1 for each label, or data.targets that make them"
        raise DataError(must(place, rule, _first(rows, wrong)))
    return rows.astype(np.float32)


def _first(rows: Array, wrong: Array) -> str:
    """The first wrong number of (n, k), and where it is."""
    row, column = np.argwhere(wrong)[0]
    return f"{rows[row, column]:g} (example {row}, column {column}, counted from 0)"


def column_names(
    targets: Sequence[tuple[str, Rule]] | None, found: Sequence[str] | None, count: int, place: str
) -> tuple[str, ...]:
    """The names of the targets, else those that were found in the files, else numbers.

    Raises DataError if there are more or fewer names than columns.
    """
    named = [name for name, _ in targets] if targets else found
    names = tuple(named or (f"target_{number}" for number in range(count)))
    if len(names) != count:
        raise DataError(must("data.targets", f"name the {count} columns of {place}", names))
    check_recordable(names, "data.targets")
    return names


def strata(labels: Array) -> Array:
    """Classes by which examples are held out in proportion: the labels, or their combinations, or tenths of numbers."""
    if labels.ndim == 1:
        return labels
    if np.isin(labels, (0, 1)).all():
        return np.unique(labels, axis=0, return_inverse=True)[1].reshape(-1)
    ranks = labels[:, 0].argsort(kind="stable").argsort(kind="stable")
    return np.asarray(ranks * _TENTHS // max(len(labels), 1))


_TENTHS: Final = 10
_LARGEST: Final = 1e18  # whose square float32 can hold


def _turned(images: Array, angles: Array) -> Array:
    """Images (n, h, w, c) turned counter-clockwise by angles (n,) in degrees, bilinearly, with zeros outside."""
    from PIL import Image

    found = np.empty_like(images)
    for index, angle in enumerate(angles):
        for channel in range(images.shape[-1]):
            plane = Image.fromarray(np.ascontiguousarray(images[index, ..., channel]))
            found[index, ..., channel] = np.asarray(plane.rotate(float(angle), Image.Resampling.BILINEAR))
    return found


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:10]) + (", …" if len(names) > 10 else "")
