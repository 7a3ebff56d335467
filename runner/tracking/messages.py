"""The messages from a run to its store: frozen records, which can also be written as lines of JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

# MLflow's limit on the text of a parameter; longer ones are cut.
PARAM_CHARACTERS: Final = 6000

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class DatasetFacts:
    """The recorded facts of a data set: `counts` are images per split, `shape` is (h, w, c) of one image."""

    name: str
    digest: str
    counts: dict[str, int]
    shape: tuple[int, ...]
    dtype: str
    classes: tuple[str, ...]
    source: str = ""
    form: str = "classes"  # what `classes` are the names of


@dataclass(frozen=True)
class Opening:
    """The start of a run. `run_id` is None until the store has returned it.

    `identity` is recorded as a tag. It finds a run that the store created although its answer was lost. `process` is
    the text of the process that records the run. `repeats` says that an earlier process has recorded a part of the run,
    so that some messages are in the store.
    """

    uri: str
    experiment: str
    run_name: str
    tags: dict[str, str]
    started_ms: int
    run_id: str | None = None
    identity: str = ""
    parent: "Opening | None" = None
    process: str = ""
    repeats: bool = False


@dataclass(frozen=True)
class Batch:
    """Metrics (name, value, milliseconds, step), parameters and tags. Consecutive batches may be joined."""

    metrics: tuple[tuple[str, float, int, int], ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RunTag:
    """A tag with the id of another run, which the store may create later than the run with the tag."""

    name: str
    run: Opening


@dataclass(frozen=True)
class Text:
    """A text artifact."""

    path: str
    text: str


@dataclass(frozen=True)
class File:
    """A local file, to be stored as an artifact in `folder`."""

    local: str
    folder: str


@dataclass(frozen=True)
class Figure:
    """A figure that is not drawn yet: `make` returns a PNG, which is written to the file `local`."""

    path: str
    local: str
    make: Callable[[], bytes] = field(compare=False)

    def drawn(self) -> File:
        """Draws the figure and returns its file."""
        local = Path(self.local)
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(self.make())
        folder, _, _ = self.path.rpartition("/")
        return File(self.local, folder)


@dataclass(frozen=True)
class Input:
    """The data set of a run."""

    facts: DatasetFacts


@dataclass(frozen=True)
class Model:
    """A folder written by `runner.serving.save_model`."""

    folder: str


@dataclass(frozen=True)
class Registration:
    """A version of a registered model, with an alias: the model that the run logged."""

    name: str
    alias: str


@dataclass(frozen=True)
class End:
    """The end of a run."""

    status: Status
    ended_ms: int


@dataclass(frozen=True)
class Created:
    """A mark in a file of messages: the store has created the run."""

    run_id: str


@dataclass(frozen=True)
class Sent:
    """A mark in a file of messages: the store has accepted those with these numbers."""

    numbers: tuple[int, ...]


Message = Batch | RunTag | Text | File | Figure | Input | Model | Registration | End

Mark = Created | Sent

_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Opening, Batch, RunTag, Text, File, Input, Model, Registration, End, Created, Sent)
}


def joined(batches: Sequence[Batch]) -> Batch:
    """Joins batches in their order."""
    return Batch(
        metrics=tuple(metric for batch in batches for metric in batch.metrics),
        params=tuple(param for batch in batches for param in batch.params),
        tags=tuple(tag for batch in batches for tag in batch.tags),
    )


def to_line(message: Opening | Message | Mark) -> str:
    """Converts a message or a mark to one line of JSON; a figure must be drawn before."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}, ensure_ascii=False)


def from_line(line: str) -> Any:
    """Reads a line of `to_line`. Raises ValueError if it is not a message."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("kind")]
        if kind is Input:
            facts = fields["facts"]
            shape, classes = tuple(facts.pop("shape")), tuple(facts.pop("classes"))
            return Input(DatasetFacts(shape=shape, classes=classes, **facts))
        if kind is Batch:
            fields = {name: tuple(map(tuple, rows)) for name, rows in fields.items()}
        if kind is Sent:
            return Sent(tuple(map(int, fields["numbers"])))
        if kind is Opening:
            return _opening(fields)
        if kind is RunTag:
            fields["run"] = _opening(fields["run"])
        return kind(**fields)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"not a message: {line[:60]}") from error


def _opening(fields: dict[str, Any]) -> Opening:
    parent = fields.pop("parent", None)
    return Opening(**fields, parent=parent and _opening(parent))
