"""What a run says to the store: frozen values in the order they were said, which also survive as lines of JSON."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Status = Literal["FINISHED", "FAILED", "KILLED"]


@dataclass(frozen=True)
class DatasetFacts:
    """What is recorded of a data set: `counts` holds images per split, `shape` one image's (h, w, c)."""

    name: str
    digest: str
    counts: dict[str, int]
    shape: tuple[int, ...]
    dtype: str
    classes: tuple[str, ...]
    source: str = ""


@dataclass(frozen=True)
class Opening:
    """A run as it begins. `run_id` is None until the store has answered with it. `identity` is recorded as a tag, by
    which a run is found that the store has made though its answer was lost.
    """

    uri: str
    experiment: str
    run_name: str
    tags: dict[str, str]
    started_ms: int
    run_id: str | None = None
    identity: str = ""
    parent: "Opening | None" = None


@dataclass(frozen=True)
class Batch:
    """Metrics (name, value, milliseconds, step), parameters and tags, which may be joined with their neighbours."""

    metrics: tuple[tuple[str, float, int, int], ...] = ()
    params: tuple[tuple[str, str], ...] = ()
    tags: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class RunTag:
    """A tag that holds the id of another run, which the store may know later than the file of the run that has the tag
    is sent.
    """

    name: str
    run: Opening


@dataclass(frozen=True)
class Text:
    """A text artifact."""

    path: str
    text: str


@dataclass(frozen=True)
class File:
    """A local file to be kept as an artifact in `folder`."""

    local: str
    folder: str


@dataclass(frozen=True)
class Figure:
    """A figure that is not drawn yet: `make` gives a PNG, and `local` is where its file comes to lie."""

    path: str
    local: str
    make: Callable[[], bytes] = field(compare=False)

    def drawn(self) -> File:
        """The file of the figure, drawn now."""
        local = Path(self.local)
        local.parent.mkdir(parents=True, exist_ok=True)
        local.write_bytes(self.make())
        folder, _, _ = self.path.rpartition("/")
        return File(self.local, folder)


@dataclass(frozen=True)
class Input:
    """The data set a run used."""

    facts: DatasetFacts


@dataclass(frozen=True)
class Model:
    """A folder that `runner.serving.save_model` wrote."""

    folder: str


@dataclass(frozen=True)
class End:
    """The end of a run."""

    status: Status
    ended_ms: int


Message = Batch | RunTag | Text | File | Figure | Input | Model | End

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Opening, Batch, RunTag, Text, File, Input, Model, End)}


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches as one, in their order."""
    return Batch(
        metrics=tuple(metric for batch in batches for metric in batch.metrics),
        params=tuple(param for batch in batches for param in batch.params),
        tags=tuple(tag for batch in batches for tag in batch.tags),
    )


def to_line(message: Opening | Message) -> str:
    """A message as one line of JSON; a figure has to be drawn before."""
    return json.dumps({"kind": type(message).__name__, **asdict(message)}, ensure_ascii=False)


def from_line(line: str) -> Any:
    """The message that `to_line` wrote. Raises ValueError where the line is no such message."""
    try:
        fields = json.loads(line)
        kind = _KINDS[fields.pop("kind")]
        if kind is Input:
            facts = fields["facts"]
            shape, classes = tuple(facts.pop("shape")), tuple(facts.pop("classes"))
            return Input(DatasetFacts(shape=shape, classes=classes, **facts))
        if kind is Batch:
            fields = {name: tuple(map(tuple, rows)) for name, rows in fields.items()}
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
